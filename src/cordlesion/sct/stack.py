"""The cord stack as the Spinal Cord Toolbox makes it (Gros et al., NeuroImage 2019), for its own networks.

It differs from :mod:`cordlesion.preprocess.cord_stack` in every step: voxels 0 of the native and of the 0.5 mm grid
coincide; the crop is placed once per native slice and kept inside the image; slices without a centerline are zeros,
which enter the percentiles; intensities are standardised before the stack is resampled along the cord.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import ndimage

from cordlesion.config.section import Section
from cordlesion.cord.centerline import Centerline
from cordlesion.io.arrays import Float32Array, FloatArray, IntArray, Mask
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume
from cordlesion.preprocess.intensity import PERCENTILES, IntensityLandmarks

# A rounding error must not move a centre on a whole voxel to the voxel before.
_WHOLE = 1e-6


class SctPreprocess(Section):
    """What one of SCT's lesion networks was trained with."""

    region: Literal["cord"] = "cord"
    spacing_mm: Annotated[float, Field(ge=0.1, le=5)] = 0.5
    """Isotropic voxel size."""
    crop_voxels: Annotated[int, Field(ge=8, le=128, multiple_of=8)] = 48
    """Edge of the axial crop around the centerline, and length of a patch."""
    landmarks: IntensityLandmarks
    """The standard scale; intensities are limited to its ends."""
    mean: float
    """Mean of the standardised intensities, which is subtracted."""
    deviation: Annotated[float, Field(gt=0)]
    """Standard deviation of the standardised intensities, the divisor."""


@dataclass(frozen=True, eq=False)
class SctGeometry:
    """Position of an SCT stack in its scan (in LAS order): N native slices, N' isotropic ones."""

    native_shape: tuple[int, int, int]
    fine_shape: tuple[int, int, int]
    """Shape of the whole scan at the stack's voxel size."""
    crop_voxels: int
    start_x: IntArray
    """First fine x index of the crop, for each native slice, shape (N,)."""
    start_y: IntArray
    has_cord: Mask
    """Native slices that the centerline reaches, shape (N,)."""


def place_sct_stack(scan: Volume, centerline: Centerline, config: SctPreprocess) -> SctGeometry:
    """Place a crop in each native slice: ``int(c) - 23`` is its first voxel, moved to stay in the image."""
    las = to_las(scan)
    nx, ny, nz = las.data.shape
    fx, fy, fz = (
        max(1, round(n * spacing / config.spacing_mm)) for n, spacing in zip((nx, ny, nz), las.spacing_mm, strict=True)
    )
    slices = np.arange(nz)
    has_cord = (slices >= centerline.z[0] - 0.5) & (slices <= centerline.z[-1] + 0.5)
    start_x, start_y = (
        _crop_starts(center * fine / native, fine, config.crop_voxels)
        for center, fine, native in zip(centerline.at(slices.astype(np.float64)), (fx, fy), (nx, ny), strict=True)
    )
    return SctGeometry((nx, ny, nz), (fx, fy, fz), config.crop_voxels, start_x, start_y, has_cord)


def _crop_starts(centers: FloatArray, length: int, size: int) -> IntArray:
    starts = np.floor(centers + _WHOLE).astype(np.int64) - size // 2 + 1
    return np.clip(starts, 0, max(0, length - size))


def make_sct_stack(scan: Volume, geometry: SctGeometry, config: SctPreprocess) -> Float32Array:
    """Sample, standardise and resample along the cord: the input of SCT's network, before its mean is subtracted.

    Returns:
        Standardised intensities, shape (48, 48, N').
    """
    standard = standardize_sct_stack(sample_sct_stack(scan, geometry), config.landmarks)
    return _resample_last(standard, geometry.fine_shape[2]).astype(np.float32)


def sample_sct_stack(scan: Volume, geometry: SctGeometry) -> FloatArray:
    """Sample the crops linearly in each native slice; zeros in slices without cord and beyond an image that is smaller.

    Equal to resampling every slice of the scan and cropping, at a small part of the cost.

    Returns:
        Intensities, shape (48, 48, N).
    """
    x, y = _crop_indices(geometry)
    nx, ny, nz = geometry.native_shape
    fx, fy, _ = geometry.fine_shape
    size = geometry.crop_voxels
    points = np.stack(
        [
            np.broadcast_to(c, (size, size, nz))
            for c in ((x * nx / fx)[:, None], (y * ny / fy)[None], np.arange(nz, dtype=np.float64))
        ]
    )
    sampled: FloatArray = ndimage.map_coordinates(
        to_las(scan).data.astype(np.float32, copy=False), points, output=np.float64, order=1, mode="nearest"
    )
    return np.where((x < fx)[:, None] & (y < fy)[None] & geometry.has_cord, sampled, 0)


