"""Random flips along each axis and random 90-degree rotations in the axial plane (Hussein et al. 2023, section 2.4)."""

from typing import TypeAlias

import numpy as np

from cordlesion.io.arrays import IntArray

Offsets: TypeAlias = IntArray
Lattice: TypeAlias = tuple[Offsets, Offsets, Offsets]
"""Memory offsets of the voxels of a patch: voxel (i, j, k) is at the sum of entries i, j and k of the three arrays."""


def augment(lattice: Lattice, rng: np.random.Generator) -> Lattice:
    """Flip and rotate a patch by changing the offsets from which its voxels are read; no data are moved.

    Args:
        lattice: The patch, with equal length along the first and the second axis.
        rng: Random generator: the same state gives the same result.
    """
    x, y, z = (offsets[::-1] if rng.integers(2) else offsets for offsets in lattice)
    for _ in range(rng.integers(4)):
        # Rotation by 90 degrees: voxel (i, j) gets the value of (j, n - 1 - i).
        x, y = y[::-1], x
    return x, y, z
