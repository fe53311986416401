import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cordlesion.statistics import change_of_ratios, change_of_shares, mean_share_interval, rate_interval, share_interval
from oracles import signs_oracle

seeds = st.integers(0, 2**32)


def scans(seed, n_subjects=7):
    """Return counts of 5 to 16 scans of at least five subjects."""
    rng = np.random.default_rng(seed)
    subjects = np.concatenate([np.arange(5), rng.integers(0, n_subjects, rng.integers(0, 12))])
    return rng, subjects, len(subjects)


@settings(deadline=None)
@given(seeds)
def test_shares_against_loops(seed):
    rng, subjects, n = scans(seed)
    trials = rng.integers(0, 5, n) + (np.arange(n) < 5)
    successes = rng.binomial(trials, rng.choice([0, 0.1, 0.5, 1]))
    got = share_interval(successes, trials, subjects)
    assert got == pytest.approx(signs_oracle.share_interval(successes, trials, subjects))
    assert 0 <= got[0] <= successes.sum() / trials.sum() <= got[1] <= 1
    low, high = share_interval(trials - successes, trials, subjects)
    assert (1 - high, 1 - low) == pytest.approx(got)


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize("n", [1, 3, 6, 14, 46])
def test_with_one_trial_per_subject_a_share_has_the_exact_interval(n, confidence):
    for successes in range(n + 1):
        hits = np.arange(n) < successes
        expected = stats.binomtest(successes, n).proportion_ci(confidence, method="exact")
        assert share_interval(hits, np.ones(n), range(n), confidence=confidence) == pytest.approx(tuple(expected))


def test_equal_trials_of_one_subject_count_once():
    hits, subjects = np.array([1, 1, 0, 1, 0, 0, 1, 1]), np.arange(8)
    once = share_interval(hits, np.ones(8), subjects)
    often = share_interval(np.tile(hits, 3), np.ones(24), np.tile(subjects, 3))
    assert often[0] <= once[0]
    assert often[1] >= once[1]
    assert often == pytest.approx(once, abs=0.08)
    for all_or_none in (np.ones(8), np.zeros(8)):
        expected = share_interval(all_or_none, np.ones(8), subjects)
        assert share_interval(np.tile(all_or_none, 3), np.ones(24), np.tile(subjects, 3)) == pytest.approx(expected)


@settings(deadline=None)
@given(seeds, st.sampled_from([0, 0.05, 1, 4]))
def test_rates_against_loops(seed, mean):
    rng, subjects, n = scans(seed)
    events = rng.poisson(mean * rng.gamma(1, 1, n))
    got = rate_interval(events, subjects)
    assert got == pytest.approx(signs_oracle.rate_interval(events, subjects))
    assert 0 <= got[0] <= events.mean() <= got[1]


def test_without_any_event_the_rate_has_an_upper_bound():
    assert rate_interval([0] * 20, range(20)) == pytest.approx((0, 3.689 / 20), rel=1e-3)
    assert rate_interval([0] * 40, [*range(20)] * 2) == rate_interval([0] * 20, range(20))


@settings(deadline=None)
@given(seeds)
def test_changes_against_loops(seed):
    rng, subjects, n = scans(seed)
    units = rng.integers(0, 5, n) + (np.arange(n) < 5)
    change = rng.binomial(units, 0.3) - rng.binomial(units, rng.choice([0.1, 0.3]))
    for some in (change, np.maximum(change, 0), np.zeros(n)):
        for is_share, per in ((True, units), (False, np.ones(n))):
            expected = signs_oracle.change_interval(some, per, subjects, is_share=is_share)
            got = change_of_ratios(some, per, subjects, is_share=is_share)
            assert got == pytest.approx(expected)
            assert got[0] <= some.sum() / per.sum() <= got[1]
    of_scans = np.sign(change)
    got = change_of_shares(of_scans, subjects)
    assert got == pytest.approx(signs_oracle.change_of_shares(of_scans, subjects))
    swapped = change_of_shares(-of_scans, subjects)
    assert got == pytest.approx((-swapped[1], -swapped[0]))


