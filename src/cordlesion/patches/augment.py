"""Random mirror of each axis and random 90-degree rotation in the axial plane (Hussein et al. 2023, section 2.4)."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]


def augment(patch: Array, lesion: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Mirror and rotate a patch and its reference in the same way.

    Args:
        patch: Intensities, shape (X, X, Z), axial plane first.
        lesion: Reference of the same shape.
        rng: Source of the choice: the same state gives the same result.
    """
    mirrored = tuple(axis for axis in range(3) if rng.integers(2))
    quarter_turns = int(rng.integers(4))
    patch, lesion = (np.rot90(np.flip(a, mirrored), quarter_turns, axes=(0, 1)) for a in (patch, lesion))
    return patch, lesion
