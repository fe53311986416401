import math
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cordlesion.statistics import median_interval
from oracles import signs_oracle

FEW = "cordlesion.statistics.intervals.MIN_SUBJECTS"  # set to 1 in tests with small examples


def test_many_scans_of_one_subject_count_as_one_subject():
    values, subjects = [0.1] * 30 + [0.9] * 4, ["a"] * 30 + list("bcde")
    assert median_interval(values, subjects) == (0.1, 0.9)
    assert median_interval(values, range(34)) == (0.1, 0.1)


def test_few_subjects_get_no_interval():
    """Subjects without a value or a trial are not counted."""
    values, few, enough = [0.1, 0.2, 0.3, 0.4, 0.5, math.nan], list("aabcde"), list("abcdea")
    assert np.isnan(median_interval(values, few)).all()
    assert median_interval(values, enough) == (0.1, 0.5)
    assert np.isnan(median_interval([math.nan], ["a"])).all()


@settings(deadline=None, max_examples=300)
@given(
    n_scans=st.integers(5, 14),
    n_subjects=st.integers(5, 9),
    confidence=st.floats(0.5, 0.99),
    seed=st.integers(0, 2**32),
)
def test_the_interval_of_a_median_against_all_signs_of_subjects(n_scans, n_subjects, confidence, seed):
    rng = np.random.default_rng(seed)
    values = (rng.integers(0, 5, n_scans) / 4).tolist()
    subjects = [f"sub-{k}" for k in rng.integers(0, n_subjects, n_scans)]
    with patch(FEW, 1):
        got = median_interval([*values, math.nan], [*subjects, "x"], confidence=confidence)
    assert got == pytest.approx(signs_oracle.median_interval(values, subjects, (1 - confidence) / 2))
    assert got[0] <= np.median(values) <= got[1]


@pytest.mark.parametrize("n", [6, 11, 14, 26, 50])
def test_with_one_scan_per_subject_the_ends_are_between_order_statistics_of_the_sign_test(n):
    values = np.random.default_rng(n).normal(size=n)
    low, high = median_interval(values, range(n))
    rank = int(stats.binom.ppf(0.025, n, 0.5))  # P(at most rank - 1 below the median) <= 2.5 % < P(at most rank)
    ordered = np.sort(values)
    assert ordered[rank - 1] <= low <= ordered[rank]
    assert ordered[-rank - 1] <= high <= ordered[-rank]
    assert median_interval(-values, range(n)) == pytest.approx((-high, -low))


def test_exact_and_approximate_intervals_agree():
    values = np.random.default_rng(0).normal(size=50)
    exact = median_interval(values, range(50))
    with patch("cordlesion.statistics.intervals._EXACT_SUBJECTS", 5):
        assert median_interval(values, range(50)) == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize(("n_scans", "n_subjects"), [(11, 8), (14, 10), (26, 20)])
def test_coverage_of_the_interval_of_a_median(n_scans, n_subjects):
    rng = np.random.default_rng(1)
    subjects = [*range(n_subjects), *range(n_scans - n_subjects)]
    hits = 0
    for _ in range(400):
        of_subject = rng.normal(size=n_subjects)[subjects]
        low, high = median_interval((of_subject + rng.normal(size=n_scans)) ** 3, subjects)
        hits += low <= 0 <= high
    assert hits / 400 >= 0.93
