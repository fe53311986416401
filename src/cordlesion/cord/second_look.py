"""A second look at a curve: is it a cord as well without its surroundings, mirrored, and smaller?

The network is sometimes sure of a structure that is no cord. Such an error seldom survives a change of the view, while
a cord stays a cord (test-time augmentation, Wang et al. 2019, 10.1016/j.neucom.2019.01.103).
"""

from collections.abc import Mapping

import numpy as np

from cordlesion.cord.best_path import BestPath
from cordlesion.cord.evidence import slab_evidence
from cordlesion.cord.network import CELL_MM, PARTS, PIXEL_MM
from cordlesion.io.arrays import Float32Array, FloatArray, IntArray
from cordlesion.io.volume import Volume

AROUND_MM = 36.0
"""The image is cut off at this distance from the curve."""
SHRINKAGES = (1.12, 1.25)
"""The network sees the mirrored image smaller by these factors, one after the other."""
MAX_LOG_ODDS_AGAIN = 6.0
"""Log-odds are clipped to this, so that a few slabs cannot outweigh the others."""
NEAR_CELLS = 3
"""The cord may be up to so many cells from the curve."""


def log_odds_again(las: Volume, cord: BestPath, slabs: IntArray, weights: Mapping[str, Float32Array]) -> FloatArray:
    """Return the log-odds of cord along a curve, as a mean over other views of the scan.

    Args:
        las: The scan in LAS order.
        cord: The curve through the cord, in cells.
        slabs: Borders of the slabs of the scan.
        weights: Weights of the network.

    Returns:
        A value between -6 and 6 for each slab of the curve.
    """
    views = [_seen_again(las, cord, slabs, weights, shrinkage) for shrinkage in SHRINKAGES]
    return np.asarray(np.mean(views, axis=0), np.float64)


def _seen_again(
    las: Volume, cord: BestPath, slabs: IntArray, weights: Mapping[str, Float32Array], shrinkage: float
) -> FloatArray:
    at_mm = [CELL_MM * cells.astype(np.float64) + PIXEL_MM / 2 for cells in (cord.x, cord.y)]
    boxes = [_around(at, n, step) for at, n, step in zip(at_mm, las.data.shape, las.spacing_mm, strict=False)]
    dx, dy, dz = las.spacing_mm
    cut = las.data[boxes[0], boxes[1]][::-1]
    view = Volume(cut, np.diag([-dx / shrinkage, dy / shrinkage, dz, 1.0]))
    odds = slab_evidence(view, slabs[cord.first : cord.first + len(cord.x) + 1], weights)[0][PARTS.index("cord")]
    x_mm = (boxes[0].stop - 1) * dx - at_mm[0]
    y_mm = at_mm[1] - boxes[1].start * dy
    seen = [
        slab[_window(x, slab.shape[0]), _window(y, slab.shape[1])].max()
        for slab, x, y in zip(odds, x_mm / shrinkage, y_mm / shrinkage, strict=True)
    ]
    return np.clip(np.array(seen, np.float64), -MAX_LOG_ODDS_AGAIN, MAX_LOG_ODDS_AGAIN)


def _around(at_mm: FloatArray, n: int, step: float) -> slice:
    """Return the voxels of one axis that lie near the curve."""
    low, high = (at_mm.min() - AROUND_MM) / step, (at_mm.max() + AROUND_MM) / step
    return slice(max(0, int(low)), min(n, int(high) + 1))


def _window(at_mm: float, n: int) -> slice:
    cell = min(max(round((at_mm - PIXEL_MM / 2) / CELL_MM), 0), n - 1)
    return slice(max(0, cell - NEAR_CELLS), cell + NEAR_CELLS + 1)
