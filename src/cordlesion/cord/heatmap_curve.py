"""The curve through a map of where the cord is: dynamic programming, then the centre of what the curve goes through.

As in SCT (Gros et al. 2018, 10.1016/j.media.2017.12.001), where a network says where cord is and OptiC draws the curve;
here the curve is that of :mod:`cordlesion.cord.best_path`, under the conditions of our own detector.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cordlesion.cord.best_path import BestPath, best_path
from cordlesion.cord.centerline import Centerline
from cordlesion.cord.finder import MOST_LOG_ODDS, SMOOTHING_MM, STEEPEST, STIFFNESS, require_cord
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume

APART_MM = 3.0
"""Of thinner slices only every second, third ... needs a map: to make one takes SCT's network half a second."""
NEIGHBOURHOOD_MM = 1.5
"""Deviation of the Gaussian within which cord counts: it peaks at the middle of a cord and drowns specks."""
CORD = 0.5
"""Probability from which a pixel is cord, as in SCT."""
_STRIDE = 2
"""The curve is looked for on every second pixel of 0.5 mm."""

Floats = npt.NDArray[np.float64]


def curve_in_heatmap(heatmap: Volume, scan: Volume) -> Centerline:
    """Draw the best curve through the probabilities of cord in each axial slice of a scan.

    Args:
        heatmap: Probabilities in [0, 1] in LAS order, on the scan's axial slices; in plane on a finer or coarser grid,
            whose voxel 0 lies where the scan's does.
        scan: The image, of any orientation.

    Returns:
        The centre of mass of the cord under the curve in each slice, smoothed; slices that it bridges are left out.

    Raises:
        CordlesionError: There is no cord, or it cannot be told where.
    """
    las, heat = to_las(scan), heatmap.data.astype(np.float32, copy=False)
    pixel_mm, (dx, dy, dz) = heatmap.spacing_mm[:2], las.spacing_mm
    extents = np.full(heat.shape[2], dz)
    positions_mm = np.arange(len(extents), dtype=np.float64) * dz
    evidence = np.stack([_log_odds(each, pixel_mm) for each in np.moveaxis(heat, 2, 0)])
    path = best_path(
        evidence, positions_mm, extents, _STRIDE * float(np.mean(pixel_mm)), stiffness=STIFFNESS, steepest=STEEPEST
    )
    if path is None:
        raise CordlesionError(f"{scan.path or 'the image'}: no spinal cord was found; one must be in view.")
    centers, probability = _centers(path, heat)
    require_cord(scan, probability, extents[path.first : path.first + len(path.x)], float(extents.sum()))
    held = np.isfinite(centers[0])
    x, y = (center[held] * fine / coarse for center, fine, coarse in zip(centers, pixel_mm, (dx, dy), strict=True))
    z = (path.first + np.flatnonzero(held)).astype(np.float64)
    return Centerline(x, y, z, float(probability.mean())).smoothed(las.spacing_mm, SMOOTHING_MM)


def _log_odds(heat: npt.NDArray[np.float32], pixel_mm: tuple[float, ...]) -> npt.NDArray[np.float32]:
    around = ndimage.gaussian_filter(heat, [NEIGHBOURHOOD_MM / step for step in pixel_mm])
    most = 1 / (1 + math.exp(-MOST_LOG_ODDS))
    p = np.clip(around[::_STRIDE, ::_STRIDE], 1 - most, most)
    odds: npt.NDArray[np.float32] = np.log(p / (1 - p))
    return odds


def _centers(path: BestPath, heat: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Return, for each slice of the path, the centre of the cord in pixels (2, N), NaN where none is, and p there."""
    centers, probability = np.full((2, len(path.x)), np.nan), np.zeros(len(path.x))
    for n, pixel in enumerate(zip(path.x * _STRIDE, path.y * _STRIDE, strict=True)):
        p = heat[..., path.first + n]
        probability[n] = p[pixel]
        labels, _ = ndimage.label(p > CORD)
        if labels[pixel]:
            centers[:, n] = ndimage.center_of_mass(labels == labels[pixel])
    return centers, probability
