"""Single axial slices without cord: brains, limbs, clutter and noise, for the training of the cord detector."""

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, zoom

from cordlesion.io.arrays import Array

SIZE = 160
"""Edge of a slice, in pixels of 1 mm."""
RIMMED_SHARE = 0.5
"""Share of training images that get discs with a rim."""
STILLNESS = 3.0
"""Exponent of the change from slice to slice; with 3, half of the training images change by less than an eighth of the
largest change."""
_HALF = SIZE / 2
_MESH = np.meshgrid(*[np.arange(SIZE, dtype=np.float32) - _HALF] * 2, indexing="ij")


def cordless_images(
    rng: np.random.Generator, count: int, *, rimmed_share: float = RIMMED_SHARE, stillness: float = STILLNESS
) -> Array:
    """Draw consecutive slices of a brain, a limb, clutter or noise: one image, warped a little more in each slice.

    Args:
        rng: Random numbers.
        count: Number of slices.
        rimmed_share: Share of images that get round structures with a rim.
        stillness: The larger, the more images hardly change from slice to slice; 1 makes all changes equally frequent.

    Returns:
        Intensities, shape (count, SIZE, SIZE), float32.
    """
    kind = _NO_CORD[rng.integers(len(_NO_CORD))]
    if kind is _noise:
        return np.stack([_noise(rng) for _ in range(count)])
    image = kind(rng)
    if rimmed_share and rng.random() < rimmed_share:
        image = _with_rimmed_discs(image, rng)
    shifts = [_smooth(rng, rng.uniform(15, 50)) * min(3, 15 / count) * rng.random() ** stillness for _ in range(2)]
    grid: Any = [mesh + _HALF for mesh in _MESH]
    images = []
    for k in np.arange(count) - (count - 1) / 2:
        at = [along + k * shift for along, shift in zip(grid, shifts, strict=True)]
        images.append(map_coordinates(image, at, order=1, mode="nearest", output=np.float32))
    return np.stack(images)


