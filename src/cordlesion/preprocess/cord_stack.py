"""The cord stack: sampled straight from the native image at the stack's own points, and carried back.

Positions follow Hussein et al. 2023, section 2.3: 0.5 mm isotropic, a 48 x 48 crop around the centerline in each
axial slice. The isotropic grid shares the outer border of the native one, so its voxel i lies at native index
(i + 0.5) * step - 0.5.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cordlesion.config import PreprocessConfig
from cordlesion.preprocess.centerline import Centerline
from cordlesion.preprocess.orient import to_las
from cordlesion.volume import Volume

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StackGeometry:
    """Where every voxel of a cord stack lies in its scan (in LAS order)."""

    native_shape: tuple[int, int, int]
    """Shape of the scan."""
    step: tuple[float, float, float]
    """Isotropic voxels in units of native voxels, per axis."""
    crop_voxels: int
    first_slice: int
    """Index of the stack's first slice in the isotropic grid."""
    start_x: npt.NDArray[np.int64]
    """First isotropic x index of the crop, for each slice, shape (N,); may lie outside the image."""
    start_y: npt.NDArray[np.int64]

    @property
    def n_slices(self) -> int:
        """Length N of the stack."""
        return len(self.start_x)

    @property
    def isotropic_shape(self) -> tuple[int, int, int]:
        """Shape of the whole isotropic grid, of which the stack is a part."""
        x, y, z = (max(1, round(n / step)) for n, step in zip(self.native_shape, self.step, strict=True))
        return x, y, z

    def inside(self) -> npt.NDArray[np.bool_]:
        """Mark the stack voxels that lie in the image (False: padding), shape (crop, crop, N)."""
        nx, ny, _ = self.isotropic_shape
        x, y = self._isotropic_xy()
        in_x, in_y = (x >= 0) & (x < nx), (y >= 0) & (y < ny)
        return in_x[:, None, :] & in_y[None, :, :]

    def _isotropic_xy(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        offsets = np.arange(self.crop_voxels)[:, None]
        return self.start_x + offsets, self.start_y + offsets


def stack_geometry(scan: Volume, centerline: Centerline, config: PreprocessConfig) -> StackGeometry:
    """Place the stack: every isotropic slice that the centerline spans, including the thickness of its end slices."""
    las = to_las(scan)
    step_x, step_y, step_z = (config.spacing_mm / spacing for spacing in las.spacing_mm)
    n_slices = max(1, round(las.data.shape[2] / step_z))
    top, bottom = _to_isotropic(np.array([centerline.z[0] - 0.5, centerline.z[-1] + 0.5]), step_z)
    first, last = max(0, round(top + 0.5)), min(n_slices - 1, round(bottom - 0.5))
    slices = np.arange(first, max(first, last) + 1)
    smooth = centerline.smoothed(las.spacing_mm, config.centerline_smoothing_mm)
    x, y = smooth.at(_to_native(slices, step_z))
    middle = (config.crop_voxels - 1) / 2
    start_x, start_y = (np.rint(_to_isotropic(v, s) - middle).astype(np.int64) for v, s in ((x, step_x), (y, step_y)))
    nx, ny, nz = las.data.shape
    return StackGeometry((nx, ny, nz), (step_x, step_y, step_z), config.crop_voxels, first, start_x, start_y)


def sample_stack(scan: Volume, geometry: StackGeometry) -> npt.NDArray[np.float32]:
    """Sample ``scan`` linearly at the stack's points; padding repeats the image's border.

    Equal to resampling the whole volume and cropping, at a small part of the cost.

    Returns:
        Intensities, shape (crop, crop, N).
    """
    data = to_las(scan).data
    nx, ny, _ = geometry.isotropic_shape
    x, y = geometry._isotropic_xy()
    z = _to_native(geometry.first_slice + np.arange(geometry.n_slices), geometry.step[2])
    native_x = _to_native(np.clip(x, 0, nx - 1), geometry.step[0])
    native_y = _to_native(np.clip(y, 0, ny - 1), geometry.step[1])
    shape = (geometry.crop_voxels, geometry.crop_voxels, geometry.n_slices)
    points = np.stack([np.broadcast_to(c, shape) for c in (native_x[:, None], native_y[None], z)])
    window, points = _crop_to_points(data, points)
    sampled: npt.NDArray[np.float32] = ndimage.map_coordinates(
        window.astype(np.float32), points, order=1, mode="nearest", output=np.float32
    )
    return sampled


def sample_reference(reference: Volume, geometry: StackGeometry) -> npt.NDArray[np.bool_]:
    """Sample a mask at the stack's points: lesion where the linearly interpolated mask reaches one half."""
    return sample_stack(reference, geometry) >= 0.5


def map_back(stack: npt.NDArray[np.float32], geometry: StackGeometry) -> npt.NDArray[np.float32]:
    """Carry stack values to the native grid (LAS order) by linear interpolation; 0 outside the stack.

    Equal to pasting the stack into the whole isotropic grid and resampling that, but only the stack's box is touched.

    Args:
        stack: Values, shape (crop, crop, N).
        geometry: The stack's place.

    Returns:
        Array of the scan's shape in LAS order.
    """
    box, corner = _paste(stack, geometry)
    native = np.zeros(geometry.native_shape, np.float32)
    indices = [
        _native_indices(low, size, step, n)
        for low, size, step, n in zip(corner, box.shape, geometry.step, native.shape, strict=True)
    ]
    positions = [_to_isotropic(i, step) - low for i, step, low in zip(indices, geometry.step, corner, strict=True)]
    for axis, position in enumerate(positions):
        box = _interpolate_axis(box, position, axis)
    native[np.ix_(*indices)] = box
    return native


def _to_native(isotropic: npt.NDArray[np.int64], step: float) -> Floats:
    return (isotropic.astype(np.float64) + 0.5) * step - 0.5


def _to_isotropic(native: npt.NDArray[np.integer] | Floats, step: float) -> Floats:
    return (native.astype(np.float64) + 0.5) / step - 0.5


def _crop_to_points(data: npt.NDArray[np.generic], points: Floats) -> tuple[npt.NDArray[np.generic], Floats]:
    """Cut the box that the points touch, so that no other voxel is converted or copied."""
    low = np.maximum(np.floor(points.min(axis=(1, 2, 3))).astype(int), 0)
    high = np.minimum(np.ceil(points.max(axis=(1, 2, 3))).astype(int) + 1, data.shape)
    window = data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return window, points - low[:, None, None, None]


def _paste(
    stack: npt.NDArray[np.float32], geometry: StackGeometry
) -> tuple[npt.NDArray[np.float32], tuple[int, int, int]]:
    """Paste the slices at their places into the smallest box that holds them and, inside the image, a rim of zeros."""
    starts = (geometry.start_x, geometry.start_y, np.array([geometry.first_slice]))
    sizes = (geometry.crop_voxels, geometry.crop_voxels, geometry.n_slices)
    low = [max(0, int(s.min()) - 1) for s in starts]
    high = [min(n, int(s.max()) + size + 1) for s, size, n in zip(starts, sizes, geometry.isotropic_shape, strict=True)]
    box = np.zeros([max(0, b - a) for a, b in zip(low, high, strict=True)], np.float32)
    x, y = geometry._isotropic_xy()
    k = np.broadcast_to(np.arange(geometry.n_slices), stack.shape)
    inside = geometry.inside()
    at_x = np.broadcast_to((x - low[0])[:, None], stack.shape)[inside]
    at_y = np.broadcast_to((y - low[1])[None], stack.shape)[inside]
    box[at_x, at_y, k[inside] + geometry.first_slice - low[2]] = stack[inside]
    return box, (low[0], low[1], low[2])


def _native_indices(low: int, size: int, step: float, n_native: int) -> npt.NDArray[np.int64]:
    """Native indices whose centre lies between a box's first and last voxel; border voxels reach to the image's end."""
    positions = np.clip(_to_isotropic(np.arange(n_native), step), 0, max(1, round(n_native / step)) - 1)
    return np.flatnonzero((positions >= low) & (positions <= low + size - 1))


def _interpolate_axis(values: npt.NDArray[np.float32], position: Floats, axis: int) -> npt.NDArray[np.float32]:
    position = np.clip(position, 0, values.shape[axis] - 1)
    below = np.floor(position).astype(int)
    above = np.minimum(below + 1, values.shape[axis] - 1)
    weight = (position - below).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    mixed: npt.NDArray[np.float32] = np.take(values, below, axis) * (1 - weight) + np.take(values, above, axis) * weight
    return mixed
