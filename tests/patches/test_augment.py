import itertools
from collections import Counter

import numpy as np
import pytest

from cordlesion.patches.augment import augment

CUBE = np.arange(4 * 4 * 3).reshape(4, 4, 3)
"""All voxels differ, so the result identifies the transform."""


def turned(cube, flips, quarter_turns):
    """Apply the transform by definition: move each voxel."""
    n = cube.shape[0]
    result = np.empty_like(cube)
    for (x, y, z), value in np.ndenumerate(cube):
        place = [x, y, z]
        for axis in flips:
            place[axis] = cube.shape[axis] - 1 - place[axis]
        for _ in range(quarter_turns):
            place[:2] = n - 1 - place[1], place[0]
        result[tuple(place)] = value
    return result


def augmented(cube, rng):
    """Read the voxels of a patch, in C order, at their offsets."""
    nx, ny, nz = cube.shape
    x, y, z = augment((np.arange(nx) * ny * nz, np.arange(ny) * nz, np.arange(nz)), rng)
    return cube.ravel()[x[:, None, None] + y[:, None] + z]


FLIPS = [flips for k in range(4) for flips in itertools.combinations(range(3), k)]
EXPECTED = [turned(CUBE, flips, turns) for flips in FLIPS for turns in range(4)]


def test_all_flips_and_rotations_are_equally_frequent():
    assert len(EXPECTED) == 32
    expected = Counter(cube.tobytes() for cube in EXPECTED)  # 16 different results, two of the 32 draws give each
    assert len(expected) == 16
    rng = np.random.default_rng(0)
    seen = Counter(augmented(CUBE, rng).tobytes() for _ in range(3200))
    assert seen.keys() == expected.keys()
    assert min(seen.values()) > 140  # 200 each on average, with a standard deviation of 14
    assert max(seen.values()) < 260


@pytest.mark.parametrize("seed", range(40))
def test_the_order_of_random_draws_is_fixed(seed):
    """Another order would change the augmentation, and trainings would not be reproducible."""
    draws = np.random.default_rng(seed)
    flips = [axis for axis in range(3) if draws.integers(2)]
    expected = turned(CUBE, flips, int(draws.integers(4)))
    rng = np.random.default_rng(seed)
    np.testing.assert_array_equal(augmented(CUBE, rng), expected)
    assert rng.integers(2**32) == draws.integers(2**32)
