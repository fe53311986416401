"""Random numbers with a key for each purpose, and smooth random functions."""

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import fft
from scipy.ndimage import fourier_gaussian, gaussian_filter1d

from cordlesion.io.arrays import Array

TILE_CELLS = 128
"""Edge of the periodic noise tile, in cells."""
CELLS_PER_SCALE = 10.0
"""Cells per correlation length; with so many cells, nearest-neighbour lookup shows no blocks."""
POSITIVE = np.float32(64 * TILE_CELLS)
"""Added before truncation: truncation rounds towards zero, which would make the cells around 0 twice as wide."""


def keyed_rng(purpose: str, *keys: int) -> np.random.Generator:
    """Return the generator for a purpose and keys (cohort seed, subject, scan, ...), independent of all others."""
    return np.random.default_rng([zlib.crc32(purpose.encode()), *keys])


def lognormal(rng: np.random.Generator, median: float, log_sd: float, low: float, high: float) -> float:
    """Draw from a log-normal distribution and clip."""
    return float(np.clip(median * np.exp(rng.normal(0, log_sd)), low, high))


def normal(rng: np.random.Generator, mean: float, sd: float, low: float, high: float) -> float:
    """Draw from a normal distribution and clip."""
    return float(np.clip(rng.normal(mean, sd), low, high))


def smooth_line(rng: np.random.Generator, length: int, scale: float) -> Array:
    """Return ``length`` values of unit-SD Gaussian noise, correlated over ``scale`` samples."""
    margin = int(4 * scale) + 1
    noise = gaussian_filter1d(rng.standard_normal(length + 2 * margin), scale, mode="wrap")[margin:-margin]
    # Scaled by the expected SD of filtered white noise; the SD of the sample would give each draw the same variation.
    unit: Array = noise * np.sqrt(2 * np.sqrt(np.pi) * scale)
    return unit


@dataclass(frozen=True, eq=False)
class NoiseTile:
    """Periodic smooth 3-D noise of unit SD; different offsets into one tile give different textures."""

    seed: tuple[int, ...]

    @cached_property
    def cells(self) -> Array:
        """The tile, shape (TILE_CELLS,) * 3."""
        white = keyed_rng("noise tile", *self.seed).standard_normal((TILE_CELLS,) * 3, dtype=np.float32)
        # Filtered in the frequency domain, so that the tile is periodic.
        smooth = fft.irfftn(fourier_gaussian(fft.rfftn(white), CELLS_PER_SCALE / 2, n=TILE_CELLS))
        unit: Array = (smooth / smooth.std()).astype(np.float32)
        return unit

    def at(self, a: Array, b: Array, c: Array, scale_mm: float | tuple[float, float, float], offset: int = 0) -> Array:
        """Return the noise at coordinates in mm, which broadcast; ``scale_mm`` is the correlation length per axis."""
        scales = np.broadcast_to(scale_mm, 3)
        shifts = np.array((17, 29, 41), dtype=np.int32) * (offset + 1)
        # One flat 32-bit index needs a third of the memory traffic of three indices; this is the bottleneck.
        index = np.zeros((), dtype=np.int32)
        for coordinate, scale, shift in zip((a, b, c), scales, shifts, strict=True):
            position = coordinate * np.float32(CELLS_PER_SCALE / scale)
            position += POSITIVE
            cell = position.astype(np.int32)
            cell += shift
            cell &= np.int32(TILE_CELLS - 1)
            index = index * np.int32(TILE_CELLS) + cell
        # All indices are valid; "wrap" avoids the check.
        found: Array = self.cells.ravel().take(index, mode="wrap")
        return found
