"""All metrics of one scan's mask, by one lesion rule or by several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cordlesion.io.arrays import FloatArray, IntArray, Mask
from cordlesion.io.html import html_rows
from cordlesion.metrics.lesion import Lesions, checked_lesions, count_detected, lesion_overlaps
from cordlesion.metrics.overlap import Overlaps, detect
from cordlesion.metrics.rules import RULES, LesionRule, resolve_rule
from cordlesion.metrics.table import METRICS, ScanFacts
from cordlesion.metrics.voxel import voxel_volume_mm3


@dataclass(frozen=True)
class ScanMetrics:
    """Agreement of a prediction with the reference of one scan: the metrics of the table, as fields.

    Written decisions:

    * Reference without lesion voxels: the six scores are NaN; counts and volumes are still reported.
    * Reference whose lesions are all below the minimum volume: the lesion scores are NaN, the voxel scores are not.
    * Nothing predicted, but lesions in the reference: all scores are 0, precision included.
    * Volumes and voxel scores are those of the masks as given; the minimum volume applies to lesions only.

    Examples:
        >>> import cordlesion
        >>> import numpy as np
        >>> nothing, lesion = np.zeros((8, 8, 8), bool), np.ones((8, 8, 8), bool)
        >>> metrics = cordlesion.evaluate(nothing, lesion, (1, 1, 1))
        >>> metrics.voxel_f1, metrics.n_false_lesions, metrics.predicted_volume_mm3
        (nan, 1, 512.0)
    """

    voxel_sensitivity: float
    voxel_precision: float
    voxel_f1: float
    lesion_sensitivity: float
    lesion_precision: float
    lesion_f1: float
    n_reference_lesions: int
    n_detected_lesions: int
    """Reference lesions that the prediction detects."""
    n_predicted_lesions: int
    n_true_predicted_lesions: int
    """Predicted lesions that the reference confirms; may differ from the number of detected lesions."""
    reference_volume_mm3: float
    predicted_volume_mm3: float

    @property
    def n_false_lesions(self) -> int:
        """Predicted lesions that the reference does not confirm."""
        return self.n_predicted_lesions - self.n_true_predicted_lesions

    def _repr_html_(self) -> str:
        rows = {}
        for name, value in {**vars(self), "n_false_lesions": self.n_false_lesions}.items():
            unit = " mm³" if name.endswith("_mm3") else ""
            words = name.removeprefix("n_").removesuffix("_mm3").replace("_", " ")
            rows[words] = f"{value:.0f}{unit}" if unit or isinstance(value, int) else f"{value:.3f}"
        return html_rows("Agreement with the reference", rows)


@dataclass(frozen=True, eq=False)
class LesionMatches:
    """The lesions of one scan, one by one."""

    reference_volumes_mm3: FloatArray
    """Volume of each lesion of the reference, shape (L,)."""
    detected: Mask
    """Which of them the prediction detects, shape (L,)."""
    predicted_volumes_mm3: FloatArray
    """Volume of each predicted lesion, shape (C,)."""
    true_predicted: Mask
    """Which of them the reference confirms, shape (C,)."""


def evaluate(
    reference: Lesions,
    prediction: Lesions,
    spacing_mm: Sequence[float],
    rule: str | LesionRule = "study",
) -> ScanMetrics:
    """Compare a predicted mask with the reference.

    Args:
        reference: Booleans, or 0 and 1, shape (X, Y, Z); or lesions that are given, each as it is, from
            :func:`cordlesion.lesions_of_labels`.
        prediction: The same.
        spacing_mm: Voxel size along the three axes.
        rule: Name of a preset in :data:`cordlesion.LESION_RULES`, or a :class:`LesionRule`.

    Raises:
        CordlesionError: Shapes differ, an array is not binary, or the spacing or the rule is not valid.

    Examples:
        >>> import cordlesion
        >>> import numpy as np
        >>> reference = np.zeros((20, 20, 20), bool)
        >>> reference[4:8, 4:8, 4:8] = True
        >>> prediction = np.roll(reference, 1, axis=2)
        >>> metrics = cordlesion.evaluate(reference, prediction, spacing_mm=(0.5, 0.5, 1.0))
        >>> metrics.voxel_f1, metrics.lesion_f1, metrics.reference_volume_mm3
        (0.75, 1.0, 16.0)
    """
    resolved, voxel_mm3 = resolve_rule(rule), voxel_volume_mm3(spacing_mm)
    overlaps = lesion_overlaps(*checked_lesions(reference, prediction), resolved.connectivity)
    return scan_metrics(overlaps, resolved, voxel_mm3)


def evaluate_rules(
    reference: Lesions,
    prediction: Lesions,
    spacing_mm: Sequence[float],
    rules: Mapping[str, LesionRule] = RULES,
) -> dict[str, ScanMetrics]:
    """Compare a predicted mask with the reference by several lesion rules, to see what depends on the rule.

    Masks are labelled once per connectivity. Voxel scores and volumes are the same under every rule.

    Args:
        reference: Booleans, or 0 and 1, shape (X, Y, Z); or lesions that are given, each as it is, from
            :func:`cordlesion.lesions_of_labels`.
        prediction: The same.
        spacing_mm: Voxel size along the three axes.
        rules: By name.

    Returns:
        The metrics that :func:`evaluate` gives under each rule, by its name.

    Raises:
        CordlesionError: Shapes differ, an array is not binary, or the spacing is not valid.

    Examples:
        >>> import cordlesion
        >>> import numpy as np
        >>> reference, prediction = np.zeros((2, 20, 20, 20), bool)
        >>> reference[4:8, 4:8, 4:14] = prediction[4:8, 4:8, 12:14] = True
        >>> for rule, metrics in cordlesion.evaluate_rules(reference, prediction, (0.5, 0.5, 1.0)).items():
        ...     print(rule, metrics.n_detected_lesions)
        study 0
        anima 1
        ivadomed 1
        multi_spine 1
        any_overlap 1
        iou50 0
    """
    voxel_mm3, lesions = voxel_volume_mm3(spacing_mm), checked_lesions(reference, prediction)
    overlaps = {n: lesion_overlaps(*lesions, n) for n in {rule.connectivity for rule in rules.values()}}
    return {name: scan_metrics(overlaps[rule.connectivity], rule, voxel_mm3) for name, rule in rules.items()}


def match_lesions(
    reference: Lesions,
    prediction: Lesions,
    spacing_mm: Sequence[float],
    rule: str | LesionRule = "study",
) -> LesionMatches:
    """Find out of every lesion of a scan whether it is detected, and of every predicted one whether it is true.

    Args:
        reference: Booleans, or 0 and 1, shape (X, Y, Z); or lesions that are given, each as it is, from
            :func:`cordlesion.lesions_of_labels`.
        prediction: The same.
        spacing_mm: Voxel size along the three axes.
        rule: Name of a preset in :data:`cordlesion.LESION_RULES`, or a :class:`LesionRule`.

    Raises:
        CordlesionError: Shapes differ, an array is not binary, or the spacing or the rule is not valid.
    """
    resolved, voxel_mm3 = resolve_rule(rule), voxel_volume_mm3(spacing_mm)
    overlaps = lesion_overlaps(*checked_lesions(reference, prediction), resolved.connectivity)
    overlaps = overlaps.without_small(resolved.min_voxels(voxel_mm3))
    detected, true = detect(overlaps, resolved)
    volumes, predicted_volumes = (
        sizes.astype(np.float64) * voxel_mm3 for sizes in (overlaps.sizes, overlaps.candidate_sizes)
    )
    return LesionMatches(volumes, detected, predicted_volumes, true)


def scan_metrics(overlaps: Overlaps, rule: LesionRule, voxel_mm3: float) -> ScanMetrics:
    """Put the metrics together from sizes and overlaps.

    Args:
        overlaps: Of components of every size, found with the rule's connectivity, so that they hold every voxel.
        rule: Decides what is a lesion, and what is detected.
        voxel_mm3: Volume of a voxel.
    """
    return all_scan_metrics([overlaps], rule, voxel_mm3)[0]


def all_scan_metrics(overlaps: Sequence[Overlaps], rule: LesionRule, voxel_mm3: float) -> list[ScanMetrics]:
    """Put the metrics of several masks together as :func:`scan_metrics` does, many times faster than one by one."""
    counts = count_detected(overlaps, rule, rule.min_voxels(voxel_mm3))
    voxels = (
        _sums([one.sizes for one in overlaps]),
        _sums([one.candidate_sizes for one in overlaps]),
        _sums([one.voxels for one in overlaps]),
    )
    return [scan_metrics_of(ScanFacts(*one, voxel_mm3)) for one in zip(*voxels, counts, strict=True)]


def _sums(parts: Sequence[IntArray]) -> list[int]:
    """Return the sum of each of several arrays, of all at once: a call of numpy costs more than a few sums."""
    if not parts:
        return []
    ends = np.cumsum([len(part) for part in parts])
    total = np.concatenate([[0], np.cumsum(np.concatenate(parts))])
    sums: list[int] = np.diff(total[ends], prepend=0).tolist()
    return sums


def scan_metrics_of(facts: ScanFacts) -> ScanMetrics:
    """Return all metrics of a scan from its counts."""
    values: dict[str, Any] = {name: metric.measure(facts) for name, metric in METRICS.items()}
    return ScanMetrics(**values)
