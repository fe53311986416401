"""Slabs: axial slices averaged to about 3 mm and resampled to 1 mm in plane, as the cord's network sees them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy import sparse

from cordlesion.cord.network import MULTIPLE, PIXEL_MM, local_contrast
from cordlesion.io.arrays import AnyArray, Float32Array, IntArray
from cordlesion.io.volume import Volume

SLAB_MM = 3.0
"""Thinner slices are averaged to about this thickness, for less noise and less computation."""


def slab_borders(n_slices: int, spacing_mm: float) -> IntArray:
    """Return the borders of the slabs: slab k has the slices from border k up to border k + 1."""
    count = max(1, round(n_slices / max(1, round(SLAB_MM / spacing_mm))))
    return np.linspace(0, n_slices, count + 1).round().astype(np.int64)


def slab_contrast(las: Volume, slabs: IntArray, across: Sequence[sparse.csr_array]) -> Float32Array:
    """Return the local contrast of the slabs, (2, N, X, Y), padded with zeros to multiples of 8."""
    shape = [-(-matrix.shape[0] // MULTIPLE) * MULTIPLE for matrix in across]
    lowest, highest = float(las.data.min()), float(las.data.max())
    images = np.stack([_resample(las.data[:, :, a:b], across) for a, b in pairwise(slabs)])
    contrast = local_contrast(images, images > lowest + 1e-5 * (highest - lowest))
    padded = np.zeros((*contrast.shape[:2], *shape), np.float32)
    padded[..., : contrast.shape[2], : contrast.shape[3]] = contrast
    return padded


def resampling(n: int, spacing_mm: float) -> sparse.csr_array:
    """Return the matrix that resamples an axis linearly to pixels of 1 mm; finer voxels are averaged."""
    at = np.arange(max(1, int((n - 1) * spacing_mm / PIXEL_MM) + 1))[:, None] * PIXEL_MM / spacing_mm
    width = max(1.0, PIXEL_MM / spacing_mm)
    first = np.floor(at - width).astype(int)
    voxel = first + np.arange(int(2 * width) + 3)
    weight = np.maximum(1 - np.abs(voxel - at) / width, 0) * ((voxel >= 0) & (voxel < n))
    weight /= weight.sum(axis=1, keepdims=True)
    rows, columns = np.nonzero(weight)
    values = weight[rows, columns].astype(np.float32)
    return sparse.csr_array((values, (rows, voxel[rows, columns])), shape=(len(at), n))


def _resample(slab: AnyArray, across: Sequence[sparse.csr_array]) -> Float32Array:
    mean = slab.mean(axis=2, dtype=np.float32)
    return np.asarray((across[1] @ (across[0] @ mean).T).T, np.float32)
