"""The scans of an evaluation in a few numbers."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from cordlesion import __version__
from cordlesion.dataset.matching import MapPair
from cordlesion.evaluation import measure_volumes
from cordlesion.io.mask_values import MaskReader
from cordlesion.io.writing import write_json
from cordlesion.lesions.ranking import LesionRanking
from cordlesion.maps.files import CutMaps
from cordlesion.metrics import MatchedInstances, match_components
from cordlesion.metrics.own import OwnMetric

MeasuredScan: TypeAlias = tuple[dict[str, object], MatchedInstances | None]
"""The row of a scan in ``metrics.tsv``; of a map its lesions with probabilities, too."""
_NAMES = ("scan_id", "subject", "session", "rule")


def measure_map(
    pair: MapPair, rule: str, own: Sequence[OwnMetric], references: MaskReader, maps: CutMaps
) -> MeasuredScan:
    """Compare the mask of a map with its reference; returns its row, and its lesions with their highest p."""
    reference = references.read(pair.reference)
    mask, probability = maps.read_both(pair.prediction, reference)
    instances = match_components(reference.data, mask.data, probability.data)
    return measure_volumes(pair, reference, mask, rule, own), instances


def write_summary(
    path: Path, table: pd.DataFrame, rule: str, threshold: str | None, ranking: LesionRanking | None
) -> None:
    """Write medians and means over the scans for which a metric is defined, and of maps the score of MS-Multi-Spine.

    Args:
        path: The file (.json).
        table: Of :func:`cordlesion.evaluate_files`.
        rule: Its lesion rule.
        threshold: How masks were made of maps, in a few words.
        ranking: Of maps.
    """
    content: dict[str, object] = {
        "cordlesion": __version__,
        "rule": rule,
        "masks_of_maps": threshold,
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
