"""Data augmentation for the cord detector: random position, surroundings, shading, resolution, contrast and artefacts.

All changes but the noise are the same for a slice and its two neighbours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cordlesion.cord.network import MULTIPLE, local_contrast
from cordlesion.io.arrays import Array, Float32Array
from cordlesion.simulate.axial_slices import AxialStack, Part

EDGES = (40, 128)
"""Smallest and largest edge of a crop, in pixels of 1 mm."""
IN_VIEW_SHARE = 0.9
"""Share of crops that are placed so that they contain the cord."""
OTHER_SURROUNDINGS_SHARE, ALONE_SHARE = 0.35, 0.04
"""Share of slices that get the surroundings of the slice drawn with them, where that is one without cord; and of those
that lose their own cord by it."""
ALONE_BELOW_OR_ABOVE_SHARE = 0.12
"""Share of slices that take the place of a neighbour, as at the ends of a scan."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A slice and its neighbours."""

    images: Array
    """The slice, the slice below and the slice above, shape (3, X, Y)."""
    center: tuple[float, float]
    """Centre of what the slice shows, in pixels; NaN for nothing."""
    part: Part


def samples_of(stack: AxialStack) -> list[Sample]:
    """Return a sample for each slice of a stack; at the ends, the slice itself is its missing neighbour.

    Intensities are scaled to at most 1 and stored as float16, which halves the memory.
    """
    images = (stack.images / max(float(np.abs(stack.images).max()), 1e-6)).astype(np.float16)
    below, last = np.maximum(np.arange(len(images)) - 1, 0), len(images) - 1
    return [
        Sample(images[[k, below[k], min(k + 1, last)]], (float(x), float(y)), Part(part))
        for k, ((x, y), part) in enumerate(zip(stack.centers, stack.parts, strict=True))
    ]


