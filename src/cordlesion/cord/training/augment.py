"""Data augmentation for the cord detector: random position, coil shading, resolution, contrast and artefacts."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from cordlesion.cord.network import MULTIPLE, standardize
from cordlesion.io.arrays import Float32Array

Sample = tuple[npt.NDArray[np.float16], tuple[float, float], bool]
"""Image, centre of the cord in pixels (NaN without cord), and whether this label is certain."""
EDGES = (40, 144)
"""Smallest and largest edge of a crop, in pixels of 1 mm."""
IN_VIEW_SHARE = 0.9
"""Share of crops that are placed so that they contain the cord."""


def augment(batch: Sequence[Sample], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Crop all slices to one random shape and augment each independently.

    Returns:
        Standardised images (B, 1, X, Y), centres in their pixels (B, 2; NaN if not in view), and whether each label is
        certain (B,).
    """
    shape = tuple(MULTIPLE * int(n) for n in rng.integers(EDGES[0] // MULTIPLE, EDGES[1] // MULTIPLE + 1, 2))
    images, centers = [], []
    for image, center, _ in batch:
        crop, place = _cut(torch.from_numpy(image.astype(np.float32)), center, shape, rng)
        images.append(_blanked(_disturb(crop, rng), place, rng))
        centers.append(place)
    ready = standardize(torch.stack(images).numpy())
    for image in ready:
        _cover_margins(image, rng)
    return torch.from_numpy(ready)[:, None], torch.tensor(centers), torch.tensor([certain for _, _, certain in batch])


def _cut(
    image: Tensor, center: tuple[float, float], shape: tuple[int, ...], rng: np.random.Generator
) -> tuple[Tensor, tuple[float, float]]:
    """Rotate, scale, mirror and crop."""
    angle, scale = math.radians(rng.normal(0, 9)), float(np.exp(rng.normal(0, 0.09)))
    mirror = rng.choice((-1.0, 1.0))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) @ np.diag([mirror, 1.0])
    turn *= scale
    half = (np.array(shape) - 1) / 2
    if rng.random() < IN_VIEW_SHARE and not math.isnan(center[0]):
        inside = rng.uniform(-1, 1, 2) * np.maximum(half - 4, 0)
        middle = np.array(center) - turn @ inside
    else:
        middle = rng.uniform(0.25, 0.75, 2) * image.shape
    # Pixel p of the crop is the image at middle + turn (p - half).
    place = np.linalg.solve(turn, np.array(center) - middle) + half
    if not ((place > -0.5) & (place < np.array(shape) - 0.5)).all():
        place = np.full(2, np.nan)
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1) - half
    at = (grid @ turn.T + middle + 0.5) * 2 / np.array(image.shape) - 1
    # grid_sample counts the last axis first.
    points = torch.from_numpy(at[..., ::-1].astype(np.float32).copy())[None]
    crop = functional.grid_sample(image[None, None], points, align_corners=False)[0, 0]
    return crop, (float(place[0]), float(place[1]))


def _disturb(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Apply shading, ghosts, blur, contrast changes and noise, each with some probability."""
    image = image / image.abs().max().clamp_min(1e-6)
    if rng.random() < 0.6:
        image = image * torch.exp(_field(image.shape, rng, (2, 4)) * rng.uniform(0.1, 0.8))
    if rng.random() < 0.4:
        image = image * (1 + rng.uniform(0.05, 0.3) * _field(image.shape, rng, (6, 30)))
    if rng.random() < 0.25:
        image = _ghosted(image, rng)
    noise = _noise(image.shape, rng) * float(image.std()) * min(np.exp(rng.normal(-2.2, 0.8)), 0.7)
    late = rng.random() < 0.5
    image = image if late else torch.hypot(image, noise)
    image = _resolved(image, rng)
    image = torch.hypot(image, noise) if late else image
    image = image.clamp_min(0).pow(float(np.exp(rng.normal(0, 0.3))))
    return image.max() - image if rng.random() < 0.08 else image


def _blanked(image: Tensor, place: tuple[float, float], rng: np.random.Generator) -> Tensor:
    """Set the image to zero beyond edges next to the cord, as in a reduced or saturated field of view."""
    if rng.random() < 0.75:
        return image
    image = image.clone()
    for axis in range(2):
        middle = image.shape[axis] / 2 if math.isnan(place[axis]) else place[axis]
        low = int(rng.uniform(0, max(middle - 12, 0)))
        high = int(rng.uniform(min(middle + 12, image.shape[axis]), image.shape[axis]))
        if rng.random() < 0.6:
            image.narrow(axis, 0, low).zero_()
            image.narrow(axis, high, image.shape[axis] - high).zero_()
    return image


def _field(shape: torch.Size, rng: np.random.Generator, knots: tuple[int, int]) -> Tensor:
    """Return a smooth random field of about unit SD."""
    coarse = torch.from_numpy(rng.standard_normal((1, 1, *rng.integers(*knots, 2))).astype(np.float32))
    return functional.interpolate(coarse, tuple(shape), mode="bilinear", align_corners=True)[0, 0]


def _ghosted(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Add shifted copies along one axis."""
    axis, step = int(rng.integers(2)), int(rng.integers(6, 50))
    copies = torch.roll(image, step, axis) + rng.choice((-1.0, 1.0)) * torch.roll(image, -step, axis)
    ghosted: Tensor = image + rng.uniform(0.03, 0.25) * copies
    return ghosted.abs()


def _noise(shape: torch.Size, rng: np.random.Generator) -> Tensor:
    """Return white noise, or correlated noise as of zero-filled acquisitions; unit SD."""
    white = torch.from_numpy(rng.standard_normal(tuple(shape)).astype(np.float32))
    if rng.random() < 0.5:
        return white
    white = functional.avg_pool2d(white[None, None], 3, stride=1, padding=1)[0, 0]
    return white / white.std()


def _resolved(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Lower the resolution: sagittal slices 2-5 mm thick, coarse pixels, or a blur."""
    across = int(rng.integers(2, 6)) if rng.random() < 0.4 else 1
    along = int(rng.integers(2, 4)) if rng.random() < 0.1 else 1
    result = image[None, None]
    if across > 1 or along > 1:
        coarse = functional.avg_pool2d(result, (across, along), ceil_mode=True, count_include_pad=False)
        # Interpolated over whole coarse pixels; the last one may extend beyond the image.
        size = (coarse.shape[2] * across, coarse.shape[3] * along)
        result = functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
        result = result[..., : image.shape[0], : image.shape[1]]
    if rng.random() < 0.5:
        sd = rng.uniform(0.4, 1.4)
        kernel = torch.exp(-(torch.arange(-3, 4) ** 2) / (2 * sd**2))
        kernel = kernel / kernel.sum()
        padded = functional.pad(result, (3, 3, 3, 3), mode="replicate")
        result = functional.conv2d(functional.conv2d(padded, kernel[None, None, :, None]), kernel[None, None, None])
    return result[0, 0]


def _cover_margins(image: Float32Array, rng: np.random.Generator) -> None:
    """Set up to 7 last rows and columns to zero: the padding of a scan whose edge is not a multiple of 8."""
    if rng.random() < 0.5:
        rows, columns = rng.integers(0, MULTIPLE, 2)
        image[image.shape[0] - rows :] = 0
        image[:, image.shape[1] - columns :] = 0
