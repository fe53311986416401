"""Probabilities, and their comparison with a threshold: only this module compares p with t (leaf module).

The same probability can be stored as float32, as an integer with a slope, as 1 - background, or as the sigmoid of a
logit. Each form has other rounding errors, so a stored 0.3 may be equal to, above or below the float32 nearest to 0.3.
An exact comparison would therefore binarize them differently.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Array, Float32Array, IndexArray, Mask

Probability: TypeAlias = Float32Array

_SMALLEST = np.finfo(np.float32).smallest_subnormal
ROUNDING = 1e-3
"""Sums of rounded terms may be slightly outside [0, 1]; values outside by up to this amount are clipped."""


def min_lesion_probability(thresholds: npt.ArrayLike) -> Probability:
    """Return the smallest probability that counts as lesion at each threshold: 2 units in the last place below it.

    The rounding errors of a threshold and a probability are half a unit each, that of a product with a rounded slope is
    one unit. A probability of 0 reaches only the threshold 0.

    Args:
        thresholds: Values in [0, 1], any shape.

    Returns:
        Probabilities of the same shape.
    """
    t, zero = np.asarray(thresholds, dtype=np.float32), np.float32(0)
    least = np.nextafter(np.nextafter(t, zero), zero)
    return np.where(t > 0, np.maximum(least, _SMALLEST), zero).astype(np.float32, copy=False)


def binarize(probability: npt.ArrayLike, threshold: float) -> Mask:
    """Binarize a probability map: a voxel is lesion if ``p >= threshold``, within 2 units in the last place of float32.

    Both sides are rounded to float32, the precision of probability maps; :func:`min_lesion_probability` defines the
    tolerance.

    Examples:
        >>> import cordlesion
        >>> cordlesion.binarize([0.29, 0.3, 0.31], 0.3)
        array([False,  True,  True])

    Raises:
        CordlesionError: The threshold is NaN.
    """
    if threshold != threshold:
        raise CordlesionError("The threshold is NaN; a number from 0 to 1 is needed. Choose one.")
    return np.asarray(probability, dtype=np.float32) >= min_lesion_probability(threshold)


def count_reached(probability: npt.ArrayLike, thresholds: npt.ArrayLike) -> IndexArray:
    """Count, for each probability, the thresholds that it reaches: the count is above k if p reaches ``thresholds[k]``.

    Args:
        probability: Values in [0, 1], any shape.
        thresholds: Increasing thresholds, shape (T,).
    """
    p = np.asarray(probability, dtype=np.float32)
    return np.asarray(np.searchsorted(min_lesion_probability(thresholds), p, side="right"))


def as_probabilities(array: Array, name: object, remedy: str = "") -> Probability:
    """Return an array as float32 in [0, 1]; values outside by at most the rounding error (1e-3) are clipped.

    Args:
        array: Real numbers, any shape, not empty.
        name: Name of the array, at the start of an error message.
        remedy: What the user can do, as a sentence.

    Raises:
        CordlesionError: Values are farther outside, or NaN.
    """
    low, high = float(array.min()), float(array.max())  # NaN if any voxel is NaN
    if np.isnan(low):
        n = int(np.count_nonzero(np.isnan(array)))
        raise CordlesionError(
            f"{name}: holds NaN in {n} of {array.size} voxels; probabilities between 0 and 1 are needed. "
            "Export it again."
        )
    if low < -ROUNDING or high > 1 + ROUNDING:
        wanted = remedy or "Give probabilities, not logits or percentages."
        raise CordlesionError(
            f"{name}: values from {low:g} to {high:g} found; probabilities between 0 and 1 are needed. {wanted}"
        )
    p: Probability = array.astype(np.float32, copy=False)
    return p if low >= 0 and high <= 1 else np.clip(p, np.float32(0), np.float32(1))
