"""How sure a curve is: by its worst stretch, because one lost stretch is where lesions are missed."""

import numpy as np

from cordlesion.io.arrays import FloatArray

STRETCH_MM = 10.0


def lowest_confidence(probability: FloatArray, extents_mm: FloatArray, stretch_mm: float = STRETCH_MM) -> float:
    """Return the lowest mean probability over any stretch of a curve.

    Args:
        probability: Probability of cord in each slice (or slab) of the curve, shape (N,).
        extents_mm: Extent of each of them along the body, shape (N,).
        stretch_mm: Length of the stretch; of a shorter curve the mean is returned.
    """
    borders = np.concatenate([[0.0], np.cumsum(extents_mm)])
    total = np.concatenate([[0.0], np.cumsum(probability * extents_mm)])
    length = min(stretch_mm, float(borders[-1]))
    # The mean is a piecewise linear function of where the stretch begins: it is lowest where an end meets a border.
    starts = np.concatenate([borders, borders - length]).clip(0, borders[-1] - length)
    within = np.interp(starts + length, borders, total) - np.interp(starts, borders, total)
    # Sums round: the mean of equal values must not exceed them.
    return float((within / length).min().clip(probability.min(), probability.max()))
