"""Random mirror of each axis and random 90-degree rotation in the axial plane (Hussein et al. 2023, section 2.4)."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Offsets: TypeAlias = npt.NDArray[np.int64]
Lattice: TypeAlias = tuple[Offsets, Offsets, Offsets]
"""Where a patch's voxels lie in memory: voxel (i, j, k) at the sum of the i-th, j-th and k-th entry."""


def augment(lattice: Lattice, rng: np.random.Generator) -> Lattice:
    """Mirror and rotate a patch by saying where its voxels are to be read, which moves none of them.

    Args:
        lattice: The patch, as many voxels wide along the first axis as along the second.
        rng: Source of the choice: the same state gives the same result.
    """
    x, y, z = (offsets[::-1] if rng.integers(2) else offsets for offsets in lattice)
    for _ in range(rng.integers(4)):
        # A quarter turn: voxel (i, j) shows what was at (j, n - 1 - i).
        x, y = y[::-1], x
    return x, y, z
