"""The curve with the highest score through consecutive slices, by dynamic programming.

As in OptiC (Gros et al. 2018, 10.1016/j.media.2017.12.001) the curve is the global optimum. Two things differ.
Evidence counts per mm along the body and bending per mm of slice gap, so that the result does not depend on the slice
thickness. The curve may begin and end in any slice: it ends where going on would lower the score (local alignment,
Smith & Waterman 1981).
"""

import math
from dataclasses import dataclass

import numpy as np

from cordlesion.io.arrays import Float32Array, FloatArray, Int16Array, IntArray

_START = np.iinfo(np.int16).min


@dataclass(frozen=True, eq=False)
class BestPath:
    """A curve through consecutive slices."""

    first: int
    """Index of its first slice."""
    x: IntArray
    """Pixel index in each of its slices, shape (n,); y likewise."""
    y: IntArray
    score: float
    """Sum of evidence minus the cost of bending; above 0."""


def best_path(
    evidence: Float32Array,
    positions_mm: FloatArray,
    extents_mm: FloatArray,
    pixel_mm: float,
    *,
    stiffness: float,
    max_slope: float,
) -> BestPath | None:
    """Find the curve that maximises the sum of evidence x extent - stiffness x displacement^2 / gap.

    Args:
        evidence: Log-odds that the curve passes through each pixel, shape (N, X, Y).
        positions_mm: Increasing positions of the slices, shape (N,).
        extents_mm: Extent of each slice along the body, in mm, shape (N,).
        pixel_mm: Pixel size.
        stiffness: Cost per mm for a slope of 1.
        max_slope: Largest displacement per mm of gap, rounded up to whole pixels.

    Returns:
        The best curve; None if no evidence is above 0.
    """
    scores = np.zeros(evidence.shape[1:], np.float32)
    steps: list[tuple[Int16Array, Int16Array]] = []
    best = 0.0
    end: tuple[int, int, int] | None = None
    for k, slice_evidence in enumerate(evidence):
        gap_mm = float(positions_mm[k] - positions_mm[k - 1]) if k else math.inf
        reached, step_x, step_y = _from_previous(scores, gap_mm, pixel_mm, stiffness, max_slope)
        step_x[reached <= 0] = _START
        scores = np.maximum(reached, 0) + slice_evidence * np.float32(extents_mm[k])
        steps.append((step_x, step_y))
        if scores.max() > best:
            x, y = divmod(int(scores.argmax()), scores.shape[1])
            best, end = float(scores.max()), (k, x, y)
    return None if end is None else _trace_back(steps, end, best)


def _from_previous(
    scores: Float32Array, gap_mm: float, pixel_mm: float, stiffness: float, max_slope: float
) -> tuple[Float32Array, Int16Array, Int16Array]:
    """Return the best score of a curve up to each pixel, and its step back along x and y."""
    if math.isinf(gap_mm):
        return scores, np.zeros(scores.shape, np.int16), np.zeros(scores.shape, np.int16)
    reach = math.ceil(max_slope * gap_mm / pixel_mm)
    shifts = np.arange(-reach, reach + 1)
    costs = (stiffness * (shifts * pixel_mm) ** 2 / gap_mm).astype(np.float32)
    # The cost is a sum over the axes, so they can be optimised one after the other.
    along_x, step_x = _best_shift(scores, shifts, costs, axis=0)
    reached, step_y = _best_shift(along_x, shifts, costs, axis=1)
    columns = np.clip(np.arange(scores.shape[1]) + step_y, 0, scores.shape[1] - 1)
    return reached, np.take_along_axis(step_x, columns, axis=1), step_y


def _best_shift(
    scores: Float32Array, shifts: IntArray, costs: Float32Array, axis: int
) -> tuple[Float32Array, Int16Array]:
    scores = np.moveaxis(scores, axis, 0)
    best = np.full(scores.shape, -np.inf, np.float32)
    step = np.zeros(scores.shape, np.int16)
    length = len(scores)
    for shift, cost in zip(shifts.tolist(), costs.tolist(), strict=True):
        if abs(shift) >= length:
            continue
        to, source = slice(max(0, -shift), length - max(0, shift)), slice(max(0, shift), length - max(0, -shift))
        offer = scores[source] - cost
        better = offer > best[to]
        best[to][better] = offer[better]
        step[to][better] = shift
    return np.moveaxis(best, 0, axis), np.moveaxis(step, 0, axis)


def _trace_back(steps: list[tuple[Int16Array, Int16Array]], end: tuple[int, int, int], score: float) -> BestPath:
    k, x, y = end
    path = [(x, y)]
    while steps[k][0][x, y] != _START:
        step_x, step_y = steps[k]
        x, y = x + int(step_x[x, y]), y + int(step_y[x, y])
        k -= 1
        path.append((x, y))
    xs, ys = np.array(path[::-1], np.int64).T
    return BestPath(k, xs, ys, score)
