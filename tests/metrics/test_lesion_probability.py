"""The chance that a lesion is real: against a logistic regression in plain loops, and on lesions of known chance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special

from cordlesion.errors import CordlesionError
from cordlesion.metrics import LesionChance, cross_fitted, fit_lesions, lesion_features


def lesions(n_subjects, seed=0):
    """Predicted lesions whose chance to be real is known, from their peak and their volume."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(n_subjects), rng.integers(1, 6, n_subjects))
    logits, volumes = rng.normal(0, 1.5, len(subjects)), rng.lognormal(3, 1, len(subjects))
    features = lesion_features(special.expit(logits), special.expit(logits - rng.uniform(0, 2, len(logits))), volumes)
    chance = special.expit(1.2 * features[:, 0] + 0.5 * features[:, 2] - 2)
    return features, rng.random(len(chance)) < chance, subjects, chance


def negative_log_likelihood(parameters, features, is_real):
    """Platt's likelihood, lesion by lesion."""
    n_real = sum(is_real)
    high, low = (n_real + 1) / (n_real + 2), 1 / (len(is_real) - n_real + 2)
    total = 0.0
    for row, real in zip(features, is_real, strict=True):
        linear = sum(w * x for w, x in zip(parameters[:-1], row, strict=True)) + parameters[-1]
        target = high if real else low
        total += math.log(1 + math.exp(linear)) - target * linear
    return total / len(is_real)


def test_the_fit_is_that_of_a_plain_logistic_regression_with_weights_of_at_least_0():
    features, is_real, _, _ = lesions(40)
    found = fit_lesions(features, is_real)
    best = optimize.minimize(
        negative_log_likelihood, [0.5, 0.5, 0.5, 0.0], (features, is_real), "SLSQP",
        bounds=[(0, None)] * 3 + [(None, None)], options={"ftol": 1e-12, "maxiter": 500},
    )  # fmt: skip
    assert min(found.weights) >= 0
    ours = negative_log_likelihood([*found.weights, found.shift], features, is_real)
    assert ours <= best.fun + 1e-6
    np.testing.assert_allclose([*found.weights, found.shift], best.x, atol=0.02)


def test_what_it_was_made_of_is_found():
    features, is_real, _, chance = lesions(3000)
    found = fit_lesions(features, is_real)
    np.testing.assert_allclose([*found.weights, found.shift], [1.2, 0, 0.5, -2], atol=0.25)
    np.testing.assert_allclose(found.apply(features), chance, atol=0.06)


def test_a_feature_that_points_the_other_way_has_no_weight():
    features, is_real, _, _ = lesions(200)
    assert fit_lesions(-features[:, :1], is_real).weights == (0.0,)


def test_cross_fitted_chances_hold_and_use_no_lesion_of_the_subject():
    features, is_real, subjects, chance = lesions(800)
    found = cross_fitted(features, is_real, subjects)
    np.testing.assert_allclose(found, chance, atol=0.12)
    changed = is_real.copy()
    changed[subjects == 7] = ~changed[subjects == 7]
    np.testing.assert_array_equal(cross_fitted(features, changed, subjects)[subjects == 7], found[subjects == 7])


def test_with_few_subjects_each_is_a_part_of_its_own():
    features, is_real, subjects, _ = lesions(4)
    found = cross_fitted(features, is_real, subjects)
    for subject in range(4):
        inside = subjects == subject
        if 0 < is_real[~inside].sum() < (~inside).sum():
            expected = fit_lesions(features[~inside], is_real[~inside]).apply(features[inside])
            np.testing.assert_array_equal(found[inside], expected)
        else:
            assert np.isnan(found[inside]).all()


def test_lesions_that_the_features_separate_have_a_finite_fit():
    features = lesion_features([0.1, 0.2, 0.8, 1.0], [0.1, 0.1, 0.5, 1.0], [4, 5, 50, 60])
    found = fit_lesions(features, np.array([False, False, True, True])).apply(features)
    assert np.isfinite(features).all()
    assert ((found > 0) & (found < 1)).all()
    assert max(found[:2]) < 0.5 < min(found[2:])


def test_lesions_of_one_kind_cannot_be_calibrated():
    with pytest.raises(CordlesionError, match="3 of 3 are lesion; some of each kind"):
        fit_lesions(np.zeros((3, 3)), np.ones(3, bool))
    assert np.isnan(cross_fitted(np.zeros((3, 3)), np.ones(3, bool), np.arange(3))).all()


VALUES = st.lists(st.floats(0.01, 0.98), min_size=1, max_size=12)
WEIGHTS = st.tuples(*[st.floats(0, 5)] * 3)


@given(low=VALUES, raised=st.floats(0, 0.5), grown=st.integers(0, 9), weights=WEIGHTS, power=st.floats(0.2, 4))
def test_a_lesion_of_higher_probabilities_and_volume_never_has_the_lower_chance_on_any_scale(
    low, raised, grown, weights, power
):
    """A monotone change of the map changes no order: 'p ** power' stands for any."""
    high = np.minimum(np.array(low) + raised, 1)
    chance = LesionChance(weights, -1.0)
    for scaled in (lambda p: p, lambda p: np.power(p, power)):
        pair = [
            lesion_features(scaled(np.array(values)).max(), scaled(np.array(values)).mean(), 1.0 + n)
            for values, n in ((low, len(low)), (high, len(low) + grown))
        ]
        lower, higher = chance.apply(np.stack(pair))
        assert higher >= lower - 1e-12