def augment(batch: Sequence[Sample], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Crop all slices to one random shape and augment each independently.

    Returns:
        Input of the network (B, 6, X, Y), centres in its pixels (B, 2; NaN if not in view), and parts (B,).
    """
    shape = tuple(MULTIPLE * int(n) for n in rng.integers(EDGES[0] // MULTIPLE, EDGES[1] // MULTIPLE + 1, 2))
    inputs, centers, parts = [], [], []
    for index, sample in enumerate(batch):
        other = batch[(index + int(rng.integers(1, len(batch)))) % len(batch)] if len(batch) > 1 else sample
        images, center, part = _surrounded(sample, other, rng)
        crop, place = _cut(torch.from_numpy(_neighbours(images, rng)), center, shape, rng)
        ready = _blanked(_disturb(crop, rng), place, rng).numpy()
        inside = ready > ready.min()
        channels = local_contrast(ready, inside).swapaxes(0, 1).reshape(-1, *shape)
        _cover_margins(channels, rng)
        inputs.append(torch.from_numpy(channels))
        centers.append(place)
        parts.append(int(part))
    return torch.stack(inputs), torch.tensor(centers), torch.tensor(parts)


def _surrounded(
    sample: Sample, other: Sample, rng: np.random.Generator
) -> tuple[Float32Array, tuple[float, float], Part]:
    """With some probability, replace all but the region around the centre by another slice; or just that region."""
    images = sample.images.astype(np.float32)
    if math.isnan(sample.center[0]) or rng.random() > OTHER_SURROUNDINGS_SHARE or not math.isnan(other.center[0]):
        return images, sample.center, sample.part
    radius, edge = rng.uniform(22 if sample.part is Part.BRAINSTEM else 13, 40), rng.uniform(1, 6)
    mesh = np.meshgrid(*[np.arange(n, dtype=np.float32) for n in images.shape[1:]], indexing="ij")
    distance = np.hypot(*(along - at for along, at in zip(mesh, sample.center, strict=True)))
    own = 1 / (1 + np.exp(np.clip((distance - radius) / edge * 4, -30, 30)))
    strange = other.images.astype(np.float32)
    strange *= rng.uniform(0.5, 2) * images.mean() / max(float(np.abs(strange).mean()), 1e-6)
    if rng.random() < ALONE_SHARE / OTHER_SURROUNDINGS_SHARE:
        return own * strange + (1 - own) * images, (math.nan, math.nan), Part.NOTHING
    return own * images + (1 - own) * strange, sample.center, sample.part


def _neighbours(images: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Replace a neighbour by the slice itself in some samples, as at the ends of a scan."""
    images = images.copy()
    for k in (1, 2):
        if rng.random() < ALONE_BELOW_OR_ABOVE_SHARE:
            images[k] = images[0]
    return images


def _cut(
    images: Tensor, center: tuple[float, float], shape: tuple[int, ...], rng: np.random.Generator
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
        middle = rng.uniform(0.25, 0.75, 2) * images.shape[1:]
    # Pixel p of the crop is the image at middle + turn (p - half).
    place = np.linalg.solve(turn, np.array(center) - middle) + half
    if not ((place > -0.5) & (place < np.array(shape) - 0.5)).all():
        place = np.full(2, np.nan)
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1) - half
    at = (grid @ turn.T + middle + 0.5) * 2 / np.array(images.shape[1:]) - 1
    # grid_sample counts the last axis first.
    points = torch.from_numpy(at[..., ::-1].astype(np.float32).copy())[None]
    crop = functional.grid_sample(images[None], points, align_corners=False)[0]
    return crop, (float(place[0]), float(place[1]))


def _disturb(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Apply shading, ghosts, blur, contrast changes and noise, each with some probability."""
    images = images / images.abs().max().clamp_min(1e-6)
    plane = images.shape[1:]
    if rng.random() < 0.6:
        images = images * torch.exp(_field(plane, rng, (2, 4)) * rng.uniform(0.1, 0.8))
    if rng.random() < 0.4:
        images = images * (1 + rng.uniform(0.05, 0.3) * _field(plane, rng, (6, 30)))
    if rng.random() < 0.25:
        images = _ghosted(images, rng)
    if rng.random() < 0.3:
        images = images * torch.from_numpy(np.exp(rng.normal(0, 0.12, (3, 1, 1))).astype(np.float32))
    noise = _noise(images.shape, rng) * float(images.std()) * min(np.exp(rng.normal(-2.2, 0.8)), 0.7)
    late = rng.random() < 0.5
    images = images if late else torch.hypot(images, noise)
    images = _resolved(images, rng)
    images = torch.hypot(images, noise) if late else images
    images = images.clamp_min(0).pow(float(np.exp(rng.normal(0, 0.3))))
    return images.max() - images if rng.random() < 0.08 else images


def _blanked(images: Tensor, place: tuple[float, float], rng: np.random.Generator) -> Tensor:
    """Fill the image beyond edges next to the cord with zeros or noise: a reduced or padded field of view."""
    if rng.random() < 0.7:
        return images
    fill = torch.zeros_like(images)
    if rng.random() < 0.5:
        fill = _noise(images.shape, rng).abs() * float(images.std()) * float(np.exp(rng.uniform(-4, 0.5)))
    images = images.clone()
    for axis in range(2):
        middle = images.shape[axis + 1] / 2 if math.isnan(place[axis]) else place[axis]
        low = int(rng.uniform(0, max(middle - 12, 0)))
        high = int(rng.uniform(min(middle + 12, images.shape[axis + 1]), images.shape[axis + 1]))
        if rng.random() < 0.6:
            for start, length in ((0, low), (high, images.shape[axis + 1] - high)):
                images.narrow(axis + 1, start, length).copy_(fill.narrow(axis + 1, start, length))
    return images


def _field(shape: torch.Size, rng: np.random.Generator, knots: tuple[int, int]) -> Tensor:
    """Return a smooth random field of about unit SD."""
    coarse = torch.from_numpy(rng.standard_normal((1, 1, *rng.integers(*knots, 2))).astype(np.float32))
    return functional.interpolate(coarse, tuple(shape), mode="bilinear", align_corners=True)[0, 0]


def _ghosted(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Add shifted copies along one axis."""
    axis, step = int(rng.integers(1, 3)), int(rng.integers(6, 50))
    copies = torch.roll(images, step, axis) + rng.choice((-1.0, 1.0)) * torch.roll(images, -step, axis)
    ghosted: Tensor = images + rng.uniform(0.03, 0.25) * copies
    return ghosted.abs()


def _noise(shape: torch.Size, rng: np.random.Generator) -> Tensor:
    """Return white noise, or correlated noise as of zero-filled acquisitions; unit SD."""
    white = torch.from_numpy(rng.standard_normal(tuple(shape)).astype(np.float32))
    if rng.random() < 0.5:
        return white
    white = functional.avg_pool2d(white[:, None], 3, stride=1, padding=1)[:, 0]
    return white / white.std()


def _resolved(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Lower the resolution: sagittal slices 2-5 mm thick, coarse pixels, or a blur."""
    across = int(rng.integers(2, 6)) if rng.random() < 0.4 else 1
    along = int(rng.integers(2, 4)) if rng.random() < 0.1 else 1
    result = images[:, None]
    if across > 1 or along > 1:
        coarse = functional.avg_pool2d(result, (across, along), ceil_mode=True, count_include_pad=False)
        # Interpolated over whole coarse pixels; the last one may extend beyond the image.
        size = (coarse.shape[2] * across, coarse.shape[3] * along)
        result = functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
        result = result[..., : images.shape[1], : images.shape[2]]
    if rng.random() < 0.5:
        sd = rng.uniform(0.4, 1.4)
        kernel = torch.exp(-(torch.arange(-3, 4) ** 2) / (2 * sd**2))
        kernel = kernel / kernel.sum()
        padded = functional.pad(result, (3, 3, 3, 3), mode="replicate")
        result = functional.conv2d(functional.conv2d(padded, kernel[None, None, :, None]), kernel[None, None, None])
    return result[:, 0]


def _cover_margins(channels: Float32Array, rng: np.random.Generator) -> None:
    """Set up to 7 last rows and columns to zero: the padding of a scan whose edge is not a multiple of 8."""
    if rng.random() < 0.5:
        rows, columns = rng.integers(0, MULTIPLE, 2)
        channels[:, channels.shape[1] - rows :] = 0
        channels[:, :, channels.shape[2] - columns :] = 0
