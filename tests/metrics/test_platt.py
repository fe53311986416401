"""Calibration with two numbers: against a logistic regression by hand, and on simulated voxels of known chance."""

import numpy as np
import pytest
from scipy import optimize, special

from cordlesion.errors import CordlesionError
from cordlesion.metrics.platt import fit_platt, limited_logit


def simulated(n, seed=0):
    """Probabilities, and what is lesion with the chance sigmoid(1.5 * logit(p) - 1)."""
    rng = np.random.default_rng(seed)
    p = special.expit(rng.normal(0, 1.5, n))
    return p, rng.random(n) < special.expit(1.5 * special.logit(p) - 1)


def test_the_fit_is_that_of_a_logistic_regression():
    p, is_true = simulated(2400)
    found = fit_platt(limited_logit(p), np.ones(len(p)), is_true.astype(float))

    def loss(x):
        linear = x[0] * special.logit(p) + x[1]
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


def test_what_is_separated_has_a_finite_fit():
    found = fit_platt(limited_logit([0.1, 0.2, 0.8, 0.9]), np.ones(4), np.array([0.0, 0.0, 1.0, 1.0]))
    low, high = found.apply([0.15, 0.85])
    assert 0 < low < 0.5 < high < 1
    assert np.isfinite(limited_logit([0.0, 1.0])).all()


def test_one_kind_alone_cannot_be_calibrated():
    with pytest.raises(CordlesionError, match="3 of 3 are lesion; some of each kind"):
        fit_platt(np.zeros(3), np.ones(3), np.ones(3))


def test_rare_lesions_have_the_same_fit():
    logits, n = np.array([-4.0, -1.0, 2.0]), np.array([1e8, 1e3, 1e3])
    found = fit_platt(logits, n, n * special.expit(1.5 * logits - 3))
    np.testing.assert_allclose([found.scale, found.shift], [1.5, -3], atol=0.01)
