"""The stack: a part of a scan on an isotropic grid, sampled directly from the native image, and mapped back to it.

The geometry of the cord stack follows Hussein et al. 2023, section 2.3: 0.5 mm isotropic, a 48 x 48 crop around the
centerline in each axial slice. The isotropic and the native grid have the same outer border, so isotropic voxel i is at
native index (i + 0.5) * step - 0.5. A block is a stack in which all slices start at the same x and y.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cordlesion.config import PreprocessConfig
from cordlesion.cord.centerline import Centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import AnyArray, Float32Array, FloatArray, IndexArray, IntArray, Mask
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume

# Number of slices that are sampled together. Over more slices the cord moves far sideways, and the common box needs
# much memory.
_CHUNK = 64
# 4 GiB of float32: many times the foreground of the largest scan at 0.5 mm.
_MAX_VOXELS = 2**30


@dataclass(frozen=True, eq=False)
class StackGeometry:
    """The position of each voxel of a stack in its scan (in LAS order)."""

    native_shape: tuple[int, int, int]
    """Shape of the scan."""
    step: tuple[float, float, float]
    """Size of an isotropic voxel in native voxels, per axis."""
    crop_voxels: tuple[int, int]
    """Size of each slice along x and y."""
    first_slice: int
    """Index of the first slice of the stack in the isotropic grid."""
    start_x: IntArray
    """First isotropic x index of the crop for each slice, shape (N,); may be outside the image. Likewise y."""
    start_y: IntArray
    background: float | None = None
    """Intensities up to this are background and do not count for percentiles; None: no background."""

    @property
    def n_slices(self) -> int:
        """Length N of the stack."""
        return len(self.start_x)

    @property
    def isotropic_shape(self) -> tuple[int, int, int]:
        """Shape of the whole isotropic grid that contains the stack."""
        x, y, z = (_isotropic_length(n, step) for n, step in zip(self.native_shape, self.step, strict=True))
        return x, y, z

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the stack."""
        return *self.crop_voxels, self.n_slices

    @property
    def is_block(self) -> bool:
        """Whether all slices start at the same x and y."""
        return bool((self.start_x == self.start_x[0]).all() and (self.start_y == self.start_y[0]).all())

    def inside(self) -> Mask:
        """Return True for the voxels of the stack that are in the image (False: padding)."""
        nx, ny, _ = self.isotropic_shape
        x, y = self._isotropic_xy()
        in_x, in_y = (x >= 0) & (x < nx), (y >= 0) & (y < ny)
        return in_x[:, None, :] & in_y[None, :, :]

    def measured(self, stack: Float32Array) -> Mask:
        """Return True for voxels that are neither padding nor background."""
        inside = self.inside()
        if self.background is None:
            return inside
        foreground = inside & (stack > self.background)
        # A foreground finer than the grid may vanish; percentiles need some voxels.
        return foreground if foreground.any() else inside

    def near_centerline(self, radius_mm: float | None, config: PreprocessConfig) -> Mask:
        """Return True for the voxels within a distance of the centerline, in any slice: shape (X, Y, 1)."""
        x, y = (config.spacing_mm * (np.arange(size) - (size - 1) / 2) for size in self.crop_voxels)
        limit = np.inf if radius_mm is None or config.region != "cord" else radius_mm
        near: Mask = np.hypot(x[:, None], y[None, :])[:, :, None] <= limit
        return near

    def _isotropic_xy(self) -> tuple[IntArray, IntArray]:
        x, y = (np.arange(size)[:, None] for size in self.crop_voxels)
        return self.start_x + x, self.start_y + y


def stack_geometry(scan: Volume, centerline: Centerline, config: PreprocessConfig) -> StackGeometry:
    """Return the geometry of the cord stack: all isotropic slices between the outer borders of the end slices."""
    las = to_las(scan)
    step_x, step_y, step_z = (config.spacing_mm / spacing for spacing in las.spacing_mm)
    n_slices = _isotropic_length(las.data.shape[2], step_z)
    top, bottom = _to_isotropic(np.array([centerline.z[0] - 0.5, centerline.z[-1] + 0.5]), step_z)
    first, last = max(0, round(top + 0.5)), min(n_slices - 1, round(bottom - 0.5))
    _require_size(scan, (config.crop_voxels, config.crop_voxels, max(1, last + 1 - first)), config.spacing_mm)
    slices = np.arange(first, max(first, last) + 1)
    smooth = centerline.smoothed(las.spacing_mm, config.centerline_smoothing_mm)
    x, y = smooth.at(_to_native(slices, step_z))
    middle = (config.crop_voxels - 1) / 2
    start_x, start_y = (np.rint(_to_isotropic(v, s) - middle).astype(np.int64) for v, s in ((x, step_x), (y, step_y)))
    nx, ny, nz = las.data.shape
    crop = (config.crop_voxels, config.crop_voxels)
    return StackGeometry((nx, ny, nz), (step_x, step_y, step_z), crop, first, start_x, start_y)


