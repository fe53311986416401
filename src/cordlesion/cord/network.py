"""The network that predicts, for each cell of 2 mm of an axial slice, whether the centre of the cord is there.

A 2-D U-Net with additive skip connections on pixels of 1 mm; its first layer combines 2 x 2 pixels to a cell. It sees
the local contrast of a slice and of its two neighbours. It is
trained by :mod:`cordlesion.cord.training.detector`. Here it runs on NumPy alone, so that finding the cord needs no
torch.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load
from scipy.ndimage import uniform_filter1d

from cordlesion.io.arrays import Float32Array, Mask
from cordlesion.io.fingerprints import file_hash

PIXEL_MM = 1.0
"""Pixel size of the input."""
CELL_MM = 2.0
"""Pixel size of the output."""
MULTIPLE = 8
"""The edges of a slice are multiples of this."""
OFFSET_MM = 4.0
"""Unit of the offsets in the output."""
NEIGHBOURHOODS = (13, 41)
"""Widths of the neighbourhoods of the local contrast, in pixels: about the sac, and the body around the spine."""
MIN_SD_SHARE = np.float32(0.05)
"""Smallest SD of a neighbourhood, as a share of the largest in the slice, so that air stays dark."""
PARTS = ("cord", "brainstem", "sac")
"""What the network finds: the cord, the brainstem above it, the dural sac below it."""
NEIGHBOURS = 3
"""Number of slabs that are seen together: the slab itself, the one below and the one above."""

WEIGHTS = Path(__file__).parent / "weights" / "cord_detector.safetensors"


@cache
def shipped_weights() -> Mapping[str, Float32Array]:
    """Return the weights that the package contains."""
    return load(WEIGHTS.read_bytes())


def local_contrast(images: Float32Array, inside: Mask) -> Float32Array:
    """Standardise slices by the mean and the SD of the neighbourhood of each pixel, at two scales.

    The result does not depend on the scale of the intensities, hardly on coil shading, and only near the border on the
    field of view; padding changes nothing.

    Args:
        images: Pixels of 1 mm, shape (N, X, Y).
        inside: Pixels of the scan; the others are padding, and 0 in the result. Same shape.

    Returns:
        One channel for each scale, clipped to 4 SD, shape (2, N, X, Y).
    """
    weight = inside.astype(np.float32)
    return np.stack([_standardized(images, weight, width) for width in NEIGHBOURHOODS])


def _standardized(images: Float32Array, weight: Float32Array, width: int) -> Float32Array:
    # Each slice is shifted to its own mean first, because the variance is a difference of two large numbers.
    total = np.maximum(weight.sum(axis=(1, 2), keepdims=True), 1)
    centered = (images - (images * weight).sum(axis=(1, 2), keepdims=True) / total) * weight
    share = np.maximum(_smoothed(weight, weight, width), np.float32(1e-3))
    mean, square = _smoothed(centered, weight, width) / share, _smoothed(centered**2, weight, width) / share
    deviation = np.sqrt(np.maximum(square - mean**2, 0)) * weight
    floor = MIN_SD_SHARE * deviation.max(axis=(1, 2), keepdims=True) + np.float32(1e-6) * np.abs(images).max()
    contrast = (centered - mean) / np.maximum(np.hypot(deviation, floor), np.float32(1e-30))
    return np.asarray(np.clip(contrast, -4, 4) * weight, np.float32)


def _smoothed(images: Float32Array, weight: Float32Array, width: int) -> Float32Array:
    """Average twice over ``width`` pixels along both axes; padding counts as 0, as beyond the border."""
    for _ in range(2):
        for axis in (1, 2):
            images = uniform_filter1d(images, width, axis, mode="constant")
        images *= weight
    return images


@cache
def shipped_weights_hash() -> str:
    """Return the SHA-256 of the weights in the package; fingerprints of curves include it."""
    return file_hash(WEIGHTS)


def cord_evidence(images: Float32Array, weights: Mapping[str, Float32Array]) -> Float32Array:
    """Run the network.

    Args:
        images: Channels of slices: the local contrast of each slice, of its lower and of its upper neighbour. Pixels
            of 1 mm, axes left-right and back-front, shape (6, N, X, Y), X and Y multiples of 8.
        weights: For each layer a ``.weight`` of shape (out, in, 3, 3) or (out, in, 1, 1), and a ``.bias``.

    Returns:
        Shape (5, N, X / 2, Y / 2): for each of :data:`PARTS` the log-odds that its centre is in this cell, and the
        offset of the centre along both axes in units of 4 mm.
    """
    channels, n, nx, ny = images.shape
    # Channel 4 * c + 2 * i + j is pixel (i, j) of each cell in channel c.
    cells = images.reshape(channels, n, nx // 2, 2, ny // 2, 2).transpose(0, 3, 5, 1, 2, 4)
    cells = cells.reshape(4 * channels, n, nx // 2, ny // 2)

    def layer(name: str, values: Float32Array, rectify: bool = True) -> Float32Array:
        result = _convolve(values, weights[f"{name}.weight"], weights[f"{name}.bias"])
        return np.maximum(result, 0, out=result) if rectify else result

    fine = layer("fine2", layer("fine1", cells))
    middle = layer("middle2", layer("middle1", _pool(fine)))
    coarse = layer("coarse3", layer("coarse2", layer("coarse1", _pool(middle))))
    middle = layer("middle3", middle + _double(layer("up_middle", coarse, rectify=False)))
    fine = layer("fine3", fine + _double(layer("up_fine", middle, rectify=False)))
    return layer("output", fine, rectify=False)


def _convolve(values: Float32Array, weight: Float32Array, bias: Float32Array) -> Float32Array:
    """Convolve (C, N, X, Y) with a kernel of 3 x 3 or 1 x 1, zero-padded, as one matrix product."""
    channels, n, nx, ny = values.shape
    if weight.shape[2] == 1:
        columns = values.reshape(channels, -1)
    else:
        padded = np.pad(values, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        columns = windows.transpose(0, 4, 5, 1, 2, 3).reshape(channels * 9, -1)
    result = weight.reshape(len(weight), -1) @ columns
    result += bias[:, None]
    return result.reshape(-1, n, nx, ny)


def _pool(values: Float32Array) -> Float32Array:
    """Max-pool 2 x 2."""
    rows = np.maximum(values[:, :, ::2], values[:, :, 1::2])
    return np.maximum(rows[..., ::2], rows[..., 1::2])


def _double(values: Float32Array) -> Float32Array:
    """Upsample by 2: repeat each pixel along both axes."""
    return values.repeat(2, axis=2).repeat(2, axis=3)
