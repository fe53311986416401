"""Ways to disturb a scan without moving its cord: the benchmark of the cord detector applies each to every real scan.

A disturbance takes and returns a volume in LAS order. Its affine stays true, so curves are compared in world
coordinates.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy import ndimage

from cordlesion.io.arrays import AnyArray, FloatArray
from cordlesion.io.volume import Volume

Disturbance = Callable[[Volume, np.random.Generator], Volume]


def _replaced(
    scan: Volume, data: AnyArray, start: tuple[float, ...] = (0, 0, 0), step: FloatArray | None = None
) -> Volume:
    """Return a volume whose voxel 0 is at voxel ``start`` of the scan, with voxels ``step`` times as large."""
    affine = scan.affine.copy()
    affine[:3, 3] = scan.affine[:3, :3] @ np.asarray(start, float) + scan.affine[:3, 3]
    if step is not None:
        affine[:3, :3] = scan.affine[:3, :3] * step
    return Volume(np.ascontiguousarray(data, np.float32), affine)


def _pad(scan: Volume, rng: np.random.Generator, *, mm: float, axes: tuple[int, ...], noise: float) -> Volume:
    """Add margins of zeros, or of Rician noise with an SD of ``noise`` times the 99th percentile."""
    width = [round(mm / step) if axis in axes else 0 for axis, step in enumerate(scan.spacing_mm)]
    data = np.pad(scan.data.astype(np.float32), [(n, n) for n in width])
    if noise:
        inside = np.pad(np.ones(scan.data.shape, bool), [(n, n) for n in width])
        sd = noise * np.percentile(scan.data, 99)
        data[~inside] = np.hypot(*rng.normal(0, sd, (2, int((~inside).sum()))))
    return _replaced(scan, data, tuple(-n for n in width))


def _crop(scan: Volume, rng: np.random.Generator, *, axis: int, side: str, share: float) -> Volume:
    """Cut away a share of the slices along an axis."""
    del rng
    n = scan.data.shape[axis]
    cut = round(share * n)
    start, stop = (cut, n) if side == "first" else (0, n - cut)
    index = [slice(None)] * 3
    index[axis] = slice(start, stop)
    return _replaced(scan, scan.data[tuple(index)], tuple(start if a == axis else 0 for a in range(3)))


def _flip(scan: Volume, rng: np.random.Generator, *, axis: int) -> Volume:
    """Store the axis in the other direction; the affine follows."""
    del rng
    affine = scan.affine.copy()
    affine[:3, 3] += affine[:3, axis] * (scan.data.shape[axis] - 1)
    affine[:3, axis] *= -1
    return Volume(np.ascontiguousarray(np.flip(scan.data, axis)), affine)


def _mirrored(scan: Volume, rng: np.random.Generator) -> Volume:
    """Mirror the body from left to right; curves are mirrored back before they are compared."""
    del rng
    return _replaced(scan, scan.data[::-1])


def _gradient(scan: Volume, rng: np.random.Generator, *, axis: int, factor: float) -> Volume:
    """Multiply by an exponential coil gradient of ``factor`` over the field of view."""
    del rng
    n = scan.data.shape[axis]
    along = np.exp(np.log(factor) * (0.5 - np.arange(n) / max(1, n - 1))).astype(np.float32)
    return _replaced(scan, scan.data * np.moveaxis(np.broadcast_to(along, (1, 1, n)), 2, axis))


def _field(scan: Volume, rng: np.random.Generator, *, log_sd: float) -> Volume:
    """Multiply by a smooth random field."""
    coarse = rng.normal(0, log_sd, (4, 4, 4))
    zoom = [n / 4 for n in scan.data.shape]
    field = ndimage.zoom(coarse, zoom, order=1, grid_mode=True, mode="nearest")
    return _replaced(scan, scan.data * np.exp(field))


def _gamma(scan: Volume, rng: np.random.Generator, *, power: float) -> Volume:
    del rng
    top = float(np.percentile(scan.data, 99.9))
    return _replaced(scan, top * np.maximum(scan.data / top, 0) ** power)


def _noise(scan: Volume, rng: np.random.Generator, *, share: float) -> Volume:
    """Add Rician noise with an SD of ``share`` times the 99th percentile."""
    sd = share * float(np.percentile(scan.data, 99))
    real, imaginary = rng.normal(0, sd, (2, *scan.data.shape))
    return _replaced(scan, np.hypot(scan.data + real, imaginary))


def _blur(scan: Volume, rng: np.random.Generator, *, mm: float, axes: tuple[int, ...]) -> Volume:
    del rng
    sd = [mm / step if axis in axes else 0 for axis, step in enumerate(scan.spacing_mm)]
    return _replaced(scan, ndimage.gaussian_filter(scan.data.astype(np.float32), sd))


def _resampled(scan: Volume, rng: np.random.Generator, *, mm: float, axes: tuple[int, ...]) -> Volume:
    """Resample axes linearly to voxels of ``mm``."""
    del rng
    step = np.array([mm / each if axis in axes else 1.0 for axis, each in enumerate(scan.spacing_mm)])
    shape = [max(1, int((n - 1) / by) + 1) for n, by in zip(scan.data.shape, step, strict=True)]
    smooth = ndimage.gaussian_filter(scan.data.astype(np.float32), np.maximum(0.4 * (step - 1), 0))
    data = ndimage.affine_transform(smooth, step, output_shape=tuple(shape), order=1, mode="nearest")
    return _replaced(scan, data, step=step)


def _rotated(scan: Volume, rng: np.random.Generator, *, degrees: float, axes: tuple[int, int]) -> Volume:
    """Rotate the body by degrees about the middle; the affine follows, so the world coordinates of the cord stay."""
    del rng
    spacing = np.asarray(scan.spacing_mm)
    angle = np.radians(degrees)
    turn = np.eye(3)
    turn[np.ix_(axes, axes)] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    voxels = turn * spacing[None, :] / spacing[:, None]
    middle = (np.array(scan.data.shape) - 1) / 2
    offset = middle - voxels @ middle
    data = ndimage.affine_transform(scan.data.astype(np.float32), voxels, offset, order=1, mode="constant")
    affine = scan.affine.copy()
    affine[:3, :3] = scan.affine[:3, :3] @ voxels
    affine[:3, 3] = scan.affine[:3, :3] @ offset + scan.affine[:3, 3]
    return Volume(data, affine)


def _ghosts(scan: Volume, rng: np.random.Generator, *, mm: float, share: float) -> Volume:
    """Add copies that are shifted to the front and to the back."""
    del rng
    shift = round(mm / scan.spacing_mm[1])
    copies = np.roll(scan.data, shift, 1).astype(np.float32) - np.roll(scan.data, -shift, 1)
    return _replaced(scan, np.abs(scan.data + share * copies))


def _ringing(scan: Volume, rng: np.random.Generator, *, share: float) -> Volume:
    """Remove the highest frequencies of the axis from back to front without a taper."""
    del rng
    spectrum = np.fft.fft(scan.data.astype(np.float32), axis=1)
    frequency = np.abs(np.fft.fftfreq(scan.data.shape[1]))
    spectrum[:, frequency > 0.5 * share] = 0
    return _replaced(scan, np.abs(np.fft.ifft(spectrum, axis=1)))


def _slice_gains(scan: Volume, rng: np.random.Generator, *, log_sd: float) -> Volume:
    return _replaced(scan, scan.data * np.exp(rng.normal(0, log_sd, scan.data.shape[2])))


def _motion(scan: Volume, rng: np.random.Generator, *, mm: float) -> Volume:
    """Shift each axial slice by a random distance in plane."""
    data = scan.data.astype(np.float32)
    for z in range(data.shape[2]):
        data[..., z] = ndimage.shift(data[..., z], rng.normal(0, mm, 2) / scan.spacing_mm[:2], order=1, mode="nearest")
    return _replaced(scan, data)


def _damaged(scan: Volume, rng: np.random.Generator, *, mm: float) -> Volume:
    """Set the slices of ``mm`` of the body to zero, at a third of the scan."""
    del rng
    data = scan.data.astype(np.float32)
    at, count = data.shape[2] // 3, max(1, round(mm / scan.spacing_mm[2]))
    data[..., at : at + count] = 0
    return _replaced(scan, data)


def _unwarped(scan: Volume, rng: np.random.Generator) -> Volume:
    """Set the corners of axial slices to zero, as the correction of gradients does."""
    del rng
    x, y = np.meshgrid(*[np.linspace(-1, 1, n) for n in scan.data.shape[:2]], indexing="ij")
    return _replaced(scan, scan.data * (np.hypot(x, y) < 1.1)[..., None])


def _saturated(scan: Volume, rng: np.random.Generator, *, percentile: float) -> Volume:
    del rng
    return _replaced(scan, np.minimum(scan.data, np.percentile(scan.data, percentile)))


def _spikes(scan: Volume, rng: np.random.Generator) -> Volume:
    """Set a hundredth of a percent of the voxels to ten times the largest value."""
    data = scan.data.astype(np.float32)
    data[rng.random(data.shape) < 1e-4] = 10 * data.max()
    return _replaced(scan, data)


def _shifted_values(scan: Volume, rng: np.random.Generator, *, scale: float, offset: float) -> Volume:
    del rng
    return _replaced(scan, scan.data.astype(np.float32) * scale + offset)


def _eight_bits(scan: Volume, rng: np.random.Generator) -> Volume:
    del rng
    return _replaced(scan, np.round(255 * np.clip(scan.data / np.percentile(scan.data, 99.9), 0, 1)))


def _bright_object(scan: Volume, rng: np.random.Generator) -> Volume:
    """Add a bright tube next to the border, as an oil capsule or a cable."""
    del rng
    data = scan.data.astype(np.float32)
    nx, ny = (min(n, max(2, round(3 / step))) for n, step in zip(data.shape, scan.spacing_mm[:2], strict=False))
    data[:nx, :ny] = 2 * np.percentile(data, 99.5)
    return _replaced(scan, data)


IN_PLANE, ALL = (0, 1), (0, 1, 2)
MIRRORED = "mirrored"
DISTURBANCES: dict[str, Disturbance] = {
    "10 mm of zeros": partial(_pad, mm=10, axes=IN_PLANE, noise=0),
    "40 mm of zeros": partial(_pad, mm=40, axes=IN_PLANE, noise=0),
    "zeros above and below": partial(_pad, mm=20, axes=(2,), noise=0),
    "10 mm of noise, 2 %": partial(_pad, mm=10, axes=IN_PLANE, noise=0.02),
    "40 mm of noise, 2 %": partial(_pad, mm=40, axes=IN_PLANE, noise=0.02),
    "30 mm of noise, 20 %": partial(_pad, mm=30, axes=IN_PLANE, noise=0.2),
    "first sixth cut, left-right": partial(_crop, axis=0, side="first", share=1 / 6),
    "last sixth cut, left-right": partial(_crop, axis=0, side="last", share=1 / 6),
    "first eighth cut, back-front": partial(_crop, axis=1, side="first", share=1 / 8),
    "last third cut, back-front": partial(_crop, axis=1, side="last", share=1 / 3),
    "lowest third cut": partial(_crop, axis=2, side="first", share=1 / 3),
    "highest third cut": partial(_crop, axis=2, side="last", share=1 / 3),
    "stored from right to left": partial(_flip, axis=0),
    "stored from front to back": partial(_flip, axis=1),
    "stored from top to bottom": partial(_flip, axis=2),
    MIRRORED: _mirrored,
    "coil gradient of 10, back": partial(_gradient, axis=1, factor=10),
    "coil gradient of 10, front": partial(_gradient, axis=1, factor=0.1),
    "coil gradient of 10, along": partial(_gradient, axis=2, factor=10),
    "coil gradient of 5, aside": partial(_gradient, axis=0, factor=5),
    "smooth field, SD 30 %": partial(_field, log_sd=0.3),
    "smooth field, SD 60 %": partial(_field, log_sd=0.6),
    "gamma 0.7": partial(_gamma, power=0.7),
    "gamma 1.4": partial(_gamma, power=1.4),
    "noise, 3 %": partial(_noise, share=0.03),
    "noise, 8 %": partial(_noise, share=0.08),
    "blur, 0.8 mm": partial(_blur, mm=0.8, axes=ALL),
    "blur along, 3 mm": partial(_blur, mm=3, axes=(2,)),
    "1.5 mm in plane": partial(_resampled, mm=1.5, axes=IN_PLANE),
    "0.6 mm in plane": partial(_resampled, mm=0.6, axes=IN_PLANE),
    "3 mm sagittal slices": partial(_resampled, mm=3.0, axes=(0,)),
    "4 mm axial slices": partial(_resampled, mm=4.0, axes=(2,)),
    "turned by 6 degrees, axial": partial(_rotated, degrees=6, axes=(0, 1)),
    "turned by 5 degrees, sagittal": partial(_rotated, degrees=5, axes=(1, 2)),
    "ghosts, 10 %": partial(_ghosts, mm=25, share=0.1),
    "ringing, 60 % of k-space": partial(_ringing, share=0.6),
    "slice gains, 15 %": partial(_slice_gains, log_sd=0.15),
    "slices moved by 0.5 mm": partial(_motion, mm=0.5),
    "6 mm without signal": partial(_damaged, mm=6),
    "round field of view": _unwarped,
    "cut at the 99th percentile": partial(_saturated, percentile=99),
    "spikes": _spikes,
    "values x 0.01 - 5": partial(_shifted_values, scale=0.01, offset=-5),
    "8 bits": _eight_bits,
    "bright object": _bright_object,
}
"""45 disturbances; each keeps the cord in view, where the scan is large enough."""
