import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cordlesion.statistics import crossed_test, estimate_seed_noise
from oracles import crossed_oracle

designs = st.tuples(
    st.lists(st.integers(2, 5), min_size=2, max_size=5), st.integers(2, 8), st.integers(0, 2**32), st.booleans()
)


def tables(design):
    """Return scores of each loss, shape (seeds, subjects); rounded ones have ties and variances of 0."""
    n_seeds, n_subjects, seed, coarse = design
    rng = np.random.default_rng(seed)
    draw = [rng.normal(0.5, 0.2, (n, n_subjects)) + rng.normal(0, rng.choice([0, 0.1]), (n, 1)) for n in n_seeds]
    return [np.round(2 * one) / 2 if coarse else one for one in draw]


def compared(scores):
    noise = estimate_seed_noise(scores)
    return crossed_test(scores[0], scores[1], noise[:2])


@settings(deadline=None, max_examples=200)
@given(design=designs)
def test_against_loops(design):
    scores = tables(design)
    got = compared(scores)
    expected = crossed_oracle.test(scores[0].tolist(), scores[1].tolist(), crossed_oracle.seed_noise(scores)[:2])
    found = (got.difference, got.variance, got.freedom, got.p_value)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(design=designs)
def test_without_seeds_it_is_the_t_test_over_subjects(design):
    first, second, *_ = (one[:1] for one in tables(design))
    gains = (second - first)[0]
    if np.ptp(gains) < 1e-9:
        return
    got = crossed_test(first, second)
    expected = stats.ttest_1samp(gains, 0)
    assert got.p_value == pytest.approx(max(expected.pvalue, 2 / 2 ** len(gains)))
    assert np.allclose(got.interval, expected.confidence_interval())


@settings(deadline=None, max_examples=50)
@given(design=designs)
def test_swapped_losses_change_only_the_sign(design):
    scores = tables(design)
    noise = estimate_seed_noise(scores)[:2]
    forth, back = crossed_test(*scores[:2], noise), crossed_test(*scores[1::-1], noise[::-1])
    assert back.difference == -forth.difference
    assert (back.variance, back.p_value) == (pytest.approx(forth.variance), pytest.approx(forth.p_value))
    assert np.allclose(back.interval, [-end for end in forth.interval[::-1]])


@settings(deadline=None, max_examples=50)
@given(design=designs, scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_scale_and_offset_of_the_scores_do_not_change_the_p_value(design, scale, shift):
    scores = tables((*design[:3], False))
    here, there = compared(scores), compared([scale * one + shift for one in scores])
    assert there.difference == pytest.approx(scale * here.difference, abs=1e-9)
    assert there.variance == pytest.approx(scale**2 * here.variance)
    assert there.p_value == pytest.approx(here.p_value, rel=1e-6, abs=1e-9)
    assert there.detectable(0.05) == pytest.approx(scale * here.detectable(0.05))


def test_leading_axes_give_the_same_results_as_single_studies():
    rng = np.random.default_rng(3)
    many = [rng.normal(0, 1, (4, 5, n, 7)) for n in (2, 3, 4)]
    noise = estimate_seed_noise(many)
    at_once = crossed_test(many[0], many[1], noise[:2])
    for place in np.ndindex(4, 5):
        one = compared([scores[place] for scores in many])
        assert at_once.p_value[place] == pytest.approx(one.p_value)
        assert at_once.interval[0][place] == pytest.approx(one.interval[0])


def test_small_seed_noise_is_raised_to_the_mean_of_three_losses():
    rng = np.random.default_rng(0)
    wide, narrow, other = rng.normal(0, 1, (3, 6)), np.tile(rng.normal(0, 1, 6), (3, 1)), rng.normal(0, 1, (3, 6))
    alone = estimate_seed_noise([wide, narrow])
    assert (alone[1].variance, alone[1].freedom) == (0, 4)
    noise = estimate_seed_noise([wide, narrow, other])
    mean = np.mean([one.mean(axis=1).var(ddof=1) for one in (wide, narrow, other)])
    assert noise[1].variance == pytest.approx(mean / 3)
    assert noise[1].freedom == 6


def test_few_subjects_limit_the_p_value():
    gains = np.array([[0.2, 0.21, 0.2, 0.2, 0.19, 0.2]])
    test = crossed_test(0 * gains, gains)
    assert test.p_value == test.least_p == 2 / 64
    assert np.isinf(test.detectable(0.05 / 6))
    assert np.isfinite(test.detectable(0.05))


def test_equal_scores_have_no_detectable_difference():
    ones = np.ones((2, 7))
    assert np.isnan(crossed_test(ones, ones).detectable(0.05))


def test_equal_gains_in_all_subjects():
    scores = np.full((1, 8), 0.5)
    assert crossed_test(scores, scores).p_value == 1
    assert crossed_test(scores, scores + 0.1).p_value == 2 / 256
    assert np.isnan(crossed_test(scores[:, :1], scores[:, :1]).p_value)


def test_the_detectable_difference_is_detected_in_four_of_five_studies():
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.1, (3000, 2, 1, 12))
    gap = crossed_test(noise[:, 0], noise[:, 1]).detectable(0.05).mean()
    found = crossed_test(noise[:, 0], noise[:, 1] + gap).p_value <= 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.03)


@settings(deadline=None, max_examples=100)
@given(design=designs, margin=st.floats(0.01, 0.5))
def test_equivalence_is_two_one_sided_tests(design, margin):
    first, second, *_ = (one[:1] for one in tables((*design[:3], False)))
    gains = (second - first)[0]
    sides = [stats.ttest_1samp(gains, end, alternative=side) for end, side in ((-margin, "greater"), (margin, "less"))]
    expected = max(*(side.pvalue for side in sides), 1 / 2 ** len(gains))
    assert crossed_test(first, second).equivalence(margin) == pytest.approx(expected)


@settings(deadline=None, max_examples=50)
@given(design=designs, margin=st.floats(0.01, 0.5))
def test_equivalence_has_no_direction_and_grows_with_the_margin(design, margin):
    scores = tables((*design[:3], False))
    noise = estimate_seed_noise(scores)[:2]
    forth, back = crossed_test(*scores[:2], noise), crossed_test(*scores[1::-1], noise[::-1])
    assert back.equivalence(margin) == pytest.approx(forth.equivalence(margin))
    assert forth.equivalence(2 * margin) <= forth.equivalence(margin) + 1e-12
    moved = compared([7 + one for one in scores])
    assert moved.equivalence(margin) == pytest.approx(forth.equivalence(margin), abs=1e-6)


def test_equal_scores_are_as_good_and_others_are_not():
    ones = np.full((1, 8), 0.5)
    assert crossed_test(ones, ones).equivalence(0.02) == 1 / 256
    assert crossed_test(ones, ones + 0.02).equivalence(0.02) == 1
    assert crossed_test(ones, ones + 0.1).equivalence(0.02) == 1
    assert np.isnan(crossed_test(ones[:, :1], ones[:, :1]).equivalence(0.02))


def test_a_difference_of_the_margin_is_rarely_called_equivalent():
    rng = np.random.default_rng(2)
    many = [rng.normal(0, 0.1, (4000, 3, 12)) + rng.normal(0, 0.03, (4000, 3, 1)) for _ in range(3)]
    many[1] = many[1] + 0.15
    noise = estimate_seed_noise(many)
    assert np.mean(crossed_test(many[0], many[1], noise[:2]).equivalence(0.15) <= 0.05) == pytest.approx(0.04, abs=0.02)