def standardize_sct_stack(stack: FloatArray, landmarks: IntensityLandmarks) -> FloatArray:
    """Map the percentiles of a whole stack, zeros included, to the landmarks, linear in between.

    Beyond the outer percentiles the scale is exponential and jumps a little: below, through p10 with the slope between
    p1 and p10, towards the first landmark; above, through p90 with the slope between p80 and p90, towards the last one.
    Percentiles that coincide, in a stack with many slices of zeros, take the lowest of their landmarks.
    """
    own, scale = np.percentile(stack, landmarks.percentiles), np.asarray(landmarks.values)
    distinct, first = np.unique(own, return_index=True)
    standard: FloatArray = np.interp(stack, distinct, scale[first])
    below, above = stack < own[0], stack > own[-1]
    standard[below] = _exponential(stack[below], own[:2], scale[:2], scale[0])
    standard[above] = _exponential(stack[above], own[-3:-1], scale[-3:-1], scale[-1])
    return standard


def _exponential(values: FloatArray, own: FloatArray, scale: FloatArray, limit: float) -> FloatArray:
    """Continue beyond the second of two points with the slope between both, towards a limit."""
    if own[0] == own[1]:
        return np.full_like(values, limit)
    rate = (scale[1] - scale[0]) / (own[1] - own[0]) / (scale[1] - limit)
    continued: FloatArray = limit + (scale[1] - limit) * np.exp(rate * (values - own[1]))
    return continued


def _resample_last(stack: npt.NDArray[np.floating[Any]], length: int) -> FloatArray:
    """Resample linearly along the last axis; the first voxels of both grids have the same position."""
    positions = np.minimum(np.arange(length) * stack.shape[2] / length, stack.shape[2] - 1)
    below = positions.astype(np.int64)
    above = np.minimum(below + 1, stack.shape[2] - 1)
    weight = positions - below
    resampled: FloatArray = stack[..., below] * (1 - weight) + stack[..., above] * weight
    return resampled


def map_sct_stack_back(stack: Float32Array, geometry: SctGeometry) -> Float32Array:
    """Carry stack values to the native grid by linear interpolation, first along the cord; 0 outside the stack.

    Args:
        stack: Values, shape (48, 48, N').
        geometry: The stack's place.

    Returns:
        Array of the scan's shape in LAS order.
    """
    slices = _resample_last(stack, geometry.native_shape[2])
    native = np.zeros(geometry.native_shape, np.float32)
    for z, (start_x, start_y) in enumerate(zip(geometry.start_x, geometry.start_y, strict=True)):
        (rows, from_x), (columns, from_y) = (
            _interpolation(int(start), geometry.crop_voxels, fine, n)
            for start, fine, n in zip((start_x, start_y), geometry.fine_shape, geometry.native_shape, strict=False)
        )
        native[rows, columns, z] = from_x @ slices[..., z] @ from_y.T
    return native


def _interpolation(start: int, size: int, fine: int, n_native: int) -> tuple[slice, FloatArray]:
    """Return the native indices that a crop covers along one axis, and the weights of its voxels, shape (n, size)."""
    positions = np.minimum(np.arange(n_native) * fine / n_native, fine - 1)
    reached = np.flatnonzero((positions > start - 1) & (positions < start + size))
    distance = np.abs(positions[reached, None] - (start + np.arange(size)))
    return slice(reached[0], reached[-1] + 1), np.maximum(0, 1 - distance)


def _crop_indices(geometry: SctGeometry) -> tuple[IntArray, IntArray]:
    offsets = np.arange(geometry.crop_voxels)[:, None]
    return geometry.start_x + offsets, geometry.start_y + offsets


_DECILES = {
    "t2": (136.832187, 312.158435, 448.96803, 568.657779, 696.671586,
           859.221138, 1074.463414, 1373.289174, 1811.522669),
    "t2_ax": (112.195357, 291.611185, 446.727066, 581.10397, 702.979079,
              833.318257, 1011.856313, 1268.801813, 1687.137075),
    "t2s": (123.246969, 226.422561, 338.361023, 532.341924, 788.693675,
            1096.975553, 1407.979466, 1716.52453, 2079.788451),
}  # fmt: skip
_MEAN_AND_DEVIATION = {"t2": (871.309, 557.916), "t2_ax": (835.592, 528.386), "t2s": (1011.31, 678.985)}

SCT_CONTRASTS: Mapping[str, SctPreprocess] = MappingProxyType(
    {
        contrast: SctPreprocess(
            landmarks=IntensityLandmarks(PERCENTILES, (0.0, *_DECILES[contrast], 2611.0)),
            mean=mean,
            deviation=deviation,
        )
        for contrast, (mean, deviation) in _MEAN_AND_DEVIATION.items()
    }
)
"""SCT's constants for each of its lesion networks: sagittal T2w, axial T2w, T2*w."""
