"""The one comparison that a study declares as its primary one; all others are exploratory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cordlesion.config import StudyConfig
from cordlesion.study_folder.manifest import declared_before


@dataclass(frozen=True)
class Primary:
    """The primary endpoint and comparison, and whether it was declared in time."""

    metric: str
    """The endpoint: a score whose mean over test subjects is compared, such as ``voxel_f1``."""
    first: str
    second: str
    """The difference is second - first, as in the table of pairs."""
    in_time: bool
    """Declared before the test set was opened, which the manifest shows."""


def read_primary(config: StudyConfig, manifest: Mapping[str, Any]) -> Primary | None:
    """Return the primary comparison of a study; None where none is declared."""
    declared = config.evaluation.primary
    if declared is None:
        return None
    return Primary(declared.metric, declared.first, declared.second, declared_before(declared, manifest))
