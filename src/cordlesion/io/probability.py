"""What a probability is, and when it reaches a threshold: the one place that compares p with t (leaf module).

Equal probabilities come in many storages: as float32, as integers with a slope, as 1 - background, as the sigmoid of a
logit. Each rounds in its own way, so that the same 0.3 lies at, above or below the float32 nearest to 0.3. A comparison
that is exact to the last bit would cut them differently.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cordlesion.errors import CordlesionError

Probability: TypeAlias = npt.NDArray[np.float32]

_SMALLEST = np.finfo(np.float32).smallest_subnormal
ROUNDING = 1e-3
"""Sums of rounded terms may leave [0, 1] by a little: values up to this far outside are clipped."""


def least_lesion(thresholds: npt.ArrayLike) -> Probability:
    """Return the smallest probability that counts as reaching each threshold: 2 units in the last place below it.

    Thresholds and probabilities round by half a unit each, a product with a rounded slope by one more. What is 0
    reaches no threshold but 0.

    Args:
        thresholds: Values in [0, 1], any shape.

    Returns:
        Of the same shape; in the same order.
    """
    t, zero = np.asarray(thresholds, dtype=np.float32), np.float32(0)
    least = np.nextafter(np.nextafter(t, zero), zero)
    return np.where(t > 0, np.maximum(least, _SMALLEST), zero).astype(np.float32, copy=False)


def binarize(probability: npt.ArrayLike, threshold: float) -> npt.NDArray[np.bool_]:
    """Cut a probability map: a voxel is lesion when ``p >= threshold``, within 2 units in the last place of float32.

    Both sides are rounded to float32, the precision of probability maps; :func:`least_lesion` says what is allowed for.
    """
    return np.asarray(probability, dtype=np.float32) >= least_lesion(threshold)


def count_reached(probability: npt.ArrayLike, thresholds: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Count for each probability the thresholds that it reaches: ``binarize(p, thresholds[k])`` where above k.

    Args:
        probability: Values in [0, 1], any shape.
        thresholds: Rising, shape (T,).
    """
    p = np.asarray(probability, dtype=np.float32)
    return np.asarray(np.searchsorted(least_lesion(thresholds), p, side="right"))


def as_probabilities(array: npt.NDArray[Any], name: object, remedy: str = "") -> Probability:
    """Return an array as float32 in [0, 1]; what lies outside by no more than rounding (1e-3) is clipped.

    Args:
        array: Real numbers, any shape, not empty.
        name: What the sentence of an error begins with.
        remedy: What the user can do, a sentence.

    Raises:
        CordlesionError: Values lie farther outside, or are NaN.
    """
    low, high = float(array.min()), float(array.max())  # NaN wherever one voxel is
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
