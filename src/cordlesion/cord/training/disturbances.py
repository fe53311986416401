"""Disturbs a scan in one way (crop, noise, ghosts, ...) to test the cord detector; the true centres follow."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d, zoom

from cordlesion.io.arrays import Float32Array, FloatArray, IntArray
from cordlesion.io.volume import Volume

Spacing = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class LocatedScan:
    """A scan in LAS order with the known centre of its cord."""

    name: str
    """How it was simulated and disturbed."""
    data: Float32Array
    spacing_mm: Spacing
    centers: FloatArray
    """Centre of the cord for each axial slice, in voxels, shape (Z, 2); NaN without cord or if uncertain."""

    @property
    def image(self) -> Volume:
        """The scan as a volume."""
        dx, dy, dz = self.spacing_mm
        return Volume(self.data, np.diag([-dx, dy, dz, 1.0]))

    @property
    def cord_slices(self) -> IntArray:
        """Indices of the axial slices that certainly contain cord."""
        return np.flatnonzero(~np.isnan(self.centers[:, 0]))


def _as_acquired(scan: LocatedScan, rng: np.random.Generator) -> LocatedScan:
    del rng
    return scan


def _cropped(scan: LocatedScan, rng: np.random.Generator) -> LocatedScan:
    """Keep 20 to 40 mm on each side of the cord in plane."""
    middle = scan.centers[scan.cord_slices].mean(axis=0) if scan.cord_slices.size else np.array(scan.data.shape[:2]) / 2
    (x0, x1), (y0, y1) = (
        (max(0, int(at - rng.uniform(20, 40) / step)), int(at + rng.uniform(20, 40) / step) + 1)
        for at, step in zip(middle, scan.spacing_mm, strict=False)
    )
    return replace(scan, data=scan.data[x0:x1, y0:y1], centers=scan.centers - np.array((x0, y0)))


def _short(scan: LocatedScan, rng: np.random.Generator) -> LocatedScan:
    """Keep 40 mm of the cord, or five slices."""
    count = max(5, round(40 / scan.spacing_mm[2]))
    lowest, highest = (
        (scan.cord_slices[0], scan.cord_slices[-1]) if scan.cord_slices.size else (0, len(scan.centers) - 1)
    )
    first = int(rng.integers(lowest, max(lowest, highest - count) + 1))
    return replace(scan, data=scan.data[:, :, first : first + count], centers=scan.centers[first : first + count])


def _gapped(scan: LocatedScan, rng: np.random.Generator) -> LocatedScan:
    """Keep one slice about every 15 mm."""
    del rng
    dx, dy, dz = scan.spacing_mm
    step = max(1, round(15 / dz))
    return replace(scan, data=scan.data[:, :, ::step], spacing_mm=(dx, dy, step * dz), centers=scan.centers[::step])


def _thick(scan: LocatedScan, rng: np.random.Generator) -> LocatedScan:
    """Average along the left-right axis to voxels of about 5 mm."""
    del rng
    dx, dy, dz = scan.spacing_mm
    step = max(1, round(5 / dx))
    count = scan.data.shape[0] // step
    data = scan.data[: count * step].reshape(count, step, *scan.data.shape[1:]).mean(axis=1)
    centers = (scan.centers + np.array((0.5, 0))) / (step, 1) - np.array((0.5, 0))
    return replace(scan, data=data, spacing_mm=(step * dx, dy, dz), centers=centers)


def _isotropic(scan: LocatedScan, rng: np.random.Generator) -> LocatedScan:
    """Resample to 1 mm with a cubic spline, as scanners and users do."""
    del rng
    factors = np.array([max(1, round(n * step)) / n for n, step in zip(scan.data.shape, scan.spacing_mm, strict=True)])
    data = np.asarray(zoom(scan.data, factors, order=3, grid_mode=True, mode="nearest"), np.float32)
    old = (np.arange(data.shape[2]) + 0.5) / factors[2] - 0.5
    centers = np.full((len(old), 2), np.nan)
    if scan.cord_slices.size:
        centers = np.stack(
            [np.interp(old, scan.cord_slices, along[scan.cord_slices]) for along in scan.centers.T], axis=1
        )
        centers = (centers + 0.5) * factors[:2] - 0.5
        nearest = np.clip(np.rint(old), 0, len(scan.centers) - 1).astype(int)
        centers[np.isnan(scan.centers[nearest, 0])] = np.nan
    dx, dy, dz = (float(step / factor) for step, factor in zip(scan.spacing_mm, factors, strict=True))
    return replace(scan, data=data, spacing_mm=(dx, dy, dz), centers=centers)


def _inverted(scan: LocatedScan, rng: np.random.Generator) -> LocatedScan:
    """Invert the contrast, so that fluid is dark as on T1-weighted scans."""
    del rng
    return replace(scan, data=np.clip(np.percentile(scan.data, 99.5) - scan.data, 0, None).astype(np.float32))


def _noisy(scan: LocatedScan, rng: np.random.Generator) -> LocatedScan:
    noise = rng.normal(0, 0.35 * float(scan.data.std()), (2, *scan.data.shape)).astype(np.float32)
    return replace(scan, data=np.hypot(scan.data + noise[0], noise[1]))


def _shaded(scan: LocatedScan, rng: np.random.Generator) -> LocatedScan:
    """Multiply by a smooth field that varies by a factor of up to six over the scan."""
    factors = [n / 3 for n in scan.data.shape]
    field = zoom(rng.uniform(-0.9, 0.9, (3, 3, 3)), factors, order=1, grid_mode=True, mode="nearest")
    return replace(scan, data=scan.data * np.exp(field).astype(np.float32))


def _ghosted(scan: LocatedScan, rng: np.random.Generator) -> LocatedScan:
    """Add copies shifted to the front and to the back."""
    shift = round(rng.uniform(12, 40) / scan.spacing_mm[1])
    copies = np.roll(scan.data, shift, 1) - np.roll(scan.data, -shift, 1)
    return replace(scan, data=np.abs(scan.data + np.float32(0.2) * copies))


def _blurred(scan: LocatedScan, rng: np.random.Generator) -> LocatedScan:
    del rng
    data = scan.data
    for axis, step in enumerate(scan.spacing_mm[:2]):
        data = gaussian_filter1d(data, 1.3 / step, axis)
    return replace(scan, data=data)


DISTURBANCES: dict[str, Callable[[LocatedScan, np.random.Generator], LocatedScan]] = {
    "as acquired": _as_acquired,
    "cropped": _cropped,
    "isotropic": _isotropic,
    "noisy": _noisy,
    "short": _short,
    "gapped": _gapped,
    "thick": _thick,
    "inverted": _inverted,
    "shaded": _shaded,
    "ghosted": _ghosted,
    "blurred": _blurred,
}
