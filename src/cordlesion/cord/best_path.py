"""The curve with the highest score through consecutive slices, by dynamic programming.

As in OptiC (Gros et al. 2018, 10.1016/j.media.2017.12.001) the curve is the global optimum. Two things differ.
Evidence counts per mm along the body and bending per mm of slice gap, so that the result does not depend on the slice
thickness. The curve may begin and end in any slice: it ends where going on would lower the score (local alignment,
Smith & Waterman 1981).
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

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
    state: IntArray
    """State in each of its slices; it never decreases."""
    score: float
    """Sum of evidence minus the cost of bending; above 0."""


_Steps: TypeAlias = tuple[Int16Array, Int16Array, Int16Array]
"""For each state and pixel the step back along x and y, and the state that the curve comes from."""


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

    The curve passes through one or more states, such as the dural sac, the cord and the brainstem from bottom to top,
    in their order; states may be left out. It begins and ends in any state.

    Args:
        evidence: Log-odds that the curve passes through each pixel in each state, shape (S, N, X, Y).
        positions_mm: Increasing positions of the slices, shape (N,).
        extents_mm: Extent of each slice along the body, in mm, shape (N,).
        pixel_mm: Pixel size.
        stiffness: Cost per mm for a slope of 1.
        max_slope: Largest displacement per mm of gap, rounded up to whole pixels.

    Returns:
        The best curve; None if no evidence is above 0.
    """
    n_states, n_slices, *shape = evidence.shape
    scores = np.zeros((n_states, *shape), np.float32)
    steps: list[_Steps] = []
    best = 0.0
    end: tuple[int, int, int, int] | None = None
    for k in range(n_slices):
        gap_mm = float(positions_mm[k] - positions_mm[k - 1]) if k else math.inf
        reached, back = _from_lower_states(*_from_previous(scores, gap_mm, pixel_mm, stiffness, max_slope))
        back[0][reached <= 0] = _START
        scores = np.maximum(reached, 0) + evidence[:, k] * np.float32(extents_mm[k])
        steps.append(back)
        if scores.max() > best:
            state, x, y = (int(at) for at in np.unravel_index(scores.argmax(), scores.shape))
            best, end = float(scores.max()), (k, state, x, y)
    return None if end is None else _trace_back(steps, end, best)


def _from_lower_states(reached: Float32Array, step_x: Int16Array, step_y: Int16Array) -> tuple[Float32Array, _Steps]:
    """Let the curve come from the best of each state and the states before it."""
    source = np.broadcast_to(np.arange(len(reached), dtype=np.int16)[:, None, None], reached.shape).copy()
    for state in range(1, len(reached)):
        better = reached[state - 1] > reached[state]
        for values in (reached, step_x, step_y, source):
            values[state][better] = values[state - 1][better]
    return reached, (step_x, step_y, source)


def _from_previous(
    scores: Float32Array, gap_mm: float, pixel_mm: float, stiffness: float, max_slope: float
) -> tuple[Float32Array, Int16Array, Int16Array]:
    """Return the best score of a curve up to each pixel in each state, and its step back along x and y."""
    if math.isinf(gap_mm):
        return scores.copy(), np.zeros(scores.shape, np.int16), np.zeros(scores.shape, np.int16)
    reach = math.ceil(max_slope * gap_mm / pixel_mm)
    shifts = np.arange(-reach, reach + 1)
    costs = (stiffness * (shifts * pixel_mm) ** 2 / gap_mm).astype(np.float32)
    # The cost is a sum over the axes, so they can be optimised one after the other.
    along_x, step_x = _best_shift(scores, shifts, costs, axis=1)
    reached, step_y = _best_shift(along_x, shifts, costs, axis=2)
    columns = np.clip(np.arange(scores.shape[2]) + step_y, 0, scores.shape[2] - 1)
    return reached, np.take_along_axis(step_x, columns, axis=2), step_y


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


def _trace_back(steps: list[_Steps], end: tuple[int, int, int, int], score: float) -> BestPath:
    k, state, x, y = end
    path = [(state, x, y)]
    while steps[k][0][state, x, y] != _START:
        step_x, step_y, source = (each[state, x, y] for each in steps[k])
        state, x, y = int(source), x + int(step_x), y + int(step_y)
        k -= 1
        path.append((state, x, y))
    states, xs, ys = np.array(path[::-1], np.int64).T
    return BestPath(k, xs, ys, states, score)