def block_geometry(
    scan: Volume, low: Sequence[int], high: Sequence[int], spacing_mm: float, background: float
) -> StackGeometry:
    """Return the geometry of a block: all isotropic voxels that overlap a box of native voxels.

    Args:
        scan: The image.
        low: First voxel of the box along L, A and S.
        high: Last voxel of the box plus 1, along L, A and S.
        spacing_mm: Isotropic voxel size.
        background: Intensities up to this are background.
    """
    las = to_las(scan)
    nx, ny, nz = las.data.shape
    step_x, step_y, step_z = (spacing_mm / spacing for spacing in las.spacing_mm)
    starts, sizes = [], []
    for first, last, step, n in zip(low, high, (step_x, step_y, step_z), (nx, ny, nz), strict=True):
        whole = _isotropic_length(n, step)
        start = min(math.floor(first / step), whole - 1)
        starts.append(start)
        sizes.append(max(1, min(math.ceil(last / step), whole) - start))
    _require_size(scan, sizes, spacing_mm)
    x, y = (np.full(sizes[2], start) for start in starts[:2])
    return StackGeometry((nx, ny, nz), (step_x, step_y, step_z), (sizes[0], sizes[1]), starts[2], x, y, background)


def _require_size(scan: Volume, shape: Sequence[int], spacing_mm: float) -> None:
    """Reject a stack that is too large for memory, before anything is allocated."""
    if math.prod(map(int, shape)) > _MAX_VOXELS:
        raise CordlesionError(
            f"{scan.path or 'the scan'}: at {spacing_mm:g} mm the stack has {' x '.join(map(str, shape))} voxels; "
            f"at most {_MAX_VOXELS} are possible. Set `preprocess.spacing_mm` to a larger value."
        )


def sample_stack(scan: Volume, geometry: StackGeometry) -> Float32Array:
    """Interpolate ``scan`` linearly at the points of the stack; padding repeats the border of the image.

    The result equals resampling the whole volume and cropping, at a small part of the cost.

    Returns:
        Intensities with the shape of the stack.
    """
    data = to_las(scan).data
    if geometry.is_block:
        # The points of a block are a grid, so the axes are interpolated one after the other.
        x, y = _native_span(geometry, 0, geometry.start_x), _native_span(geometry, 1, geometry.start_y)
        return _interpolate(data, (x, y, _native_z(geometry, np.arange(geometry.n_slices))))
    chunks = np.array_split(np.arange(geometry.n_slices), math.ceil(geometry.n_slices / _CHUNK))
    return np.concatenate([_sample_slices(data, geometry, chunk) for chunk in chunks], axis=-1)


def sample_reference(reference: Volume, geometry: StackGeometry) -> Mask:
    """Sample a mask at the points of the stack: a voxel is lesion if linear interpolation gives at least 0.5."""
    return sample_stack(reference, geometry) >= 0.5


def map_back(stack: Float32Array, geometry: StackGeometry) -> Float32Array:
    """Map values of a stack to the native grid (LAS order) by linear interpolation; 0 outside the stack.

    The result equals pasting the stack into the whole isotropic grid and resampling that, but only its box is computed.

    Args:
        stack: Values with the shape of the stack.
        geometry: Geometry of the stack.

    Returns:
        Array with the shape of the scan in LAS order.
    """
    values, place = map_back_box(stack, geometry)
    native = np.zeros(geometry.native_shape, np.float32)
    native[place] = values
    return native


def map_back_box(stack: Float32Array, geometry: StackGeometry) -> tuple[Float32Array, tuple[slice, slice, slice]]:
    """Map values of a stack to the native grid as :func:`map_back` does, but return only the box that they fill.

    Returns:
        The values of the box, and its place in the scan in LAS order; everything else is 0.
    """
    box, corner = _paste(stack, geometry)
    indices = [
        _native_indices(low, size, step, n)
        for low, size, step, n in zip(corner, box.shape, geometry.step, geometry.native_shape, strict=True)
    ]
    positions = [_to_isotropic(i, step) - low for i, step, low in zip(indices, geometry.step, corner, strict=True)]
    # Indices of a box are consecutive: positions grow with them.
    x, y, z = (slice(int(i[0]), int(i[-1]) + 1) if len(i) else slice(0, 0) for i in indices)
    return _interpolate(box, positions), (x, y, z)


def _isotropic_length(n_native: int, step: float) -> int:
    return max(1, round(n_native / step))


def _to_native(isotropic: IntArray, step: float) -> FloatArray:
    return (isotropic.astype(np.float64) + 0.5) * step - 0.5


def _to_isotropic(native: npt.NDArray[np.integer] | FloatArray, step: float) -> FloatArray:
    return (native.astype(np.float64) + 0.5) / step - 0.5


