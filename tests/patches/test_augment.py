import itertools
from collections import Counter

import numpy as np
import pytest

from cordlesion.patches.augment import augment

CUBE = np.arange(4 * 4 * 3).reshape(4, 4, 3)
"""Every voxel differs, so a transform is known by its result."""


def turned(cube, flips, quarter_turns):
    """The transform by its definition: where each voxel goes."""
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


FLIPS = [flips for k in range(4) for flips in itertools.combinations(range(3), k)]
EXPECTED = [turned(CUBE, flips, turns) for flips in FLIPS for turns in range(4)]


def test_all_mirrors_and_rotations_are_reached_equally_often_and_nothing_else():
    assert len(EXPECTED) == 32
    expected = Counter(cube.tobytes() for cube in EXPECTED)  # 16 different results, each by two of the 32 draws
    assert len(expected) == 16
    rng = np.random.default_rng(0)
    seen = Counter(np.ascontiguousarray(augment(CUBE, CUBE, rng)[0]).tobytes() for _ in range(3200))
    assert seen.keys() == expected.keys()
    assert min(seen.values()) > 140  # 200 each on average, with a standard deviation of 14
    assert max(seen.values()) < 260


@pytest.mark.parametrize("seed", range(40))
def test_image_and_lesion_are_turned_alike(seed):
    image, lesion = augment(CUBE.astype(np.float32), CUBE % 5 == 0, np.random.default_rng(seed))
    assert image.shape == lesion.shape == CUBE.shape
    np.testing.assert_array_equal(lesion, image.astype(int) % 5 == 0)
    np.testing.assert_array_equal(np.sort(image, axis=None), np.sort(CUBE, axis=None))


@pytest.mark.parametrize("seed", range(5))
def test_the_same_state_gives_the_same_transform(seed):
    first, second = (augment(CUBE, CUBE, np.random.default_rng(seed))[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_inputs_are_left_as_they_are():
    image = CUBE.copy()
    for seed in range(8):
        augment(image, image, np.random.default_rng(seed))
    np.testing.assert_array_equal(image, CUBE)
