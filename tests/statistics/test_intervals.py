import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cordlesion.statistics import bootstrap_median, bootstrap_share, clopper_pearson
from oracles import bootstrap_oracle


@settings(deadline=None, max_examples=500)
@given(
    n_scans=st.integers(1, 9), n_subjects=st.integers(1, 5), confidence=st.floats(0.5, 0.99), seed=st.integers(0, 2**32)
)
def test_bootstrap_of_a_median_against_loops(n_scans, n_subjects, confidence, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 5, n_scans) / 4
    subjects = [f"sub-{k}" for k in rng.integers(0, n_subjects, n_scans)]
    gaps = [math.nan, math.nan]
    got = bootstrap_median(
        [*values, *gaps], [*subjects, "x", subjects[0]], confidence=confidence, n_resamples=20, seed=5
    )
    n = len(set(subjects))
    draws = np.random.default_rng(5).multinomial(n, [1 / n] * n, size=20)
    medians = bootstrap_oracle.medians(values, subjects, draws)
    tail = (1 - confidence) / 2
    assert got == pytest.approx([bootstrap_oracle.quantile(medians, share) for share in (tail, 1 - tail)])


def test_many_scans_of_one_subject_are_one_opinion():
    values, subjects = [0.1] * 30 + [0.9], ["a"] * 30 + ["b"]
    assert bootstrap_median(values, subjects) == (0.1, 0.9)
    assert bootstrap_median(values, range(31)) == (0.1, 0.1)


def test_bootstrap_without_values():
    assert all(math.isnan(end) for end in bootstrap_median([math.nan], ["a"]))


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize(("successes", "trials"), [(0, 14), (9, 14), (14, 14), (11, 46)])
def test_clopper_pearson_against_scipy(successes, trials, confidence):
    expected = stats.binomtest(successes, trials).proportion_ci(confidence, method="exact")
    assert clopper_pearson(successes, trials, confidence) == pytest.approx((expected.low, expected.high))


def test_clopper_pearson_at_the_ends():
    assert clopper_pearson(0, 0) == (0, 1)
    assert clopper_pearson(0, 10) == pytest.approx((0, 1 - 0.025 ** (1 / 10)))
    with pytest.raises(ValueError, match="5 successes of 4"):
        clopper_pearson(5, 4)


def test_the_interval_of_a_pooled_share_draws_subjects_with_all_their_scans():
    successes, trials = np.array([1, 0, 3, 2, 0]), np.array([2, 0, 4, 2, 3])
    subjects = np.array(["b", "a", "b", "c", "d"])
    codes = np.array([1, 0, 1, 2, 3])
    drawn = np.random.default_rng(0).multinomial(4, np.full(4, 1 / 4), size=10_000)
    shares = [
        successes.repeat(times[codes]).sum() / trials.repeat(times[codes]).sum() for times in drawn if times[1:].any()
    ]
    assert bootstrap_share(successes, trials, subjects) == pytest.approx(tuple(np.percentile(shares, [2.5, 97.5])))


def test_a_pooled_share_of_all_or_none_has_the_exact_interval():
    assert bootstrap_share([2, 3], [2, 3], ["a", "b"]) == clopper_pearson(5, 5)
    assert bootstrap_share([0, 0], [2, 3], ["a", "b"]) == clopper_pearson(0, 5)
    assert np.isnan(bootstrap_share([0], [0], ["a"])).all()
