"""The table of metrics of one scan: what each is, how it is measured, stored and printed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

from cordlesion.io.columns import Column, count, volume
from cordlesion.metrics.lesion import LesionCounts, lesion_scores
from cordlesion.metrics.voxel import Scores, voxel_scores


@dataclass(frozen=True)
class ScanFacts:
    """What the metrics of a scan are computed from."""

    n_reference: int
    """Lesion voxels of the reference."""
    n_predicted: int
    """Lesion voxels of the prediction."""
    n_common: int
    """Voxels in both."""
    lesions: LesionCounts
    voxel_mm3: float
    """Volume of a voxel."""
    voxel_scores: Scores = field(init=False)
    """Sensitivity, precision and F1 of the voxels."""
    lesion_scores: Scores = field(init=False)
    """Sensitivity, precision and F1 of the lesions."""

    def __post_init__(self) -> None:
        """Compute the scores, which several metrics share."""
        object.__setattr__(self, "voxel_scores", voxel_scores(self.n_reference, self.n_predicted, self.n_common))
        object.__setattr__(self, "lesion_scores", lesion_scores(self.lesions))


Level: TypeAlias = Literal["voxel", "lesion", "subject", "volume"]
Measure: TypeAlias = Callable[[ScanFacts], float]


@dataclass(frozen=True)
class Metric:
    """One metric of a scan."""

    column: Column
    """Its column in tables: name, meaning, unit and range."""
    level: Level
    """What is counted or measured."""
    measure: Measure
    higher_is_better: bool | None = None
    """None where neither direction is better."""
    label: str = ""
    """Name in the tables of the report, which have the columns of Hussein et al.; without one, it is in files only."""


def _score(name: str, level: Level, measure: Measure, meaning: str, label: str = "") -> Metric:
    """Declare a share that is undefined where the reference has no lesion."""
    return Metric(Column(name, meaning, "share", may_be_missing=True), level, measure, True, label)


def _count(name: str, measure: Measure, meaning: str) -> Metric:
    return Metric(count(name, meaning), "lesion", measure)


def _volume(name: str, measure: Measure, meaning: str) -> Metric:
    return Metric(volume(name, meaning), "volume", measure)


_ROWS = (
    _score(
        "voxel_sensitivity",
        "voxel",
        lambda scan: scan.voxel_scores.sensitivity,
        "Share of the reference's lesion voxels that the prediction marks",
        "V-sensitivity",
    ),
    _score(
        "voxel_precision",
        "voxel",
        lambda scan: scan.voxel_scores.precision,
        "Share of the predicted voxels that are lesion in the reference",
        "V-precision",
    ),
    _score("voxel_f1", "voxel", lambda scan: scan.voxel_scores.f1, "F1 (Dice) of the voxels", "V-F1"),
    _score(
        "lesion_sensitivity",
        "lesion",
        lambda scan: scan.lesion_scores.sensitivity,
        "Share of the reference's lesions that the prediction detects",
        "L-sensitivity",
    ),
    _score(
        "lesion_precision",
        "lesion",
        lambda scan: scan.lesion_scores.precision,
        "Share of the predicted lesions that are true",
        "L-precision",
    ),
    _score("lesion_f1", "lesion", lambda scan: scan.lesion_scores.f1, "F1 of the lesions", "L-F1"),
    _count("n_reference_lesions", lambda scan: scan.lesions.n_reference, "Lesions of the reference"),
    _count(
        "n_detected_lesions",
        lambda scan: scan.lesions.n_detected,
        "Lesions of the reference that the prediction detects",
    ),
    _count("n_predicted_lesions", lambda scan: scan.lesions.n_predicted, "Predicted lesions"),
    _count(
        "n_true_predicted_lesions",
        lambda scan: scan.lesions.n_true_predicted,
        "Predicted lesions that the reference confirms",
    ),
    _volume("reference_volume_mm3", lambda scan: scan.n_reference * scan.voxel_mm3, "Lesion volume of the reference"),
    _volume("predicted_volume_mm3", lambda scan: scan.n_predicted * scan.voxel_mm3, "Predicted lesion volume"),
)

METRICS: Mapping[str, Metric] = MappingProxyType({row.column.name: row for row in _ROWS})
"""By name. A new metric is a row and a field of :class:`cordlesion.metrics.ScanMetrics`."""

SUBJECT_LABELS: Mapping[str, str] = MappingProxyType(
    {"subject_sensitivity": "P-sensitivity", "subject_specificity": "P-specificity"}
)
"""Printed names of the scores by subject (P, as in patient), see :func:`cordlesion.metrics.subject_scores`."""

_PRINTED_LEVELS: tuple[Level, ...] = ("lesion", "voxel")
METRIC_LABELS: Mapping[str, str] = MappingProxyType(
    {name: row.label for level in _PRINTED_LEVELS for name, row in METRICS.items() if row.label and row.level == level}
)
"""Printed names of the metrics in the report, in the order of the paper: by lesion, then by voxel."""
