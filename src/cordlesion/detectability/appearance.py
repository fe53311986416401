"""What a lesion must match in a scan: the signal of the cord around it, and the blur of the scan (no torch)."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cordlesion.detectability.cord_space import CordSpace
from cordlesion.detectability.rays import edge_width_mm, measure_edges, slice_axis
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Float32Array, FloatArray

SIGNAL_SD_MM = (3.0, 3.0, 8.0)
"""SD of the Gaussian window of the local signal of the cord: wide enough to leave out noise and grey matter, narrow
enough to follow the coil's shading."""
EDGE_10_90_SD = 2.563
"""10-90 % width of an edge blurred by a Gaussian, in units of its SD."""
MAX_EDGE_MM = 4.0


@dataclass(frozen=True, eq=False)
class Appearance:
    """How the cord looks in one scan; arrays in LAS order."""

    signal: Float32Array
    """Signal of the cord around each voxel."""
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
    signal = _local_signal(space)
    edge = _measured_edge(space) if edge_mm is None else edge_mm
    # The measured edge contains the averaging over a voxel, which drawing repeats.
    blur = np.sqrt(np.maximum((edge / EDGE_10_90_SD) ** 2 - space.spacing_mm**2 / 12, 0))
    if (axis := slice_axis(space.spacing_mm)) is not None:
        blur[axis] = 0.0  # a thick slice averages its thickness, and is not blurred further
    return Appearance(signal, edge, blur)


def _local_signal(space: CordSpace) -> Float32Array:
    """Return the mean signal of the inner voxels of the cord in a Gaussian window around each voxel."""
    depth = ndimage.distance_transform_edt(space.inside, sampling=space.spacing_mm)
    # The outer millimetre is mixed with fluid. In a thin cord at least its innermost voxels are left.
    core = depth > min(1.5, 0.5 * float(depth.max()))
    weight, signal = core.astype(np.float64), np.where(core, space.scan.data, 0.0)
    sd = np.array(SIGNAL_SD_MM) / space.spacing_mm
    weight, signal = (ndimage.gaussian_filter(part, sd, mode="constant") for part in (weight, signal))
    local = np.where(weight > 1e-4, signal / np.maximum(weight, 1e-4), 0.0)
    if (local[space.inside] <= 0).any():
        raise CordlesionError(
            f"{space.scan.path or 'the scan'}: the signal in its cord mask is not above 0 everywhere; the mask must "
            "mark the cord of this scan. Check it."
        )
    return local.astype(np.float32)


def _measured_edge(space: CordSpace) -> float:
    slices = np.flatnonzero(space.inside.any(axis=(0, 1)))
    centres = np.array([np.argwhere(space.inside[:, :, z]).mean(axis=0) for z in slices])
    width = edge_width_mm(measure_edges(space.scan, centres, slices))
    if width is None or width > MAX_EDGE_MM:
        raise CordlesionError(
            f"{space.scan.path or 'the scan'}: no sharp edge between its cord and bright fluid was found, from which "
            "the blur of the scan is measured; a T2w scan is needed. If it is one, give the width with --edge-mm."
        )
    return width
