"""Stacks of a simple cord: a disc of one signal in fluid, bone at the edge of the crop."""

from dataclasses import replace

import numpy as np

from cordlesion.preprocess.cord_stack import StackGeometry
from cordlesion.preprocess.stack_file import CordStack

SPACING_MM = 0.75
CROP = 20


def geometry(n_slices: int = 40, voxels_mm: tuple[float, float, float] = (2.8, 0.6, 0.6)) -> StackGeometry:
    """The geometry of a stack in the middle of a scan with these voxels."""
    x, y, z = (SPACING_MM / edge for edge in voxels_mm)
    starts = np.full(n_slices, 10)
    return StackGeometry((100, 200, 300), (x, y, z), (CROP, CROP), 5, starts, starts)


def cord_stack(seed: int, fluid: float = 2.5, n_slices: int = 40, **place: object) -> CordStack:
    """A stack with a cord of signal 1 and noise; contrast, size and signal differ a little from seed to seed."""
    rng = np.random.default_rng(seed)
    x = (np.arange(CROP) - (CROP - 1) / 2) * SPACING_MM
    distance = np.hypot(x[:, None], x[None, :] * rng.uniform(1.2, 1.5))[..., None]
    radius = rng.uniform(4.2, 5.2) + 0.3 * np.sin(np.linspace(0, 6, n_slices) + rng.uniform(0, 6))
    image = np.where(distance < radius, 1.0, fluid * rng.uniform(0.9, 1.1))
    image = np.where(distance > radius + 4, rng.uniform(0.1, 0.3), image)
    image = image * rng.uniform(100, 400) * (1 + 0.1 * rng.normal() * np.linspace(-1, 1, n_slices))
    image = image + rng.normal(0, 0.05 * image.mean(), image.shape)
    reference = np.zeros(image.shape, bool)
    reference[9:12, 9:12, 4 : 4 + rng.integers(2, 8)] = True
    return CordStack(image.astype(np.float32), reference, replace(geometry(n_slices), **place))
