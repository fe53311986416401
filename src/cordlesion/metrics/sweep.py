"""All metrics of one scan: of a mask, and of a probability map at many thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cordlesion.errors import CordlesionError
from cordlesion.metrics.lesion import (
    Components,
    LesionRule,
    count_lesions,
    label_components,
    lesion_scores,
    resolve_rule,
)
from cordlesion.metrics.voxel import (
    Mask,
    binarize,
    bounding_box,
    checked_array,
    checked_mask,
    require_same_shape,
    voxel_scores,
    voxel_volume_mm3,
)


@dataclass(frozen=True)
class ScanMetrics:
    """Agreement of a prediction with the reference of one scan.

    Written decisions:

    * Reference without lesion voxels: the six scores are NaN; counts and volumes are still reported.
    * Reference whose lesions are all below the minimum volume: the lesion scores are NaN, the voxel scores are not.
    * Nothing predicted beside a reference with lesions: all scores are 0, precision included.
    * Volumes and voxel scores are those of the masks as given; the minimum volume applies to lesions only.
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


@dataclass(frozen=True, eq=False)
class _Reference:
    """A reference, labelled once, seen through the box of interest."""

    mask: Mask
    lesions: Components
    n_voxels: int
    voxel_mm3: float
    rule: LesionRule


def evaluate(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float],
    rule: str | LesionRule = "study",
) -> ScanMetrics:
    """Compare a predicted mask with the reference.

    Args:
        reference: Booleans, or 0 and 1, shape (X, Y, Z).
        prediction: The same.
        spacing_mm: Voxel size along the three axes.
        rule: Name of a preset in :data:`RULES`, or a :class:`LesionRule`.

    Raises:
        CordlesionError: Shapes differ, an array is not binary, or the spacing or the rule is not valid.
    """
    prepared = _prepare(reference, spacing_mm, rule)
    mask = checked_mask(prediction, "prediction")
    require_same_shape(prepared.mask, mask, "prediction")
    return _measure(prepared, mask)


def sweep(
    reference: npt.ArrayLike,
    probability: npt.ArrayLike,
    spacing_mm: Sequence[float],
    thresholds: Sequence[float] | npt.NDArray[np.floating],
    rule: str | LesionRule = "study",
) -> list[ScanMetrics]:
    """Compare a probability map with the reference at each threshold, where a voxel is lesion when p >= t.

    The result is exactly that of :func:`evaluate` on ``binarize(probability, t)`` (compared in float32), one threshold
    at a time; the reference is labelled once, and voxels that no later threshold reaches are dropped on the way.

    Args:
        reference: Booleans, or 0 and 1, shape (X, Y, Z).
        probability: Values in [0, 1], the same shape.
        spacing_mm: Voxel size along the three axes.
        thresholds: Values in [0, 1], in any order.
        rule: Name of a preset in :data:`RULES`, or a :class:`LesionRule`.

    Returns:
        Metrics in the order of ``thresholds``.

    Raises:
        CordlesionError: Shapes differ, values lie outside their range, or the spacing or the rule is not valid.
    """
    prepared = _prepare(reference, spacing_mm, rule)
    p = _checked_probability(probability)
    require_same_shape(prepared.mask, p, "probability map")
    cuts = _checked_thresholds(thresholds)
    measured: dict[float, ScanMetrics] = {}
    # Ascending, because all that a higher threshold keeps lies in the box of a lower one.
    for cut in np.unique(cuts).tolist():
        mask = binarize(p, cut)
        box = bounding_box(mask)
        p, mask, prepared = p[box], mask[box], _within(prepared, box)
        measured[cut] = _measure(prepared, mask)
    return [measured[cut] for cut in cuts.tolist()]


def _prepare(reference: npt.ArrayLike, spacing_mm: Sequence[float], rule: str | LesionRule) -> _Reference:
    resolved, voxel_mm3 = resolve_rule(rule), voxel_volume_mm3(spacing_mm)
    mask = checked_mask(reference, "reference")
    return _Reference(mask, label_components(mask, resolved, voxel_mm3), int(mask.sum()), voxel_mm3, resolved)


def _within(reference: _Reference, box: tuple[slice, slice, slice]) -> _Reference:
    """See a reference through a box that holds the whole prediction: what is cut off has nothing in common with it."""
    return _Reference(
        reference.mask[box], reference.lesions.within(box), reference.n_voxels, reference.voxel_mm3, reference.rule
    )


def _measure(reference: _Reference, mask: Mask) -> ScanMetrics:
    n_predicted = int(np.count_nonzero(mask))
    voxel = voxel_scores(reference.n_voxels, n_predicted, int(np.count_nonzero(mask & reference.mask)))
    predicted = label_components(mask, reference.rule, reference.voxel_mm3)
    counts = count_lesions(reference.lesions, predicted, reference.rule)
    lesion = lesion_scores(counts)
    return ScanMetrics(
        voxel_sensitivity=voxel.sensitivity,
        voxel_precision=voxel.precision,
        voxel_f1=voxel.f1,
        lesion_sensitivity=lesion.sensitivity,
        lesion_precision=lesion.precision,
        lesion_f1=lesion.f1,
        n_reference_lesions=counts.n_reference,
        n_detected_lesions=counts.n_detected,
        n_predicted_lesions=counts.n_predicted,
        n_true_predicted_lesions=counts.n_true_predicted,
        reference_volume_mm3=reference.n_voxels * reference.voxel_mm3,
        predicted_volume_mm3=n_predicted * reference.voxel_mm3,
    )


def _checked_probability(probability: npt.ArrayLike) -> npt.NDArray[np.float32]:
    p = checked_array(probability, "probability map").astype(np.float32, copy=False)
    low, high = p.min(), p.max()
    if not (low >= 0 and high <= 1):  # NaN fails too
        raise CordlesionError(
            f"The probability map has values from {low:g} to {high:g}; probabilities between 0 and 1 are needed. "
            "Give probabilities, not logits or percentages."
        )
    return p


def _checked_thresholds(thresholds: Sequence[float] | npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    cuts = np.asarray(thresholds, dtype=np.float32)
    if cuts.ndim != 1 or not ((cuts >= 0) & (cuts <= 1)).all():
        raise CordlesionError(f"The thresholds are {thresholds}; a list of values between 0 and 1 is needed.")
    return cuts
