import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.cord.best_path import best_path


def path_score(evidence, positions, extents, pixel, stiffness, max_slope, first, path):
    """Return the score of one curve by definition; minus infinity if it is too steep or goes back to a lower state."""
    score = 0.0
    for k, (state, x, y) in enumerate(path):
        score += evidence[state, first + k, x, y] * extents[first + k]
        if k:
            gap = positions[first + k] - positions[first + k - 1]
            moved = np.array(path[k][1:]) - path[k - 1][1:]
            if np.abs(moved).max() > np.ceil(max_slope * gap / pixel) or state < path[k - 1][0]:
                return -np.inf
            score -= stiffness * (moved**2).sum() * pixel**2 / gap
    return score


def all_curves(shape):
    states, n, nx, ny = shape
    cells = list(itertools.product(range(states), range(nx), range(ny)))
    for first in range(n):
        for length in range(1, n - first + 1):
            for path in itertools.product(cells, repeat=length):
                yield first, path


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from([(1, 3, 3, 2), (1, 4, 2, 2), (2, 3, 1, 3), (3, 3, 1, 2), (2, 2, 2, 3)]),
    stiffness=st.sampled_from([0.0, 0.3, 2.0]),
    max_slope=st.sampled_from([0.4, 2.0]),
)
def test_no_curve_is_better(seed, shape, stiffness, max_slope):
    rng = np.random.default_rng(seed)
    evidence = rng.normal(0, 2, shape).astype(np.float32)
    positions, extents = np.cumsum(rng.uniform(1, 9, shape[1])), rng.uniform(1, 9, shape[1])
    rules = (evidence, positions, extents, 2.0, stiffness, max_slope)
    best = max(path_score(*rules, first, path) for first, path in all_curves(shape))
    found = best_path(evidence, positions, extents, 2.0, stiffness=stiffness, max_slope=max_slope)
    if best <= 0:
        assert found is None
        return
    path = list(zip(found.state.tolist(), found.x.tolist(), found.y.tolist(), strict=True))
    assert found.score == pytest.approx(best, rel=1e-4)
    assert path_score(*rules, found.first, path) == pytest.approx(best, rel=1e-4)


def test_no_path_without_positive_evidence():
    evidence = np.full((3, 4, 4), -1, np.float32)
    assert best_path(evidence[None], np.arange(3.0), np.ones(3), 1, stiffness=1, max_slope=1) is None


def test_ends_follow_the_evidence_and_one_bad_slice_is_bridged():
    evidence = np.full((12, 9, 9), -3, np.float32)
    evidence[2:10, 4, 4] = 3
    evidence[5] = -3
    found = best_path(evidence[None], 4.0 * np.arange(12), np.full(12, 4.0), 2.0, stiffness=1, max_slope=1)
    assert (found.first, len(found.x)) == (2, 8)
    np.testing.assert_array_equal(found.x, 4)


@pytest.mark.parametrize("gap_mm", [1.0, 4.0, 17.0])
def test_the_slope_of_the_curve_does_not_depend_on_the_slices(gap_mm):
    """A cord with a slope of 0.4 is followed at any slice gap, also next to a bright spot at 60 mm."""
    positions = np.arange(0, 120, gap_mm)
    evidence = np.full((len(positions), 60, 9), -3, np.float32)
    at = np.rint(5 + 0.4 * positions / 2).astype(int)
    evidence[np.arange(len(positions)), at, 4] = 3
    near = int(np.abs(positions - 60).argmin())
    evidence[near, at[near] + 12, 4] = 5
    found = best_path(evidence[None], positions, np.full(len(positions), gap_mm), 2.0, stiffness=1, max_slope=1)
    np.testing.assert_array_equal(found.x, at)
