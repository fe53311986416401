"""Repeatability against closed forms, a loop over the definition, and simulated persons with known variances."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.errors import CordlesionError
from cordlesion.statistics import repeatability, repeatability_intervals

seeds = st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=50)
@given(seeds)
def test_pairs_have_the_closed_forms(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(50, 10, 12), rng.normal(50, 10, 12)
    names = np.repeat(np.arange(12), 2)
    got = repeatability(np.stack([first, second], axis=1).ravel(), names)
    within = math.sqrt(np.mean((first - second) ** 2) / 2)
    assert got.within_sd == pytest.approx(within)
    assert got.smallest_detectable_change == pytest.approx(1.96 * math.sqrt(2) * within, rel=1e-4)
    assert got.coefficient_of_variation == pytest.approx(within / np.mean([first, second]))
    # ICC(1,1) of pairs (Fisher's): products of deviations from the common mean, with its correction for the mean.
    mean = np.mean([first, second])
    between = 2 * np.sum(((first + second) / 2 - mean) ** 2) / 11
    assert got.icc == pytest.approx((between - within**2) / (between + within**2))


@settings(deadline=None, max_examples=50)
@given(seeds)
def test_unequal_numbers_follow_the_analysis_of_variance(seed):
    rng = np.random.default_rng(seed)
    groups = [rng.normal(rng.normal(10, 3), 1, rng.integers(2, 5)) for _ in range(rng.integers(2, 6))]
    names = [f"sub-{k}" for k, group in enumerate(groups) for _ in group]
    got = repeatability(np.concatenate([*groups, [99.0]]), [*names, "once"])
    total = np.concatenate(groups)
    ms_within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (len(total) - len(groups))
    ms_between = sum(len(g) * (g.mean() - total.mean()) ** 2 for g in groups) / (len(groups) - 1)
    usual = (len(total) - sum(len(g) ** 2 for g in groups) / len(total)) / (len(groups) - 1)
    assert got.within_sd == pytest.approx(math.sqrt(ms_within))
    assert got.icc == pytest.approx((ms_between - ms_within) / (ms_between + (usual - 1) * ms_within))
    assert (got.n_subjects, got.n_scans) == (len(groups), len(total))


def test_known_variances_are_found():
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(4000), 2)
    values = 100 + rng.normal(0, 20, 4000)[person] + rng.normal(0, 5, 8000)
    got = repeatability(values, person)
    assert got.within_sd == pytest.approx(5, rel=0.03)
    assert got.icc == pytest.approx(400 / 425, rel=0.01)
    differences = np.abs(values[::2] - values[1::2])
    assert (differences < got.smallest_detectable_change).mean() == pytest.approx(0.95, abs=0.01)


def test_mistakes_get_a_sentence():
    with pytest.raises(CordlesionError, match="1 subjects have several scans; at least 2"):
        repeatability([1, 2, 3], ["a", "a", "b"])
    with pytest.raises(CordlesionError, match="one finite value for each scan"):
        repeatability([1, math.nan], ["a", "a"])


def test_equal_values_have_no_correlation():
    found = repeatability([0.1] * 6, list("aaabbb"))
    assert math.isnan(found.icc)
    assert found.within_sd == pytest.approx(0, abs=1e-12)
    person = np.repeat(np.arange(12), [2, 3] * 6)
    assert np.isnan(repeatability_intervals(np.full(30, 0.1), person, person // 2, n_resamples=50)["icc"]).all()
