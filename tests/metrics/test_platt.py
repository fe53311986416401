"""Calibration with two numbers: against a logistic regression by hand, and on simulated lesions of known chance."""

import numpy as np
import pytest
from scipy import optimize, special

from cordlesion.errors import CordlesionError
from cordlesion.metrics.platt import cross_fitted, fit_lesions, fit_platt, limited_logit


def lesions(n_subjects, seed=0):
    """Predicted lesions whose chance to be real is sigmoid(1.5 * logit(peak) - 1)."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(n_subjects), rng.integers(1, 6, n_subjects))
    peaks = special.expit(rng.normal(0, 1.5, len(subjects)))
    chance = special.expit(1.5 * special.logit(peaks) - 1)
    return peaks, rng.random(len(peaks)) < chance, subjects, chance


def test_the_fit_is_that_of_a_logistic_regression():
    peaks, is_true, _, _ = lesions(800)
    found = fit_lesions(peaks, is_true)

    def loss(x):
        linear = x[0] * special.logit(peaks) + x[1]
        return np.mean(np.logaddexp(0, linear) - is_true * linear)

    np.testing.assert_allclose([found.scale, found.shift], optimize.minimize(loss, [1, 0]).x, atol=0.01)
    np.testing.assert_allclose([found.scale, found.shift], [1.5, -1], atol=0.2)


def test_groups_weigh_as_much_as_their_members():
    logits, n, n_true = np.array([-1.0, 0.5, 2.0]), np.array([40.0, 20.0, 10.0]), np.array([4.0, 8.0, 9.0])
    single = np.repeat(logits, n.astype(int))
    truth = np.concatenate([np.arange(k) < t for k, t in zip(n, n_true, strict=True)]).astype(float)
    one_by_one = fit_platt(single, np.ones(len(single)), truth)
    together = fit_platt(logits, n, n_true)
    np.testing.assert_allclose([together.scale, together.shift], [one_by_one.scale, one_by_one.shift], rtol=1e-4)


def test_cross_fitted_probabilities_are_calibrated_and_use_no_lesion_of_the_subject():
    peaks, is_true, subjects, chance = lesions(400)
    found = cross_fitted(peaks, is_true, subjects)
    np.testing.assert_allclose(found, chance, atol=0.08)
    changed = is_true.copy()
    changed[subjects == 7] = ~changed[subjects == 7]
    np.testing.assert_array_equal(cross_fitted(peaks, changed, subjects)[subjects == 7], found[subjects == 7])


def test_lesions_that_the_peak_separates_have_a_finite_fit():
    found = fit_lesions(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))
    low, high = found.apply([0.15, 0.85])
    assert 0 < low < 0.5 < high < 1
    assert np.isfinite(limited_logit([0.0, 1.0])).all()


def test_lesions_of_one_kind_cannot_be_calibrated():
    with pytest.raises(CordlesionError, match="3 of 3 are lesion; some of each kind"):
        fit_lesions(np.full(3, 0.5), np.ones(3, bool))
    assert np.isnan(cross_fitted(np.full(3, 0.5), np.ones(3, bool), np.arange(3))).all()


def test_rare_lesions_have_the_same_fit():
    logits, n = np.array([-4.0, -1.0, 2.0]), np.array([1e8, 1e3, 1e3])
    found = fit_platt(logits, n, n * special.expit(1.5 * logits - 3))
    np.testing.assert_allclose([found.scale, found.shift], [1.5, -3], atol=0.01)
