"""Planned power against simulated studies with the real test, and against the noncentral t where there are no seeds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cordlesion.statistics import (
    MOST_SUBJECTS,
    PlannedTest,
    SeedPlan,
    crossed_test,
    estimate_seed_noise,
    plan_again,
)

DESIGNS = [
    (7, 3, 12, 0.2, 0.05),
    (7, 5, 30, 0.12, 0.05),
    (3, 3, 20, 0.18, 0.05),
    (2, 3, 15, 0.2, 0.05),
    (7, 2, 20, 0.4, 0.08),
]


def simulate(rng, n_studies, n_losses, n_seeds, n_subjects, seed_sd, gap=0.0):
    """Scores by subject of losses with common subject effects, own subject effects, seeds and residuals."""
    shape = (n_losses, n_studies, n_seeds, n_subjects)
    scores = rng.normal(0, 0.2, (1, n_studies, 1, n_subjects)) + rng.normal(
        0, 0.1, (n_losses, n_studies, 1, n_subjects)
    )
    scores = scores + rng.normal(0, seed_sd, (n_losses, n_studies, n_seeds, 1)) + rng.normal(0, 0.1, shape)
    scores[0] += gap
    return scores


@pytest.mark.parametrize(("n_losses", "n_seeds", "n_subjects", "gap", "seed_sd"), DESIGNS)
def test_power_is_that_of_simulated_studies(n_losses, n_seeds, n_subjects, gap, seed_sd):
    level = 0.05 / (n_losses - 1)
    plan = PlannedTest(2 * 0.1**2, (-1.0, 1.0), SeedPlan(seed_sd**2, 0.1**2, n_losses, n_seeds))
    scores = simulate(np.random.default_rng(3), 3000, n_losses, n_seeds, n_subjects, seed_sd, gap)
    test = crossed_test(scores[1], scores[0], estimate_seed_noise(scores)[:2])
    found = float(((test.p_value <= level) & (test.difference > 0)).mean())
    assert 0.1 < found < 0.97
    assert plan.power(gap, n_subjects, level=level) == pytest.approx(found, abs=0.025)


@settings(deadline=None, max_examples=40)
@given(variance=st.floats(0.001, 1), gap=st.floats(0.01, 0.5), n=st.integers(6, 200), m=st.integers(1, 10))
def test_without_seeds_power_is_that_of_the_noncentral_t(variance, gap, n, m):
    level = 0.05 / m
    ncp = gap / np.sqrt(variance / n)
    expected = stats.nct.sf(stats.t.isf(level / 2, n - 1), n - 1, ncp) if 2 / 2**n <= level else 0.0
    if ncp < 30:
        assert PlannedTest(variance).power(gap, n, level=level) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None, max_examples=15)
@given(variance=st.floats(0.005, 0.1), seed=st.floats(0, 0.004), gap=st.floats(0.03, 0.3), k=st.integers(2, 7))
def test_needed_is_the_first_number_that_is_enough(variance, seed, gap, k):
    plan = PlannedTest(variance, (-1.0, 1.0), SeedPlan(seed, 0.01, k, 5))
    needed = plan.needed(gap)
    if needed is None:
        assert plan.power(gap, MOST_SUBJECTS) < 0.8
    else:
        assert plan.power(gap, needed) >= 0.8
        assert needed == 6 or plan.power(gap, needed - 1) < 0.8


def test_few_subjects_find_nothing_and_one_seed_has_no_noise():
    plan = PlannedTest(0.01)
    assert plan.power(1.0, 5) == 0
    assert plan.power(1.0, 7, level=0.05 / 21) == 0, "2 / 2^7 is above the level"
    assert plan.needed(0.0) is None
    assert plan.with_seeds(5) == plan


def test_more_seeds_raise_the_power_up_to_what_subjects_allow():
    plan = PlannedTest(0.02, (-1.0, 1.0), SeedPlan(0.003, 0.01, 7, 3))
    powers = [plan.with_seeds(n).power(0.1, 30, level=0.05 / 6) for n in (2, 3, 5, 10, 100)]
    assert powers == sorted(powers)
    assert powers[-1] <= PlannedTest(0.02).power(0.1, 30, level=0.05 / 6) + 0.01


def test_a_plan_from_a_large_study_has_the_variances_of_the_simulation():
    scores = simulate(np.random.default_rng(1), 1, 5, 40, 3000, 0.05)[:, 0]
    noise = estimate_seed_noise(list(scores))
    test = crossed_test(scores[0], scores[1], noise[:2])
    plan = plan_again(test, 3000, noise, (-1.0, 1.0))
    assert plan.subjects == pytest.approx(0.02, rel=0.1)
    assert plan.seeds.variance == pytest.approx(0.0025, rel=0.25)
    assert plan.seeds.rest == pytest.approx(0.01, rel=0.05)
    assert (plan.seeds.n_losses, plan.seeds.n_seeds) == (5, 40)


def test_a_plan_of_given_trainings_has_the_variance_between_subjects():
    gains = np.random.default_rng(0).normal(0, 1, (1, 50))
    test = crossed_test(np.zeros((1, 50)), gains)
    assert plan_again(test, 50, (), ()) == PlannedTest(pytest.approx(gains.var(ddof=1)))


def test_power_with_unequal_seed_noise_is_that_of_the_average_pair():
    rng = np.random.default_rng(6)
    variances = rng.gamma(1.0, 0.003, (7, 2500))
    scores = simulate(rng, 2500, 7, 5, 30, 0.0)
    scores = scores + np.sqrt(variances)[..., np.newaxis, np.newaxis] * rng.standard_normal((7, 2500, 5, 1))
    scores[0] += 0.15
    test = crossed_test(scores[1], scores[0], estimate_seed_noise(scores)[:2])
    found = float(((test.p_value <= 0.05 / 6) & (test.difference > 0)).mean())
    plan = PlannedTest(2 * 0.1**2, (-1.0, 1.0), SeedPlan(0.003, 0.1**2, 7, 5, inequality=1.0))
    assert plan.power(0.15, 30, level=0.05 / 6) == pytest.approx(found, abs=0.03)
    equal = PlannedTest(2 * 0.1**2, (-1.0, 1.0), SeedPlan(0.003, 0.1**2, 7, 5))
    assert plan.power(0.25, 30, level=0.05 / 6) < equal.power(0.25, 30, level=0.05 / 6) - 0.02
