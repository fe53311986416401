"""What a lesion must match in a scan: the signal of the cord around it, and the blur of the scan (no torch)."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cordlesion.detectability.cord_space import CordSpace
from cordlesion.detectability.rays import edge_width_mm, slice_axis
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Array, Float32Array, FloatArray, Mask

SIGNAL_SD_MM = (3.0, 3.0, 8.0)
"""SD of the Gaussian window of the local signal of the cord: wide enough to leave out noise and grey matter, narrow
enough to follow the coil's shading."""
TISSUE_SD_MM = (0.7, 0.7, 4.0)
"""SD of the Gaussian window of the tissue's signal: grey matter is 2 mm wide, and changes slowly along the cord."""
CORE_MM, TISSUE_CORE_MM = 1.5, 0.8
"""Voxels deeper in the cord than this count for its signal, and for that of its tissue: others are mixed with fluid."""
TISSUE_LIMITS = (0.7, 1.4)
EDGE_10_90_SD = 2.563
"""10-90 % width of an edge blurred by a Gaussian, in units of its SD."""
MAX_EDGE_MM = 4.0
_LEAST = 1e-6
MIN_EDGE_MM = 0.2


@dataclass(frozen=True, eq=False)
class Appearance:
    """How the cord looks in one scan; arrays in LAS order."""

    signal: Float32Array
    """Signal of the cord around each voxel."""
    tissue: Float32Array
    """Signal of the tissue at each voxel, without noise and fluid, divided by ``signal``: white and grey matter."""
    edge_mm: float
    """10-90 % width of the edge between cord and fluid, in the plane of the slices."""
    blur_sd_mm: FloatArray
    """SD of the Gaussian blur along each axis, in addition to the averaging over a voxel."""


def appearance(space: CordSpace, edge_mm: float | None = None) -> Appearance:
    """Measure a scan.

    Args:
        space: The cord of the scan.
        edge_mm: The width of edges, if it is known; by default it is measured at the surface of the cord.

    Raises:
        CordlesionError: No edge of the cord can be measured, or its signal is not above 0.
    """
    if edge_mm is not None and not MIN_EDGE_MM <= edge_mm <= MAX_EDGE_MM:
        raise CordlesionError(
            f"The width of edges is {edge_mm:g} mm; {MIN_EDGE_MM:g} to {MAX_EDGE_MM:g} mm are needed. Leave --edge-mm "
            "out to measure it."
        )
    depth = ndimage.distance_transform_edt(space.inside, sampling=space.spacing_mm)
    signal = _local_signal(space, depth)
    edge = _measured_edge(space) if edge_mm is None else edge_mm
    # The measured edge contains the averaging over a voxel, which drawing repeats.
    blur = np.sqrt(np.maximum((edge / EDGE_10_90_SD) ** 2 - space.spacing_mm**2 / 12, 0))
    if (axis := slice_axis(space.spacing_mm)) is not None:
        blur[axis] = 0.0  # a thick slice averages its thickness, and is not blurred further
    return Appearance(signal, _tissue(space, depth, signal), edge, blur)


def _local_signal(space: CordSpace, depth: FloatArray) -> Float32Array:
    """Return the mean signal of the inner voxels of the cord in a Gaussian window around each voxel."""
    local = _window_means(space.scan.data, _core(depth, CORE_MM), SIGNAL_SD_MM, space.spacing_mm)
    if (local[space.inside] <= 0).any():
        raise CordlesionError(
            f"{space.scan.path or 'the scan'}: the signal in its cord mask is not above 0 everywhere; the mask must "
            "mark the cord of this scan. Check it."
        )
    return local


def _tissue(space: CordSpace, depth: FloatArray, signal: Float32Array) -> Float32Array:
    """Return the signal of the tissue relative to that of the cord; at the surface, that of the nearest inner voxel."""
    core = _core(depth, TISSUE_CORE_MM)
    nearest = ndimage.distance_transform_edt(
        ~core, sampling=space.spacing_mm, return_distances=False, return_indices=True
    )
    means = _window_means(space.scan.data, core, TISSUE_SD_MM, space.spacing_mm)
    relative = means[tuple(nearest)] / np.where(signal > 0, signal, 1)
    return np.asarray(np.where(signal > 0, relative.clip(*TISSUE_LIMITS), 1.0), np.float32)


def _core(depth: FloatArray, deeper_mm: float) -> Mask:
    """Return the voxels deeper than this in the cord; in a thin cord the innermost ones."""
    core: Mask = depth > min(deeper_mm, 0.5 * float(depth.max()))
    return core


def _window_means(data: Array, counted: Mask, sd_mm: tuple[float, ...], spacing_mm: FloatArray) -> Float32Array:
    """Return the mean of the counted voxels in a Gaussian window around each voxel; 0 where none is near."""
    weight, values = counted.astype(np.float64), np.where(counted, data, 0.0)
    weight, values = (
        ndimage.gaussian_filter(part, np.array(sd_mm) / spacing_mm, mode="constant") for part in (weight, values)
    )
    return np.where(weight > _LEAST, values / np.maximum(weight, _LEAST), 0.0).astype(np.float32)


def _measured_edge(space: CordSpace) -> float:
    width = edge_width_mm(space.edges)
    if width is None or width > MAX_EDGE_MM:
        raise CordlesionError(
            f"{space.scan.path or 'the scan'}: no sharp edge between its cord and bright fluid was found, from which "
            "the blur of the scan is measured; a T2w scan is needed. If it is one, give the width with --edge-mm."
        )
    return width
