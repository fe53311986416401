"""Random numbers keyed by what they are for, and smooth random functions."""

import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.ndimage import fourier_gaussian, gaussian_filter1d

Array = npt.NDArray[Any]
"""Numbers; coordinates and signals of many points are float32, tables float64."""
Mask = npt.NDArray[np.bool_]

TILE_CELLS = 128
"""Edge of the periodic noise tile, in cells."""
CELLS_PER_SCALE = 10.0
"""Cells per correlation length: enough that looking up the nearest cell shows no blocks."""
POSITIVE = np.float32(64 * TILE_CELLS)
"""Added before truncation, which rounds towards zero and would make the cells around 0 twice as wide."""


def keyed_rng(purpose: str, *keys: int) -> np.random.Generator:
    """Return the generator of ``purpose`` and ``keys`` (cohort seed, subject, scan ...), whatever ran before."""
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
    # Expected SD of filtered white noise; dividing by the sample's own SD would force every draw to vary alike.
    unit: Array = noise * np.sqrt(2 * np.sqrt(np.pi) * scale)
    return unit


@dataclass(frozen=True, eq=False)
class NoiseTile:
    """Smooth 3-D noise of unit SD that repeats every ``TILE_CELLS`` cells; one tile serves many textures by offset."""

    seed: tuple[int, ...]

    @cached_property
    def cells(self) -> Array:
        """The tile, shape (TILE_CELLS,) * 3."""
        white = keyed_rng("noise tile", *self.seed).standard_normal((TILE_CELLS,) * 3, dtype=np.float32)
        # In the frequency domain, because the tile must repeat without a seam.
        smooth = fft.irfftn(fourier_gaussian(fft.rfftn(white), CELLS_PER_SCALE / 2, n=TILE_CELLS))
        unit: Array = (smooth / smooth.std()).astype(np.float32)
        return unit

    def at(self, a: Array, b: Array, c: Array, scale_mm: float | tuple[float, float, float], offset: int = 0) -> Array:
        """Look the noise up at coordinates in mm, which broadcast; ``scale_mm`` is the correlation length per axis."""
        scales = np.broadcast_to(scale_mm, 3)
        shifts = np.array((17, 29, 41), dtype=np.int32) * (offset + 1)
        # One flat index in 32 bits: a third of the memory traffic of three indices, and this is where time goes.
        index = np.zeros((), dtype=np.int32)
        for coordinate, scale, shift in zip((a, b, c), scales, shifts, strict=True):
            position = coordinate * np.float32(CELLS_PER_SCALE / scale)
            position += POSITIVE
            cell = position.astype(np.int32)
            cell += shift
            cell &= np.int32(TILE_CELLS - 1)
            index = index * np.int32(TILE_CELLS) + cell
        # No index lies outside; "wrap" spares the pass that would make sure.
        found: Array = self.cells.ravel().take(index, mode="wrap")
        return found