def _sample_slices(data: AnyArray, geometry: StackGeometry, slices: IndexArray) -> Float32Array:
    """Sample slices whose crops start at different places: first their common box, then the crop of each slice.

    Args:
        data: The scan in LAS order.
        geometry: Geometry of the stack.
        slices: Indices of consecutive slices of the stack.
    """
    starts_x, starts_y = geometry.start_x[slices], geometry.start_y[slices]
    x, y = _native_span(geometry, 0, starts_x), _native_span(geometry, 1, starts_y)
    z = np.clip(_native_z(geometry, slices), 0, data.shape[2] - 1)
    below = np.floor(z).astype(int)
    above = np.minimum(below + 1, data.shape[2] - 1)
    box = _interpolate(data[:, :, below[0] : above[-1] + 1], (x, y, np.arange(above[-1] + 1 - below[0])))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.ascontiguousarray(np.moveaxis(box, 2, 0)), geometry.crop_voxels, axis=(1, 2)
    )
    lower, upper = (windows[k - below[0], starts_x - starts_x.min(), starts_y - starts_y.min()] for k in (below, above))
    return np.moveaxis(_between(lower, upper, (z - below).astype(np.float32)[:, None, None]), 0, 2)


def _native_span(geometry: StackGeometry, axis: int, starts: IntArray) -> FloatArray:
    """Return the native positions of all columns (axis 0) or rows (axis 1) of the crops, clipped to the image."""
    indices = np.arange(starts.min(), starts.max() + geometry.crop_voxels[axis])
    return _to_native(np.clip(indices, 0, geometry.isotropic_shape[axis] - 1), geometry.step[axis])


def _native_z(geometry: StackGeometry, slices: IndexArray) -> FloatArray:
    return _to_native(geometry.first_slice + slices, geometry.step[2])


def _between(lower: Float32Array, upper: Float32Array, weight: Float32Array) -> Float32Array:
    # This form keeps equal values exactly, so that 0.5 in a mask is not lost by rounding.
    between: Float32Array = lower + (upper - lower) * weight
    return between


def _paste(stack: Float32Array, geometry: StackGeometry) -> tuple[Float32Array, tuple[int, int, int]]:
    """Paste the slices into the smallest box that contains them, plus a rim of zeros inside the image."""
    starts = (geometry.start_x, geometry.start_y, np.array([geometry.first_slice]))
    limits = list(zip(starts, geometry.shape, geometry.isotropic_shape, strict=True))
    low = [max(0, int(s.min()) - 1) for s, _, _ in limits]
    high = [min(n, int(s.max()) + size + 1) for s, size, n in limits]
    box = np.zeros([max(0, b - a) for a, b in zip(low, high, strict=True)], np.float32)
    z = geometry.first_slice - low[2]
    x_places, y_places = (
        _overlaps(start - corner, size, n)
        for start, corner, size, n in zip(starts, low, geometry.crop_voxels, box.shape, strict=False)
    )
    for k, ((from_x, to_x), (from_y, to_y)) in enumerate(zip(x_places, y_places, strict=True)):
        box[to_x, to_y, z + k] = stack[from_x, from_y, k]
    return box, (low[0], low[1], low[2])


def _overlaps(starts: IntArray, size: int, length: int) -> list[tuple[slice, slice]]:
    """Return the part of each crop of ``size`` voxels that is inside ``length`` voxels: in the crop, and in the box."""
    first = np.maximum(0, -starts)
    stop = np.maximum(first, np.minimum(size, length - starts))
    edges = zip(starts.tolist(), first.tolist(), stop.tolist(), strict=True)
    return [(slice(a, b), slice(start + a, start + b)) for start, a, b in edges]


def _native_indices(low: int, size: int, step: float, n_native: int) -> IntArray:
    """Return the native indices with centres between the first and last voxel of a box; border voxels are extended."""
    positions = np.clip(_to_isotropic(np.arange(n_native), step), 0, _isotropic_length(n_native, step) - 1)
    return np.flatnonzero((positions >= low) & (positions <= low + size - 1))


def _interpolate(values: AnyArray, positions: Sequence[FloatArray]) -> Float32Array:
    """Interpolate linearly at a grid of positions, given along each axis; the border is repeated outside."""
    positions = [np.clip(p, 0, n - 1) for p, n in zip(positions, values.shape, strict=True)]
    # Crop a large image to the needed part, because numpy.take copies along the whole array.
    low = [math.floor(p.min(initial=n - 1)) for p, n in zip(positions, values.shape, strict=True)]
    values = values[tuple(slice(a, math.ceil(p.max(initial=0)) + 1) for a, p in zip(low, positions, strict=True))]
    for axis, (position, first) in enumerate(zip(positions, low, strict=True)):
        position = position - first
        below = np.floor(position).astype(int)
        above = np.minimum(below + 1, values.shape[axis] - 1)
        weight = (position - below).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        lower, upper = (np.take(values, index, axis).astype(np.float32, copy=False) for index in (below, above))
        values = _between(lower, upper, weight)
    interpolated: Float32Array = values.astype(np.float32, copy=False)
    return interpolated