def test_one_changed_scan_is_not_significant():
    """The p-value of this change is 1, so its interval must contain 0."""
    change = [-1] + [0] * 8
    for is_share in (True, False):
        low, high = change_of_ratios(change, np.ones(9), range(9), is_share=is_share)
        assert low < -1 / 9 < 0 < high


def test_a_paired_share_by_hand():
    """Agresti & Min (2005) with Student's t: 3 and 8 discordant pairs of 40."""
    difference = [1] * 8 + [-1] * 3 + [0] * 29
    center, variance = 5 / 42, (40 / 39 * (11 - 2 * 5 * 5 / 42 + 40 * (5 / 42) ** 2) + 1) / 42**2
    half = stats.t(39).ppf(0.975) * math.sqrt(variance)
    assert change_of_shares(difference, range(40)) == pytest.approx((center - half, center + half))


def test_few_subjects_get_no_interval():
    """Subjects without trials are not counted."""
    subjects, ones = list("aabbccddee"), np.ones(10)
    hits = np.arange(10) % 3 == 0
    none = np.where(np.array(subjects) == "e", 0, 1)
    for got in (
        share_interval(hits * none, none, subjects),
        change_of_ratios(hits * none, none, subjects),
        rate_interval(hits[:8], subjects[:8]),
        change_of_shares(hits[:8], subjects[:8]),
        share_interval([], [], []),
    ):
        assert np.isnan(got).all()
    assert np.isfinite(share_interval(hits, ones, subjects)).all()


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_coverage_of_the_interval_of_a_share_of_46_scans_of_20_subjects(share, alike):
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(300):
        subjects = np.concatenate([np.arange(20), rng.integers(0, 20, 26)])
        drawn = np.where(rng.random(46) < alike, rng.random(20)[subjects], rng.random(46))
        low, high = share_interval(drawn < share, np.ones(46), subjects)
        hits += low <= share <= high
    assert hits / 300 >= 0.93


@pytest.mark.parametrize(("n_scans", "n_subjects"), [(14, 10), (26, 20)])
@pytest.mark.parametrize("mean", [0.05, 0.2, 1.0])
def test_coverage_of_the_interval_of_a_rate(n_scans, n_subjects, mean):
    rng = np.random.default_rng(3)
    subjects = np.array([*range(n_subjects), *range(n_scans - n_subjects)])
    hits = 0
    for _ in range(400):
        low, high = rate_interval(rng.poisson(mean * rng.gamma(2, 0.5, n_subjects)[subjects]), subjects)
        hits += low <= mean <= high
    assert hits / 400 >= 0.93


def test_shares_of_subjects_have_the_interval_of_their_mean():
    shares = np.array([0.0, 0.25, 0.5, 0.5, 1 / 3, 0.2, 0.4])
    assert mean_share_interval(shares) == pytest.approx(stats.ttest_1samp(shares, 0).confidence_interval())
    assert mean_share_interval([0, 0, 0, 0, 0.1])[0] == 0
    assert mean_share_interval(np.zeros(20)) == pytest.approx((0, 1 - 0.025 ** (1 / 20)))
    assert np.isnan(mean_share_interval(shares[:4])).all()


@pytest.mark.parametrize("mean", [0.2, 0.5])
def test_coverage_of_the_interval_of_shares_of_subjects(mean):
    """Shares of 1 to 6 lesions of 40 subjects, who differ."""
    rng, hits = np.random.default_rng(4), 0
    for _ in range(400):
        lesions = rng.integers(1, 7, 40)
        low, high = mean_share_interval(rng.binomial(lesions, rng.beta(2 * mean, 2 * (1 - mean), 40)) / lesions)
        hits += low <= mean <= high
    assert 0.92 <= hits / 400 <= 0.98
