"""The scans of an evaluation in a few numbers."""

import math
from pathlib import Path

import pandas as pd

from cordlesion import __version__
from cordlesion.io.writing import write_json
from cordlesion.lesions.ranking import LesionRanking
from cordlesion.maps.given import Given

_NAMES = ("scan_id", "subject", "session", "rule")


def write_summary(
    path: Path, table: pd.DataFrame, rule: str, threshold: str | None, given: Given, ranking: LesionRanking | None
) -> None:
    """Write medians and means over the scans for which a metric is defined, and the score of MS-Multi-Spine.

    Args:
        path: The file (.json).
        table: Of :func:`cordlesion.evaluate_files`.
        rule: Its lesion rule.
        threshold: How masks were made of maps, in a few words.
        given: What the files are.
        ranking: Where predicted lesions have probabilities.
    """
    content: dict[str, object] = {
        "cordlesion": __version__,
        "rule": rule,
        "masks_of_maps": threshold,
        "instance_maps": given.instances,
        "ranked_by": given.ranking,
        "n_scans": len(table),
        "n_subjects": int(table["subject"].nunique()),
        "n_lesion_free": int((table["reference_volume_mm3"] == 0).sum()),
        "metrics": {name: _over_scans(table[name]) for name in table if name not in _NAMES},
        "multi_spine": None if ranking is None else ranking.record(),
    }
    write_json(path, content)


def _over_scans(values: pd.Series) -> dict[str, float | int | None]:
    numbers = {"median": values.median(), "mean": values.mean()}
    return {name: None if math.isnan(one) else float(one) for name, one in numbers.items()} | {"n": int(values.count())}
