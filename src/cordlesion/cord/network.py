"""The network that predicts, for each cell of 2 mm of an axial slice, whether the centre of the cord is there.

A 2-D U-Net with additive skip connections on pixels of 1 mm; its first layer combines 2 x 2 pixels to a cell. It is
trained by :mod:`cordlesion.cord.training.detector`. Here it runs on NumPy alone, so that finding the cord needs no
torch.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load

from cordlesion.io.arrays import Float32Array
from cordlesion.io.fingerprints import file_hash

PIXEL_MM = 1.0
"""Pixel size of the input."""
CELL_MM = 2.0
"""Pixel size of the output."""
MULTIPLE = 8
"""The edges of a slice are multiples of this."""
OFFSET_MM = 4.0
"""Unit of the offsets in the output."""

WEIGHTS = Path(__file__).parent / "weights" / "cord_detector.safetensors"


@cache
def shipped_weights() -> Mapping[str, Float32Array]:
    """Return the weights that the package contains."""
    return load(WEIGHTS.read_bytes())


def standardize(images: Float32Array) -> Float32Array:
    """Clip each slice to its 1st and 99th percentile, then scale to zero mean and unit SD; shape (N, X, Y)."""
    low, high = np.percentile(images, (1, 99), axis=(1, 2), keepdims=True).astype(np.float32)
    clipped = np.clip(images, low, high)
    clipped -= clipped.mean(axis=(1, 2), keepdims=True)
    deviation = clipped.std(axis=(1, 2), keepdims=True)
    # The SD of a constant slice is its rounding error.
    standardized: Float32Array = clipped / np.maximum(deviation, np.float32(1e-6) * (1 + np.abs(high)))
    return standardized


@cache
def shipped_weights_hash() -> str:
    """Return the SHA-256 of the weights in the package; fingerprints of curves include it."""
    return file_hash(WEIGHTS)


def cord_evidence(images: Float32Array, weights: Mapping[str, Float32Array]) -> Float32Array:
    """Run the network on standardised slices.

    Args:
        images: Pixels of 1 mm, axes left-right and back-front, shape (N, X, Y), X and Y multiples of 8.
        weights: For each layer a ``.weight`` of shape (out, in, 3, 3) or (out, in, 1, 1), and a ``.bias``.

    Returns:
        Shape (3, N, X / 2, Y / 2): the log-odds that the centre of the cord is in this cell, and its offset along both
        axes in units of 4 mm.
    """
    n, nx, ny = images.shape
    # Channel 2 * i + j is pixel (i, j) of each cell.
    cells = images.reshape(n, nx // 2, 2, ny // 2, 2).transpose(2, 4, 0, 1, 3).reshape(4, n, nx // 2, ny // 2)

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
