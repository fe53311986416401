import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cordlesion.statistics import bootstrap_difference
from oracles import bootstrap_oracle


def draws_of_seeds(rng, n_seeds, n_resamples):
    return rng.multinomial(n_seeds - 1, [1 / n_seeds] * n_seeds, size=n_resamples)


@settings(deadline=None, max_examples=500)
@given(
    n_scans=st.integers(1, 8),
    n_subjects=st.integers(1, 5),
    n_seeds=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    resample=st.tuples(st.booleans(), st.booleans()),
    seed=st.integers(0, 2**32),
)
def test_differences_against_loops(n_scans, n_subjects, n_seeds, resample, seed):
    data = np.random.default_rng(seed)
    first, second = (data.integers(0, 9, (n, n_scans)) / 8 for n in n_seeds)
    subjects = [f"sub-{k}" for k in data.integers(0, n_subjects, n_scans)]
    resample = tuple(wanted and n > 1 for wanted, n in zip(resample, n_seeds, strict=True))
    got = bootstrap_difference(first, second, subjects, resample_seeds=resample, n_resamples=15, seed=seed)
    # The same random indices, in the documented order.
    rng = np.random.default_rng(seed)
    n = len(set(subjects))
    subject_draws = rng.multinomial(n, [1 / n] * n, size=15)
    seed_draws = [draws_of_seeds(rng, n, 15) if wanted else None for n, wanted in zip(n_seeds, resample, strict=True)]
    freedom = sum(n - 1 for n, wanted in zip(n_seeds, resample, strict=True) if wanted)
    widening = stats.t.ppf(0.975, freedom) / stats.norm.ppf(0.975) if freedom else 1
    expected = bootstrap_oracle.differences(first, second, subjects, subject_draws, *seed_draws, widening)
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_variance_of_a_mean_over_seeds_is_unbiased_before_it_is_widened():
    scores = np.array([[0.1], [0.4], [0.9]])
    drawn = bootstrap_difference([[0.0]], scores, ["a"], resample_seeds=(False, True), n_resamples=40_000)
    widening = stats.t.ppf(0.975, 2) / stats.norm.ppf(0.975)
    assert drawn.std() / widening == pytest.approx(scores.std(ddof=1) / np.sqrt(3), rel=0.02)
    assert drawn.mean() == pytest.approx(scores.mean(), abs=0.01)


def simulated_losses(rng, n_seeds, between_seeds):
    """Two equally good losses on 26 scans; each training shifts all scans a little."""
    ease = rng.normal(0.5, 0.2, 26)
    shifts = rng.normal(0, between_seeds, (2, n_seeds, 1))
    return ease + shifts + rng.normal(0, 0.02, (2, n_seeds, 26))


def excludes_zero(drawn):
    low, high = np.quantile(drawn, [0.025, 0.975])
    return low > 0 or high < 0


@pytest.mark.parametrize("n_seeds", [2, 3, 5])
def test_seed_noise_is_not_taken_for_a_difference(n_seeds):
    rng = np.random.default_rng(n_seeds)
    wrong = {False: 0, True: 0}
    for _ in range(150):
        first, second = simulated_losses(rng, n_seeds, between_seeds=0.03)
        for seeds in wrong:
            drawn = bootstrap_difference(first, second, range(26), resample_seeds=(seeds, seeds), n_resamples=300)
            wrong[seeds] += excludes_zero(drawn)
    # Nominally 5 %, at most 11 % by chance in 150; subjects alone are wrong most of the time.
    assert wrong[True] <= 0.11 * 150
    assert wrong[False] >= 0.6 * 150
