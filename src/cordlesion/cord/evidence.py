"""Evidence of the network in each slab of a scan: log-odds of the parts, and offsets to their centres."""

from collections.abc import Mapping

import numpy as np

from cordlesion.cord.network import OFFSET_MM, PARTS, cord_evidence
from cordlesion.cord.slabs import resampling, slab_contrast
from cordlesion.io.arrays import Float32Array, IntArray
from cordlesion.io.volume import Volume

NOTHING = -6.0
"""Log-odds in the padding at the border, where nothing is found."""
_BATCH_PIXELS = 40_000


def slab_evidence(
    las: Volume, slabs: IntArray, weights: Mapping[str, Float32Array]
) -> tuple[Float32Array, Float32Array]:
    """Run the network on all slabs of a scan.

    Args:
        las: The scan in LAS order.
        slabs: Borders of the slabs, of :func:`cordlesion.cord.slabs.slab_borders`.
        weights: Weights of the network.

    Returns:
        Log-odds of the parts (3, N, X, Y) and offsets in mm (2, N, X, Y), on cells of 2 mm.
    """
    across = [resampling(n, step) for n, step in zip(las.data.shape[:2], las.spacing_mm[:2], strict=True)]
    contrast = slab_contrast(las, slabs, across)
    _, count, *shape = contrast.shape
    batch = max(1, _BATCH_PIXELS // (shape[0] * shape[1]))
    outputs = []
    for start in range(0, count, batch):
        slab = np.arange(start, min(start + batch, count))
        neighbours = [slab, np.maximum(slab - 1, 0), np.minimum(slab + 1, count - 1)]
        outputs.append(cord_evidence(np.concatenate([contrast[:, each] for each in neighbours]), weights))
    output = np.concatenate(outputs, axis=1)
    odds, offsets = output[: len(PARTS)], output[len(PARTS) :] * np.float32(OFFSET_MM)
    for axis, matrix in enumerate(across):
        inside = -(-matrix.shape[0] // 2)
        np.moveaxis(odds, axis + 2, 0)[inside:] = NOTHING
    return odds, offsets
