"""What every stage of a study gets, how its function is found, and the last stage, the report."""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from cordlesion.execution.local import LOCAL, Executor
from cordlesion.io.progress import show_message
from cordlesion.study.sets import Study
from cordlesion.study_folder.stages import Stage


@dataclass(frozen=True)
class RunOptions:
    """How a study is run; does not change any result."""

    executor: Executor = LOCAL
    """Where the work happens."""
    only: str | None = None
    """Name of the one run to train; all by default."""


DEFAULT = RunOptions()
"""Everything, on this machine."""


StageFunction: TypeAlias = Callable[[Any, RunOptions], Any]
"""Takes what the stage before returned: the first one a StudyConfig, the second a Cohort, all others a Study."""


def load_stage(stage: Stage) -> StageFunction:
    """Import the function of a stage."""
    function: StageFunction = pkgutil.resolve_name(stage.function)
    return function


def report(study: Study, options: RunOptions = DEFAULT) -> Study:  # noqa: ARG001
    """Write tables, figures and ``report.html``."""
    from cordlesion.report.page import write_report

    show_message(f"report: {write_report(study.folder.root)}")
    return study
