import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cordlesion.statistics import crossed_test, estimate_seed_noise, rank_methods

designs = st.tuples(st.lists(st.integers(1, 4), min_size=2, max_size=6), st.integers(2, 9), st.integers(0, 2**32))


def scores_of(design):
    n_seeds, n_subjects, seed = design
    rng = np.random.default_rng(seed)
    return [rng.normal(0.5, 0.2, (n, n_subjects)) + rng.normal(0, 0.05, (n, 1)) for n in n_seeds]


@settings(deadline=None, max_examples=60)
@given(design=designs)
def test_ranks_are_those_of_the_means(design):
    scores = scores_of(design)
    found = rank_methods(scores, n_draws=200)
    means = [np.mean(one) for one in scores]
    assert [one.mean for one in found] == pytest.approx(means)
    assert [one.rank for one in found] == stats.rankdata(-np.array(means), method="min").tolist()
    assert all(1 <= one.low <= one.high <= len(scores) for one in found)
    assert sum(one.p_best for one in found) == pytest.approx(1)


@settings(deadline=None, max_examples=20)
@given(design=designs, scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_scale_and_offset_change_no_rank(design, scale, shift):
    scores = scores_of(design)
    here, there = (rank_methods(one, n_draws=200) for one in (scores, [scale * each + shift for each in scores]))
    assert [(one.rank, one.low, one.high) for one in here] == [(one.rank, one.low, one.high) for one in there]


def test_two_methods_have_the_probability_of_their_test():
    """The chance that the worse one is better is the one-sided p-value of the test with the same variance."""
    rng = np.random.default_rng(4)
    first, second = rng.normal(0.5, 0.2, (2, 1, 12))
    one_sided = stats.ttest_1samp((second - first)[0], 0, alternative="greater").pvalue
    found = rank_methods([first, second], n_draws=40_000)
    assert found[0].p_best == pytest.approx(one_sided, abs=0.01)
    trained = [rng.normal(0.5, 0.1, (3, 12)) + rng.normal(0, 0.1, (3, 1)) for _ in range(2)]
    test = crossed_test(*trained, estimate_seed_noise(trained))
    chance = stats.norm.cdf(test.difference / np.sqrt(test.variance))
    assert rank_methods(trained, n_draws=40_000)[1].p_best == pytest.approx(chance, abs=0.05)


def test_one_subject_leaves_every_rank_open():
    found = rank_methods([np.array([[0.4]]), np.array([[0.6]])])
    assert [(one.rank, one.low, one.high) for one in found] == [(2, 1, 2), (1, 1, 2)]
    assert all(np.isnan(one.p_best) for one in found)


def test_intervals_hold_the_true_ranks():
    rng = np.random.default_rng(5)
    truth = np.array([0.0, 0.1, 0.2, 0.3])
    held = []
    for _ in range(150):
        ease = rng.normal(0.5, 0.2, (1, 15))
        scores = [t + ease + rng.normal(0, 0.1, (3, 15)) + rng.normal(0, 0.1, (3, 1)) for t in truth]
        found = rank_methods(scores, n_draws=300)
        held.append([one.low <= rank <= one.high for one, rank in zip(found, (4, 3, 2, 1), strict=True)])
    assert np.mean(held) > 0.93
