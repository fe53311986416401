"""The centerline from a probability map of the cord: dynamic programming, then the centre of mass in each slice.

As in SCT (Gros et al. 2018, 10.1016/j.media.2017.12.001), where a network computes the map and OptiC the curve. Here
:mod:`cordlesion.cord.best_path` computes the curve, with the same constants as for the detector of this package.
"""

import math

import numpy as np
from scipy import ndimage

from cordlesion.cord.best_path import BestPath, best_path
from cordlesion.cord.centerline import Centerline
from cordlesion.cord.confidence import lowest_confidence
from cordlesion.cord.ends import end_reasons
from cordlesion.cord.finder import MAX_LOG_ODDS, MAX_SLOPE, SMOOTHING_MM, STIFFNESS, require_cord
from cordlesion.cord.slabs import SLAB_MM
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Float32Array, FloatArray
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume

MAP_SPACING_MM = 3.0
"""If slices are thinner, only every second, third, ... gets a map: SCT's network takes 0.5 s for one."""
NEIGHBOURHOOD_MM = 1.5
"""SD of the Gaussian filter of the map: its result peaks at the centre of the cord, and specks vanish."""
CORD = 0.5
"""A pixel is cord above this probability, as in SCT."""
_STRIDE = 2
"""The curve is computed on every second pixel of 0.5 mm."""


def curve_in_heatmap(heatmap: Volume, scan: Volume) -> Centerline:
    """Return the best curve through the cord probabilities of the axial slices of a scan.

    Args:
        heatmap: Probabilities in [0, 1] in LAS order, on the axial slices of the scan. In plane, the grid may be finer
            or coarser; its voxel 0 is at the position of voxel 0 of the scan.
        scan: The image, of any orientation.

    Returns:
        The centre of mass of the cord at the curve in each slice, smoothed. Slices without cord there are left out.

    Raises:
        CordlesionError: There is no cord, or its position is too uncertain.
    """
    las, heat = to_las(scan), heatmap.data.astype(np.float32, copy=False)
    pixel_mm, (dx, dy, dz) = heatmap.spacing_mm[:2], las.spacing_mm
    extents = np.full(heat.shape[2], dz)
    positions_mm = np.arange(len(extents), dtype=np.float64) * dz
    evidence = np.stack([_log_odds(each, pixel_mm) for each in np.moveaxis(heat, 2, 0)])
    path = best_path(
        evidence[None],
        positions_mm,
        extents,
        _STRIDE * float(np.mean(pixel_mm)),
        stiffness=STIFFNESS,
        max_slope=MAX_SLOPE,
    )
    if path is None:
        raise CordlesionError(f"{scan.path or 'the image'}: no spinal cord was found; the scan must show one.")
    centers, probability = _centers(path, heat)
    on_path = slice(path.first, path.first + len(path.x))
    require_cord(scan, probability, extents[on_path], float(extents.sum()))
    shown = np.flatnonzero(np.isfinite(centers[0]))
    x, y = (center[shown] * fine / coarse for center, fine, coarse in zip(centers, pixel_mm, (dx, dy), strict=True))
    z = (path.first + shown).astype(np.float64)
    # Slices without cord between others count: there the curve is least sure.
    between = slice(shown[0], shown[-1] + 1)
    return Centerline(
        x,
        y,
        z,
        lowest_confidence(probability[between], extents[on_path][between]),
        slice_confidence=probability[shown],
        ends=end_reasons(float(z[0]), float(z[-1]), len(extents), max(1, round(SLAB_MM / dz))),
    ).smoothed(las.spacing_mm, SMOOTHING_MM)


def _log_odds(heat: Float32Array, pixel_mm: tuple[float, ...]) -> Float32Array:
    around = ndimage.gaussian_filter(heat, [NEIGHBOURHOOD_MM / step for step in pixel_mm])
    most = 1 / (1 + math.exp(-MAX_LOG_ODDS))
    p = np.clip(around[::_STRIDE, ::_STRIDE], 1 - most, most)
    odds: Float32Array = np.log(p / (1 - p))
    return odds


def _centers(path: BestPath, heat: Float32Array) -> tuple[FloatArray, FloatArray]:
    """Return the centre of the cord in pixels (2, N; NaN without cord) and p on the path, for each slice of it."""
    centers, probability = np.full((2, len(path.x)), np.nan), np.zeros(len(path.x))
    for n, pixel in enumerate(zip(path.x * _STRIDE, path.y * _STRIDE, strict=True)):
        p = heat[..., path.first + n]
        probability[n] = p[pixel]
        labels, _ = ndimage.label(p > CORD)
        if labels[pixel]:
            centers[:, n] = ndimage.center_of_mass(labels == labels[pixel])
    return centers, probability
