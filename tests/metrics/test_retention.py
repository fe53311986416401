"""Error-retention curves against plain loops, and at their ends."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordlesion.metrics.retention import (
    LESION_SHARES,
    VOXEL_SHARES,
    area_under,
    ideal_order,
    lesion_retention,
    random_order,
    voxel_retention,
)


def voxels(seed: int, n: int = 40):
    rng = np.random.default_rng(seed)
    reference = rng.random(n) < 0.3
    reference[0] = True
    mask = reference ^ (rng.random(n) < 0.2)
    return mask, reference, rng


def dice(mask, reference) -> float:
    return 2 * np.sum(mask & reference) / (np.sum(mask) + np.sum(reference))


@given(st.integers(0, 10_000))
def test_voxels_that_are_not_retained_are_those_of_the_reference(seed):
    mask, reference, rng = voxels(seed)
    uncertainty = rng.permutation(len(mask)).astype(float)
    curve = voxel_retention(mask, reference, uncertainty, np.arange(len(mask) + 1) / len(mask))
    for n_kept, score in enumerate(curve):
        assert score == pytest.approx(dice(np.where(uncertainty < n_kept, mask, reference), reference))


def test_shares_go_from_nothing_to_everything():
    for shares in (VOXEL_SHARES, LESION_SHARES):
        assert (shares[0], shares[-1]) == (0, 1)
        assert (np.diff(shares) > 0).all()


@given(st.integers(0, 10_000))
def test_no_order_is_better_than_the_ideal_one_and_a_reversed_one_is_worse_than_chance(seed):
    mask, reference, rng = voxels(seed)
    wrong = mask ^ reference
    orders = {"ideal": ideal_order(wrong), "random": random_order(len(mask)), "reversed": -ideal_order(wrong)}
    areas = {name: area_under(VOXEL_SHARES, voxel_retention(mask, reference, one)) for name, one in orders.items()}
    some = area_under(VOXEL_SHARES, voxel_retention(mask, reference, rng.random(len(mask))))
    assert areas["reversed"] - 1e-12 <= some <= areas["ideal"] + 1e-12
    assert areas["reversed"] - 1e-12 <= areas["random"] <= areas["ideal"] + 1e-12


def test_ties_are_the_mean_over_their_orders():
    mask = np.array([1, 1, 0, 0], bool)
    reference = np.array([1, 0, 1, 0], bool)
    # Half of the voxels: one missed and one false voxel are kept, each with probability one half.
    (half,) = voxel_retention(mask, reference, np.zeros(4), np.array([0.5]))
    counts = [
        (sum(not mask[i] and reference[i] for i in kept), sum(mask[i] and not reference[i] for i in kept))
        for kept in itertools.combinations(range(4), 2)
    ]
    missed, false = np.mean(counts, axis=0)
    assert half == pytest.approx(2 * (2 - missed) / (2 * (2 - missed) + missed + false))


@given(st.integers(0, 10_000))
def test_false_lesions_leave_in_the_order_of_their_uncertainty(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12))
    true = rng.random(n) < 0.6
    n_reference = int(rng.integers(1, 8))
    n_detected = int(rng.integers(0, n_reference + 1))
    uncertainty = rng.permutation(n).astype(float)
    curve = lesion_retention(true, n_reference, n_detected, uncertainty, np.arange(n + 1) / n)
    for n_kept, score in enumerate(curve):
        n_false = sum(not is_true and rank < n_kept for is_true, rank in zip(true, uncertainty, strict=True))
        sensitivity = n_detected / n_reference
        precision = true.sum() / (true.sum() + n_false) if true.sum() + n_false else 0.0
        total = sensitivity + precision
        assert score == pytest.approx(2 * sensitivity * precision / total if total else 0.0)
