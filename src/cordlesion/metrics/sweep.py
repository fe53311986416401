"""All metrics of one scan's probability map, at many thresholds."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Float32Array, Mask
from cordlesion.io.probability import as_probabilities, binarize, count_reached
from cordlesion.metrics.component_tree import Level, components_by_level
from cordlesion.metrics.lesion import Components, every_component, find_overlaps
from cordlesion.metrics.overlap import Overlaps
from cordlesion.metrics.rules import LesionRule, resolve_rule
from cordlesion.metrics.scan import ScanMetrics, all_scan_metrics
from cordlesion.metrics.voxel import (
    Box,
    bounding_box,
    checked_array,
    checked_mask,
    require_same_shape,
    voxel_volume_mm3,
)

# Where more of the grid is reached (maps of an untrained network), labelling the level is faster than the tree.
_DENSE_SHARE = 1 / 16
_PART_VOXELS = 2**16
"""Small enough for the cache of a processor."""


def sweep(
    reference: npt.ArrayLike,
    probability: npt.ArrayLike,
    spacing_mm: Sequence[float],
    thresholds: Sequence[float] | npt.NDArray[np.floating],
    rule: str | LesionRule = "study",
) -> list[ScanMetrics]:
    """Compare a probability map with the reference at each threshold, where a voxel is lesion when p >= t.

    The result is exactly that of :func:`evaluate` on ``binarize(probability, t)``, one threshold at a time,
    but the map is labelled once: see :mod:`cordlesion.metrics.component_tree`.

    Args:
        reference: Booleans, or 0 and 1, shape (X, Y, Z).
        probability: Values in [0, 1], the same shape; what lies outside by rounding (up to 1e-3) is clipped.
        spacing_mm: Voxel size along the three axes.
        thresholds: Values in [0, 1], in any order.
        rule: Name of a preset in :data:`cordlesion.LESION_RULES`, or a :class:`LesionRule`.

    Returns:
        Metrics in the order of ``thresholds``.

    Raises:
        CordlesionError: Shapes differ, values lie outside their range, or the spacing or the rule is not valid.

    Examples:
        >>> import cordlesion
        >>> import numpy as np
        >>> reference = np.zeros((20, 20, 20), bool)
        >>> reference[4:8, 4:8, 4:8] = True
        >>> probability = 0.6 * reference + 0.2 * np.roll(reference, 2, axis=0)
        >>> thresholds = (0.2, 0.5, 0.7)
        >>> measured = cordlesion.sweep(reference, probability, (0.5, 0.5, 1.0), thresholds)
        >>> [round(metrics.voxel_f1, 2) for metrics in measured]
        [0.8, 1.0, 0.67]
    """
    resolved, voxel_mm3 = resolve_rule(rule), voxel_volume_mm3(spacing_mm)
    mask, p = checked_mask(reference, "reference"), checked_probability(probability)
    require_same_shape(mask, p, "probability map")
    distinct, places = np.unique(checked_thresholds(thresholds), return_inverse=True)
    levels = find_levels(mask, p, distinct, resolved.connectivity)
    measured = all_scan_metrics([level.overlaps for level in levels], resolved, voxel_mm3)
    return [measured[place] for place in places]


def find_levels(mask: Mask, p: Float32Array, thresholds: Float32Array, connectivity: int) -> list[Level]:
    """Find the components of ``p >= t`` at rising, distinct thresholds, and their overlaps with those of a mask."""
    lowest = 0.0 if p.flat[0] == 0 else p.min()
    whole = int(count_reached(lowest, thresholds))  # the first threshold that some voxel does not reach
    # Nothing is looked for beyond the box of what it or the reference reaches: most of a scan is not cord.
    box = _box_of_either(mask, p, thresholds[whole]) if whole < len(thresholds) else bounding_box(mask)
    lesions, inside = every_component(mask[box], connectivity), p[box].copy(order="K")
    levels, sparse = [_whole_grid(lesions, p)] * whole, whole
    while sparse < len(thresholds):
        reached = binarize(inside, thresholds[sparse])
        if np.count_nonzero(reached) <= _DENSE_SHARE * p.size:
            break
        levels.append(_labelled(lesions, every_component(reached, connectivity), inside))
        sparse += 1
    return [*levels, *components_by_level(inside, thresholds[sparse:], lesions, connectivity)]


def _box_of_either(mask: Mask, p: Float32Array, threshold: float) -> Box:
    """Return the smallest box that holds every voxel of the mask and every voxel of the map that reaches a threshold.

    Part by part: arrays as large as a scan are new memory each time, which costs more than the comparison.
    """
    slow = 2 if p.flags.f_contiguous else 0  # the axis along which parts lie in one piece
    step = max(1, _PART_VOXELS * p.shape[slow] // p.size)
    found = [np.zeros(n, dtype=np.bool_) for n in p.shape]
    for start in range(0, p.shape[slow], step):
        part = tuple(slice(start, start + step) if axis == slow else slice(None) for axis in range(3))
        inside = binarize(p[part], threshold)
        inside |= mask[part]
        if inside.any():
            for axis in range(3):
                found[axis][part[axis]] |= inside.any(axis=tuple(other for other in range(3) if other != axis))
    x, y, z = (np.flatnonzero(one) for one in found)
    if not len(x):
        return slice(0, 0), slice(0, 0), slice(0, 0)
    return slice(int(x[0]), int(x[-1]) + 1), slice(int(y[0]), int(y[-1]) + 1), slice(int(z[0]), int(z[-1]) + 1)


def _whole_grid(lesions: Components, p: Float32Array) -> Level:
    """Return the level of a mask of ones: one component, whatever the connectivity."""
    numbers = np.arange(len(lesions.sizes))
    overlaps = Overlaps(lesions.sizes, np.array([p.size]), numbers, np.zeros_like(numbers), lesions.sizes)
    return Level(overlaps, p.max(keepdims=True).ravel())


def _labelled(lesions: Components, found: Components, p: Float32Array) -> Level:
    peaks = ndimage.maximum(p, found.labels, np.arange(1, len(found.sizes) + 1))
    return Level(find_overlaps(lesions, found), np.asarray(peaks, dtype=np.float32))


def checked_probability(probability: npt.ArrayLike) -> Float32Array:
    """Return a map as float32 in [0, 1], shape (X, Y, Z).

    Raises:
        CordlesionError: It is no such map.
    """
    return as_probabilities(checked_array(probability, "probability map"), "The probability map")


def checked_thresholds(thresholds: Sequence[float] | npt.NDArray[np.floating], *, rising: bool = False) -> Float32Array:
    """Return thresholds as float32, shape (T,).

    Raises:
        CordlesionError: They are no list of values in [0, 1], or do not rise where they must.
    """
    try:
        cuts = np.asarray(thresholds, dtype=np.float32)
    except (TypeError, ValueError):
        raise CordlesionError(f"The thresholds are {thresholds!r}; a list of numbers from 0 to 1 is needed.") from None
    if cuts.ndim != 1 or not ((cuts >= 0) & (cuts <= 1)).all():
        raise CordlesionError(f"The thresholds are {thresholds}; a list of values between 0 and 1 is needed.")
    if rising and not (len(cuts) and (np.diff(cuts) > 0).all()):
        raise CordlesionError(f"The thresholds are {thresholds}; one or more are needed, each higher than the last.")
    return cuts
