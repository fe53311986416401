import math
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cordlesion.statistics import bootstrap_median, bootstrap_share, clopper_pearson
from oracles import bootstrap_oracle

FEW = "cordlesion.statistics.intervals.MIN_SUBJECTS"  # set to 1 where small cases show what larger ones would


@settings(deadline=None, max_examples=500)
@given(
    n_scans=st.integers(1, 9), n_subjects=st.integers(1, 5), confidence=st.floats(0.5, 0.99), seed=st.integers(0, 2**32)
)
def test_bootstrap_of_a_median_against_loops(n_scans, n_subjects, confidence, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 5, n_scans) / 4
    subjects = [f"sub-{k}" for k in rng.integers(0, n_subjects, n_scans)]
    gaps = [math.nan, math.nan]
    with patch(FEW, 1):
        got = bootstrap_median(
            [*values, *gaps], [*subjects, "x", subjects[0]], confidence=confidence, n_resamples=20, seed=5
        )
    n = len(set(subjects))
    draws = np.random.default_rng(5).multinomial(n, [1 / n] * n, size=20)
    medians = bootstrap_oracle.medians(values, subjects, draws)
    tail = (1 - confidence) / 2
    assert got == pytest.approx([bootstrap_oracle.quantile(medians, share) for share in (tail, 1 - tail)])


def test_many_scans_of_one_subject_are_one_opinion():
    values, subjects = [0.1] * 30 + [0.9] * 4, ["a"] * 30 + list("bcde")
    assert bootstrap_median(values, subjects) == (0.1, 0.9)
    assert bootstrap_median(values, range(34)) == (0.1, 0.1)


def test_few_subjects_get_no_interval():
    """Scans without a value or a trial make no subject count."""
    values, few, enough = [0.1, 0.2, 0.3, 0.4, 0.5, math.nan], list("aabcde"), list("abcdea")
    assert np.isnan(bootstrap_median(values, few)).all()
    assert np.isfinite(bootstrap_median(values, enough)).all()
    assert np.isnan(bootstrap_median([math.nan], ["a"])).all()
    assert np.isnan(bootstrap_share([1, 0, 1, 1, 1, 0], [1, 1, 1, 1, 1, 0], few)).all()
    assert np.isfinite(bootstrap_share([1, 0, 1, 1, 1, 0], [1, 1, 1, 1, 1, 0], enough)).all()
    assert np.isnan(bootstrap_share([0], [0], ["a"])).all()


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
    successes, trials = np.array([1, 0, 3, 2, 0, 1, 1]), np.array([2, 0, 4, 2, 3, 1, 2])
    subjects = np.array(["b", "a", "b", "c", "d", "e", "f"])
    codes = np.array([1, 0, 1, 2, 3, 4, 5])
    drawn = np.random.default_rng(0).multinomial(6, np.full(6, 1 / 6), size=10_000)
    shares = [
        successes.repeat(times[codes]).sum() / trials.repeat(times[codes]).sum() for times in drawn if times[1:].any()
    ]
    assert bootstrap_share(successes, trials, subjects) == pytest.approx(tuple(np.percentile(shares, [2.5, 97.5])))


def test_a_pooled_share_of_all_or_none_has_the_exact_interval():
    trials, subjects = [2, 3, 1, 1, 1], list("abcde")
    assert bootstrap_share(trials, trials, subjects) == clopper_pearson(8, 8)
    assert bootstrap_share([0] * 5, trials, subjects) == clopper_pearson(0, 8)
