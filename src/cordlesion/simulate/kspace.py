"""Converts a slice on a fine grid to a stored one: truncated k-space, filter, noise, zero-filling, magnitude."""

import numpy as np
from scipy import fft

from cordlesion.io.arrays import Array


def acquire_slice(
    fine: Array,
    field_mm: tuple[float, float],
    matrix: tuple[int, int],
    *,
    acquired_mm: tuple[float, float],
    filter_sd_mm: float,
    noise: float,
    shift_mm: tuple[float, float],
    rng: np.random.Generator,
) -> Array:
    """Acquire one slice.

    Args:
        fine: The object on a finer grid than the stored one, with the same field of view.
        field_mm: Field of view along both axes.
        matrix: Stored pixels along both axes.
        acquired_mm: Resolution; k-space is truncated at half its inverse.
        filter_sd_mm: SD of the Gaussian reconstruction filter.
        noise: SD of the noise in the stored image, per real and imaginary part.
        shift_mm: Shift of the object by motion.
        rng: Random generator of the noise.

    Returns:
        Magnitude image of shape ``matrix``; its noise is Rician, and correlated by filter and zero-filling.
    """
    lines = [2 * (round(size / step) // 2) for size, step in zip(field_mm, acquired_mm, strict=True)]
    kept = [min(n, m) for n, m in zip(lines, matrix, strict=True)]
    spectrum = _centre(fft.fft2(fine), kept)
    weights = [_filter(n, size, filter_sd_mm) for n, size in zip(kept, field_mm, strict=True)]
    ramps = [
        _phase(n, size, shift, size / fine_count, size / count)
        for n, size, shift, fine_count, count in zip(kept, field_mm, shift_mm, fine.shape, matrix, strict=True)
    ]
    spectrum *= np.outer(ramps[0], ramps[1])
    spectrum *= matrix[0] * matrix[1] / fine.size
    white = rng.standard_normal((2, *kept), dtype=np.float32)
    passed = np.sum(weights[0] ** 2) * np.sum(weights[1] ** 2)
    amplitude = noise * matrix[0] * matrix[1] / np.sqrt(passed)
    spectrum.real += np.float32(amplitude) * white[0]
    spectrum.imag += np.float32(amplitude) * white[1]
    spectrum *= np.outer(weights[0], weights[1])
    image = fft.ifft2(_pad(spectrum, matrix))
    return np.abs(image).astype(np.float32)


def sample_stored(fine: Array, matrix: tuple[int, int]) -> Array:
    """Interpolate a slice on a fine grid linearly at the stored pixel centres."""
    if not fine.any():
        return np.zeros(matrix, fine.dtype)
    for axis, count in enumerate(matrix):
        size = fine.shape[axis]
        position = np.clip((np.arange(count) + 0.5) * size / count - 0.5, 0, size - 1)
        low = np.minimum(position.astype(int), size - 2)
        share = np.expand_dims((position - low).astype(np.float32), 1 - axis)
        fine = np.take(fine, low, axis) * (1 - share) + np.take(fine, low + 1, axis) * share
    return fine


def _centre(spectrum: Array, kept: list[int]) -> Array:
    """Select the low frequencies of an unshifted spectrum."""
    rows, columns = (np.r_[0 : n // 2, -(n // 2) : 0] for n in kept)
    return spectrum[np.ix_(rows, columns)].astype(np.complex64)


def _pad(spectrum: Array, matrix: tuple[int, int]) -> Array:
    padded = np.zeros(matrix, dtype=np.complex64)
    rows, columns = (np.r_[0 : n // 2, -(n // 2) : 0] for n in spectrum.shape)
    padded[np.ix_(rows, columns)] = spectrum
    return padded


def _frequencies(count: int, field_mm: float) -> Array:
    frequencies: Array = np.r_[0 : count // 2, -(count // 2) : 0] / field_mm
    return frequencies


def _filter(count: int, field_mm: float, sd_mm: float) -> Array:
    return np.exp(-2 * (np.pi * sd_mm * _frequencies(count, field_mm)) ** 2).astype(np.float32)


def _phase(count: int, field_mm: float, shift_mm: float, fine_mm: float, pixel_mm: float) -> Array:
    """Return the phase ramp of the motion and of the offset between the first voxel centres of the two grids."""
    offset = (pixel_mm - fine_mm) / 2 - shift_mm
    return np.exp(2j * np.pi * _frequencies(count, field_mm) * offset).astype(np.complex64)
