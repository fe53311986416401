import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cordlesion.statistics import MIN_PAIRS, holm, sign_flips, wilcoxon
from oracles import signs_oracle

differences = st.lists(st.integers(-6, 6), min_size=6, max_size=9)


def naive_wilcoxon(d):
    """All 2^n sign patterns of the ranks, one by one."""
    d = [x for x in d if x]
    ordered = sorted(abs(x) for x in d)
    ranks = [statistics.mean(k + 1 for k, y in enumerate(ordered) if y == abs(x)) for x in d]
    observed = sum(rank for rank, x in zip(ranks, d, strict=True) if x > 0)
    sums = [sum(itertools.compress(ranks, signs)) for signs in itertools.product([0, 1], repeat=len(d))]
    low, high = sum(s <= observed for s in sums), sum(s >= observed for s in sums)
    return min(1, 2 * min(low, high) / len(sums)), (2 * observed - sum(ranks)) / sum(ranks)


@settings(deadline=None)
@given(differences.filter(any))
def test_wilcoxon_against_all_sign_patterns(d):
    test = wilcoxon(np.zeros(len(d)), np.array(d) / 10)
    p_value, rank_biserial = naive_wilcoxon(d)
    assert test.method == "exact"
    assert test.p_value == pytest.approx(p_value)
    assert test.rank_biserial == pytest.approx(rank_biserial)
    assert test.median_difference == pytest.approx(statistics.median(d) / 10)
    assert (test.n_pairs, test.n_nonzero) == (len(d), sum(x != 0 for x in d))


@pytest.mark.parametrize("n", [6, 14, 26, 50, 51, 200])
def test_wilcoxon_against_scipy(n):
    rng = np.random.default_rng(n)
    first = rng.random(n)
    second = first + rng.normal(0.05, 0.2, n)
    method = "exact" if n <= 50 else "approx"
    test = wilcoxon(first, second)
    assert test.p_value == pytest.approx(stats.wilcoxon(first, second, method=method).pvalue, rel=1e-9)
    assert test.method == {"exact": "exact", "approx": "approximate"}[method]


def test_wilcoxon_with_ties_against_scipy():
    d = np.repeat([-3, -2, -1, 1, 2, 3, 4], [4, 9, 13, 13, 15, 7, 8])
    assert wilcoxon(np.zeros(len(d)), d).p_value == pytest.approx(stats.wilcoxon(d, method="approx").pvalue, rel=1e-9)


def test_exact_and_approximate_agree_where_they_meet():
    d = np.random.default_rng(2).normal(0.3, 1, 50)
    exact = wilcoxon(np.zeros(50), d)
    assert exact.p_value == pytest.approx(stats.wilcoxon(d, method="approx").pvalue, rel=0.02)


def test_wilcoxon_without_difference():
    test = wilcoxon([0.1 + 0.2, *[0.5] * 5, math.nan, 0.4], [0.3, *[0.5] * 5, 0.4, math.nan])
    assert (test.p_value, test.rank_biserial, test.method) == (1.0, 0.0, "no difference")
    assert (test.n_pairs, test.n_nonzero, test.median_difference) == (6, 0, 0.0)
    assert math.isnan(wilcoxon([math.nan], [1.0]).median_difference)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(-4, 4)), min_size=1, max_size=16))
def test_scans_of_one_subject_are_tested_as_one(rows):
    subjects, d = zip(*rows, strict=True)
    test = wilcoxon(np.zeros(len(d)), d, subjects)
    means = [round(mean, 12) for mean in signs_oracle.subject_means(d, subjects)]
    alone = wilcoxon(np.zeros(len(means)), means)
    assert (test.p_value, test.rank_biserial) == pytest.approx((alone.p_value, alone.rank_biserial), nan_ok=True)
    assert (test.n_pairs, test.n_subjects, test.n_nonzero) == (len(d), len(means), sum(x != 0 for x in means))
    assert test.median_difference == statistics.median(d)
    # Scanned twice with the same result, a subject is no further evidence.
    more = [*range(len(d)), *(k for k, subject in enumerate(subjects) if subject == subjects[0])]
    again = wilcoxon(np.zeros(len(more)), np.take(d, more), np.take(subjects, more))
    assert again.p_value == pytest.approx(test.p_value, nan_ok=True)


def test_eight_visits_of_one_person_are_no_test():
    test = wilcoxon(np.linspace(0.5, 0.6, 8), np.linspace(0.51, 0.62, 8), ["sub-01"] * 8)
    assert (test.n_pairs, test.n_subjects) == (8, 1)
    assert math.isnan(test.p_value)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(-3, 3)), min_size=1, max_size=16))
def test_sign_flips_against_all_signs_of_subjects(rows):
    subjects, d = zip(*rows, strict=True)
    sums = [sum(group) for group in signs_oracle.by_subject(d, subjects).values()]
    expected = signs_oracle.p_of_sums(sums) if len(sums) >= MIN_PAIRS else math.nan
    assert sign_flips(d, subjects) == pytest.approx(expected, nan_ok=True)


def test_sign_flips_of_one_scan_each_are_mcnemars_exact_test():
    for gained, lost in ((0, 0), (5, 0), (9, 2), (20, 11)):
        d = [1] * gained + [-1] * lost + [0] * 12
        expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
        assert sign_flips(d, range(len(d))) == pytest.approx(expected)
    assert math.isnan(sign_flips([], []))


@pytest.mark.parametrize(("n_scans", "n_subjects"), [(26, 20), (26, 13), (26, 8), (12, 1)])
@pytest.mark.parametrize("alike", [0.5, 0.8])
def test_equal_methods_rarely_differ_however_scans_cluster(n_scans, n_subjects, alike):
    rng = np.random.default_rng(4)
    rejected = 0
    for _ in range(400):
        subjects = np.concatenate([np.arange(n_subjects), rng.integers(0, n_subjects, n_scans - n_subjects)])
        of_subject = rng.normal(size=n_subjects)[subjects]
        d = math.sqrt(alike) * of_subject + math.sqrt(1 - alike) * rng.normal(size=n_scans)
        rejected += wilcoxon(np.zeros(n_scans), d, subjects).p_value <= 0.05
    assert rejected / 400 <= 0.07


@pytest.mark.parametrize("second", [[1, 2, 3, 4, 5, math.nan], [0, 0, 0, 0, 0, math.nan], [math.nan] * 6])
def test_too_few_pairs_are_described_but_not_tested(second):
    test = wilcoxon(np.zeros(6), second)
    assert math.isnan(test.p_value)
    assert test.method == "too few subjects"
    assert test.rank_biserial == (1 if second[0] > 0 else 0)


def test_six_pairs_can_be_significant():
    assert MIN_PAIRS == 6
    assert wilcoxon(np.zeros(6), np.ones(6)).p_value == pytest.approx(2 / 64)


def test_effect_size_is_positive_when_the_second_is_larger():
    assert wilcoxon([0, 0, 0], [1, 2, 3]).rank_biserial == 1
    assert wilcoxon([1, 2, 3], [0, 0, 0]).rank_biserial == -1


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.9, 0.6, math.nan, 0.02]), [1, 1, math.nan, 0.06])
    assert holm([]).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_its_steps_reject(p):
    """Holm's own words: go up the ordered p-values, stop at the first above alpha / (number left)."""
    alpha, rejected = 0.05, set()
    for left, i in zip(range(len(p), 0, -1), sorted(range(len(p)), key=p.__getitem__), strict=True):
        if p[i] * left > alpha:
            break
        rejected.add(i)
    assert set(np.flatnonzero(holm(p) <= alpha)) == rejected
