"""A bent cord of known shape in a scan of known blur and noise, for lesions that are implanted."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cordlesion.io.volume import Volume

CORD, FLUID, WALL = 200.0, 560.0, 60.0


@dataclass(frozen=True, eq=False)
class Tube:
    """A cord of circular section, bent in the sagittal plane, in fluid; LAS order."""

    scan: Volume
    cord: np.ndarray
    radius_mm: float


def make_tube(
    *,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    length_mm: float = 60.0,
    blur_mm: float = 0.45,
    noise: float = 0.0,
    radius_mm: float = 5.0,
    bend_mm: float = 4.0,
    seed: int = 0,
) -> Tube:
    """Make a cord in a tube of fluid; the image is blurred by a Gaussian of SD ``blur_mm`` and averaged over voxels."""
    parts = 4
    size = np.array([32.0, 36.0, length_mm])
    shape = np.ceil(size / spacing_mm).astype(int)
    axes = [((np.arange(n * parts) + 0.5) / parts - 0.5) * step for n, step in zip(shape, spacing_mm, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    middle = 18 + bend_mm * np.sin(np.pi * z / length_mm)
    distance = np.hypot(x - 15.5, y - middle)
    image = np.where(distance < radius_mm, CORD, np.where(distance < radius_mm + 4, FLUID, WALL)).astype(np.float32)
    step = np.array(spacing_mm) / parts
    image = ndimage.gaussian_filter(image, blur_mm / step * (np.array(spacing_mm) < 2), mode="nearest")
    share = (distance < radius_mm).astype(np.float32)
    image, share = (_means(array, shape, parts) for array in (image, share))
    rng = np.random.default_rng(seed)
    image = np.hypot(image + noise * rng.standard_normal(shape), noise * rng.standard_normal(shape))
    affine = np.diag([-spacing_mm[0], spacing_mm[1], spacing_mm[2], 1.0])
    return Tube(Volume(image.astype(np.float32), affine), share >= 0.5, radius_mm)


def _means(fine: np.ndarray, shape: np.ndarray, parts: int) -> np.ndarray:
    x, y, z = shape
    return (
        np.broadcast_to(fine, (x * parts, y * parts, z * parts)).reshape(x, parts, y, parts, z, parts).mean((1, 3, 5))
    )
