"""All metrics of one scan's probability map by thresholds on its components: cut at t, kept by peak and by volume.

A component of ``p >= t`` is kept when its highest probability reaches a second threshold and its volume is larger than
a minimum: hysteresis thresholding (Canny, IEEE Trans. Pattern Anal. Mach. Intell. 1986) and an area opening at once.
Peaks and sizes of all components come from one component tree, so that no combination is labelled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray, IntArray, Mask
from cordlesion.io.probability import count_reached
from cordlesion.metrics.component_tree import Level
from cordlesion.metrics.lesion import LesionCounts, count_by_part
from cordlesion.metrics.overlap import Overlaps
from cordlesion.metrics.rules import LesionRule, resolve_rule
from cordlesion.metrics.scan import ScanMetrics, scan_metrics_of
from cordlesion.metrics.sweep import checked_probability, checked_thresholds, find_levels
from cordlesion.metrics.table import ScanFacts
from cordlesion.metrics.voxel import checked_mask, require_same_shape, voxel_volume_mm3


@dataclass(frozen=True, eq=False)
class ComponentSweep:
    """The metrics of one scan at every combination of T thresholds and of what decides which components are kept."""

    measured: tuple[ScanMetrics, ...]
    """Each that occurs, once."""
    places: IntArray
    """Which of them each combination has: shape (T, P, V) with peaks and minimum volumes, (T, K) with numbers."""

    def column(self, name: str) -> FloatArray:
        """Return one metric at every combination, in the shape of ``places``."""
        values = np.array([getattr(one, name) for one in self.measured], dtype=np.float64)
        found: FloatArray = values[self.places]
        return found


@dataclass(frozen=True, eq=False)
class _Cells:
    """The distinct sets of components that are kept at one level, and which combination keeps which set."""

    kept: Mask
    """Shape (S, C)."""
    places: IntArray
    """The set of each combination, shape (P, V) or (K,)."""


def sweep_peaks(
    reference: npt.ArrayLike,
    probability: npt.ArrayLike,
    spacing_mm: Sequence[float],
    thresholds: Sequence[float] | npt.NDArray[np.floating],
    peaks: Sequence[float] | npt.NDArray[np.floating],
    minimum_volumes_mm3: Sequence[float] = (0.0,),
    rule: str | LesionRule = "study",
) -> ComponentSweep:
    """Compare a map with the reference at each threshold, with each peak and each minimum volume.

    A voxel is predicted lesion when its component of ``p >= t`` (connected as the rule connects lesions) has a voxel of
    ``p >= peak`` and is larger than the minimum volume. A peak up to t keeps every component.

    Args:
        reference: Booleans, or 0 and 1, shape (X, Y, Z).
        probability: Values in [0, 1], the same shape; what lies outside by rounding (up to 1e-3) is clipped.
        spacing_mm: Voxel size along the three axes.
        thresholds: Values in [0, 1], rising.
        peaks: Values in [0, 1], rising.
        minimum_volumes_mm3: Rising; components are kept when *larger*.
        rule: Name of a preset in :data:`cordlesion.LESION_RULES`, or a :class:`LesionRule`.

    Raises:
        CordlesionError: Shapes differ, values lie outside their range or do not rise, or the spacing or the rule is not
            valid.

    Examples:
        >>> import numpy as np
        >>> from cordlesion.metrics import sweep_peaks
        >>> reference = np.zeros((20, 20, 20), bool)
        >>> reference[4:8, 4:8, 4:8] = True
        >>> probability = 0.4 * reference + 0.4 * np.roll(reference, 10, axis=0)
        >>> probability[5, 5, 5] = 0.9  # only the true lesion has a high peak
        >>> swept = sweep_peaks(reference, probability, (1, 1, 1), thresholds=[0.3], peaks=[0.3, 0.8])
        >>> swept.column("n_predicted_lesions").tolist(), swept.column("voxel_f1").round(2).tolist()
        ([[[2.0], [1.0]]], [[[0.67], [1.0]]])
    """
    voxel_mm3 = voxel_volume_mm3(spacing_mm)
    reached = checked_thresholds(peaks, rising=True)
    least = np.array([LesionRule(min_volume_mm3=volume).min_voxels(voxel_mm3) for volume in minimum_volumes_mm3])
    if not len(least) or not (np.diff(np.asarray(minimum_volumes_mm3)) > 0).all():
        raise CordlesionError(
            f"The minimum volumes are {minimum_volumes_mm3}; one or more are needed, each higher than the last."
        )
    return _sweep(reference, probability, voxel_mm3, thresholds, rule, lambda level: _cells(level, reached, least))


def sweep_highest(
    reference: npt.ArrayLike,
    probability: npt.ArrayLike,
    spacing_mm: Sequence[float],
    thresholds: Sequence[float] | npt.NDArray[np.floating],
    numbers: Sequence[float],
    rule: str | LesionRule = "study",
) -> ComponentSweep:
    """Compare a map with the reference at each threshold, where only the components with the highest peaks are kept.

    Args:
        reference: As for :func:`sweep_peaks`, and so are all others but one.
        probability: The same shape.
        spacing_mm: Voxel size along the three axes.
        thresholds: Values in [0, 1], rising.
        numbers: How many components are kept at most; of equal peaks the first in scan order.
        rule: Name of a preset in :data:`cordlesion.LESION_RULES`, or a :class:`LesionRule`.

    Raises:
        CordlesionError: As for :func:`sweep_peaks`.

    Examples:
        >>> import numpy as np
        >>> from cordlesion.metrics import sweep_highest
        >>> reference = np.zeros((20, 20, 20), bool)
        >>> reference[4:8, 4:8, 4:8] = True
        >>> probability = 0.5 * reference + 0.4 * np.roll(reference, 10, axis=0)
        >>> swept = sweep_highest(reference, probability, (1, 1, 1), thresholds=[0.3], numbers=[1, 2])
        >>> swept.column("n_false_lesions").tolist()
        [[0.0, 1.0]]
    """
    limits = np.asarray(numbers, dtype=np.float64)
    if not len(limits) or not (limits >= 1).all():
        raise CordlesionError(f"The numbers of components are {numbers}; one or more are needed, each at least 1.")
    return _sweep(
        reference, probability, voxel_volume_mm3(spacing_mm), thresholds, rule, lambda level: _highest(level, limits)
    )


def _sweep(
    reference: npt.ArrayLike,
    probability: npt.ArrayLike,
    voxel_mm3: float,
    thresholds: Sequence[float] | npt.NDArray[np.floating],
    rule: str | LesionRule,
    cells_of: Callable[[Level], _Cells],
) -> ComponentSweep:
    resolved, cuts = resolve_rule(rule), checked_thresholds(thresholds, rising=True)
    mask, p = checked_mask(reference, "reference"), checked_probability(probability)
    require_same_shape(mask, p, "probability map")
    levels = find_levels(mask, p, cuts, resolved.connectivity)
    cells = [cells_of(level) for level in levels]
    facts = _facts(levels, cells, resolved, resolved.min_voxels(voxel_mm3))
    distinct, which = np.unique(facts, axis=0, return_inverse=True)
    starts = np.cumsum([0, *(len(one.kept) for one in cells)])[:-1]
    places = which.ravel()[np.stack([start + one.places for start, one in zip(starts, cells, strict=True)])]
    n_reference = int(np.count_nonzero(mask))
    measured = [
        scan_metrics_of(ScanFacts(n_reference, n_predicted, n_common, LesionCounts(*counts), voxel_mm3))
        for n_predicted, n_common, *counts in distinct.tolist()
    ]
    return ComponentSweep(tuple(measured), places)


def _highest(level: Level, numbers: FloatArray) -> _Cells:
    """Return which components each number keeps."""
    rank = np.empty(len(level.peaks))
    rank[np.argsort(-level.peaks, kind="stable")] = np.arange(len(rank))
    return _Cells(rank < numbers[:, np.newaxis], np.arange(len(numbers)))


def _cells(level: Level, peaks: npt.NDArray[np.float32], least_voxels: IntArray) -> _Cells:
    """Return which components each peak and minimum volume keep; combinations that keep the same are one set."""
    high, peak_steps = _steps(count_reached(level.peaks, peaks), len(peaks))
    large, volume_steps = _steps(
        np.searchsorted(least_voxels, level.overlaps.candidate_sizes, side="right"), len(least_voxels)
    )
    n_high, n_large = peak_steps[-1] + 1, volume_steps[-1] + 1
    kept = (high >= np.arange(n_high)[:, np.newaxis, np.newaxis]) & (large >= np.arange(n_large)[:, np.newaxis])
    places = peak_steps[:, np.newaxis] * n_large + volume_steps
    return _Cells(kept.reshape(n_high * n_large, -1), places)


def _steps(passed: IntArray, n_limits: int) -> tuple[IntArray, IntArray]:
    """Number the limits that differ in what passes them.

    Args:
        passed: How many of the rising limits each component passes, shape (C,).
        n_limits: How many there are.

    Returns:
        The last step that each component passes, shape (C,), and the step of each limit, shape (n_limits,).
    """
    values, last = np.unique(passed, return_inverse=True)
    steps = np.searchsorted(values, np.arange(n_limits), side="right")
    first = steps[0]
    return last - first, steps - first


def _facts(levels: Sequence[Level], cells: Sequence[_Cells], rule: LesionRule, min_voxels: int) -> IntArray:
    """Return predicted and common voxels and the four lesion counts of every set of every level, shape (S, 6)."""
    voxels = [
        np.stack([one.kept @ of.candidate_sizes, one.kept[:, of.candidates] @ of.voxels], axis=1)
        for one, of in ((one, level.overlaps) for one, level in zip(cells, levels, strict=True))
    ]
    lesions, candidates, together = _side_by_side(levels, cells)
    n_sets = sum(len(one.kept) for one in cells)
    counts = count_by_part(together, lesions, candidates, n_sets, rule, min_voxels)
    return np.concatenate([np.concatenate(voxels), counts], axis=1)


def _side_by_side(levels: Sequence[Level], cells: Sequence[_Cells]) -> tuple[IntArray, IntArray, Overlaps]:
    """Return the part of each lesion, that of each candidate, and all sets of all levels as one scan."""
    sizes = levels[0].overlaps.sizes if levels else np.zeros(0, dtype=np.int64)
    n_sets, n_candidates = 0, 0
    parts: list[tuple[IntArray, ...]] = []
    for level, one in zip(levels, cells, strict=True):
        of = level.overlaps
        in_set, candidate = np.nonzero(one.kept)
        number = np.full(one.kept.shape, -1)
        number[in_set, candidate] = n_candidates + np.arange(len(candidate))
        pair_set, pair = np.nonzero(one.kept[:, of.candidates])
        lesion = (n_sets + pair_set) * len(sizes) + of.lesions[pair]
        parts.append(
            (
                n_sets + in_set,
                of.candidate_sizes[candidate],
                lesion,
                number[pair_set, of.candidates[pair]],
                of.voxels[pair],
            )
        )
        n_sets, n_candidates = n_sets + len(one.kept), n_candidates + len(candidate)
    candidates, candidate_sizes, *pairs = (np.concatenate(each) for each in zip(*parts, strict=True))
    lesions = np.repeat(np.arange(n_sets), len(sizes))
    return lesions, candidates, Overlaps(np.tile(sizes, n_sets), candidate_sizes, *pairs)