def _smooth(rng: np.random.Generator, scale: float) -> Array:
    """Return smooth noise of unit SD over the slice."""
    step = max(1, int(scale / 3))
    edge = -(-SIZE // step) + 2
    coarse = gaussian_filter(rng.standard_normal((edge, edge)), scale / step, mode="wrap")
    field: Array = zoom(coarse / coarse.std(), step, order=1, grid_mode=True, mode="nearest")[:SIZE, :SIZE]
    return field


def disc(center: Array, radius_x: float, radius_y: float, ripple: Array | float = 0.0) -> Array:
    """Return the level function of an ellipse, about the distance in mm: positive inside."""
    x, y = (mesh - at for mesh, at in zip(_MESH, center, strict=True))
    level: Array = (1 - np.hypot(x / radius_x, y / radius_y) + ripple) * min(radius_x, radius_y)
    return level


def _brain(rng: np.random.Generator) -> Array:
    """Draw a head: fat, skull, fluid, folded cortex, white matter and ventricles; sometimes eyes or a brain stem."""
    fat, bone, fluid, grey, white = rng.permutation((1.4, 0.15, 2.6, 1.15, 0.95)) if rng.random() < 0.3 else (
        1.3, 0.15, rng.uniform(1.5, 3.5), rng.uniform(1.0, 1.4), rng.uniform(0.7, 1.0))  # fmt: skip
    center = rng.uniform(-45, 45, 2)
    size = rng.uniform(0.55, 1.05)
    head = disc(center, 75 * size, 92 * size, 0.02 * _smooth(rng, 25))
    folds = np.abs(_smooth(rng, rng.uniform(4, 8)))
    image = np.full((SIZE, SIZE), 0.02)
    for depth, value in ((0, fat), (rng.uniform(3, 8), bone), (rng.uniform(8, 13), fluid)):
        image = np.where(head > depth, value, image)
    brain = head - 14 > 0
    image = np.where(brain, np.where(folds < 0.14, fluid, np.where(folds < 0.6, grey, white)), image)
    for side in (-1, 1):
        ventricle = disc(
            np.add(center, (side * rng.uniform(5, 14), rng.uniform(-20, 20))), rng.uniform(3, 9), rng.uniform(8, 25)
        )
        image = np.where(brain & (ventricle > 0) & (rng.random() < 0.7), fluid, image)
    if rng.random() < 0.4:
        stem = disc(center + rng.uniform(-8, 8, 2), rng.uniform(12, 18), rng.uniform(11, 17))
        image = np.where(stem > -rng.uniform(1, 5), fluid, image)
        image = np.where(stem > 0, 0.5 * (grey + white), image)
    if rng.random() < 0.3:
        for side in (-1, 1):
            image = np.where(disc(np.add(center, (side * 32, 65 * size)), 12, 12) > 0, fluid, image)
    return (image * (1 + 0.05 * _smooth(rng, 2))).astype(np.float32)


def _limb(rng: np.random.Generator) -> Array:
    """Draw a limb or joint: skin, fat, muscles, one or two bones with a dark rim, vessels."""
    center = rng.uniform(-40, 40, 2)
    skin = disc(center, rng.uniform(35, 80), rng.uniform(35, 80), 0.03 * _smooth(rng, 20))
    fat, muscle, marrow, dark = (
        rng.uniform(0.5, 1.8),
        rng.uniform(0.2, 1.2),
        rng.uniform(0.3, 1.8),
        rng.uniform(0.05, 0.3),
    )
    septa = np.abs(_smooth(rng, 9)) < 0.15
    image = np.where(skin > 0, fat, 0.02)
    image = np.where(skin > rng.uniform(3, 12), np.where(septa, fat, muscle), image)
    for _ in range(rng.integers(1, 3)):
        bone = disc(center + rng.normal(0, 14, 2), rng.uniform(10, 30), rng.uniform(10, 30), 0.05 * _smooth(rng, 12))
        image = np.where(bone > -rng.uniform(1, 3), dark, image)
        image = np.where(bone > 0, marrow * (1 + 0.1 * _smooth(rng, 3)), image)
    for _ in range(rng.integers(0, 6)):
        vessel = disc(center + rng.normal(0, 25, 2), rng.uniform(2, 6), rng.uniform(2, 6))
        image = np.where(vessel > 0, rng.choice((dark, 2 * fat, muscle)), image)
    return (image * (1 + 0.1 * _smooth(rng, 3))).astype(np.float32)


def _clutter(rng: np.random.Generator) -> Array:
    """Draw ellipses of any size and signal."""
    image = 1 + rng.uniform(0, 0.8) * _smooth(rng, rng.uniform(3, 25))
    for _ in range(rng.integers(0, 12)):
        blob = disc(rng.uniform(-_HALF, _HALF, 2), rng.uniform(2, 45), rng.uniform(2, 45), 0.1 * _smooth(rng, 10))
        image = np.where(blob > 0, rng.uniform(0, 3), image)
    return np.abs(image).astype(np.float32)


def _with_rimmed_discs(image: Array, rng: np.random.Generator) -> Array:
    """Add round structures as wide as a cord with a rim as wide as its fluid, of any signal: vessels, bowel, tubes."""
    top = float(np.percentile(image, 99))
    for _ in range(rng.integers(1, 5)):
        radius = rng.uniform(2, 11)
        level = disc(
            rng.uniform(-70, 70, 2), radius * rng.uniform(0.7, 1.5), radius, rng.uniform(0, 0.1) * _smooth(rng, 8)
        )
        image = np.where(level > -rng.uniform(1, 7), rng.uniform(0, 1.5) * top, image)
        image = np.where(level > 0, rng.uniform(0, 1.5) * top, image)
    return image.astype(np.float32)


def _noise(rng: np.random.Generator) -> Array:
    """Draw white or smooth noise."""
    white = rng.standard_normal((SIZE, SIZE))
    return np.abs(gaussian_filter(white, rng.uniform(0, 2.5))).astype(np.float32)


_NO_CORD = (_brain, _brain, _brain, _brain, _limb, _clutter, _noise)
