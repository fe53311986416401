import functools
import math
import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from cordlesion.errors import CordlesionError
from cordlesion.metrics import binarize, count_logits, count_reliability, fit_temperature
from cordlesion.metrics.calibration import MAX_LOGIT
from oracles import calibration_oracle

probabilities = st.one_of(st.floats(0, 1), st.integers(0, 20).map(lambda k: k / 20), st.floats(0, 1e-6))
labelled = st.lists(st.tuples(probabilities, st.booleans()), min_size=1, max_size=40)
temperatures = st.floats(0.5, 5)


def simulate(n, temperature=1.0, seed=0):
    """Return probabilities whose logits are ``temperature`` times too large, and labels."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-2, 2, n)
    y = rng.random(n) < 1 / (1 + np.exp(-logit))
    return 1 / (1 + np.exp(-temperature * logit)), y


def add(counts):
    return functools.reduce(operator.add, counts)


@settings(max_examples=500)
@given(labelled, st.integers(1, 20))
def test_scores_agree_with_plain_loops(voxels, n_bins):
    p, y = zip(*voxels, strict=True)
    counts = count_reliability(p, y, n_bins)
    assert counts.expected_calibration_error == pytest.approx(
        calibration_oracle.expected_calibration_error(p, y, n_bins), abs=1e-12
    )
    assert counts.brier_score == pytest.approx(calibration_oracle.brier_score(p, y), abs=1e-12)


@settings(max_examples=500)
@given(labelled, st.integers(1, 20))
def test_diagram_agrees_with_plain_loops(voxels, n_bins):
    p, y = zip(*voxels, strict=True)
    counts = count_reliability(p, y, n_bins)
    for k, members in enumerate(calibration_oracle.bins(p, y, n_bins)):
        mean = np.mean(members, axis=0) if members else (math.nan, math.nan)
        assert (counts.mean_probability[k], counts.lesion_share[k]) == pytest.approx(tuple(mean), nan_ok=True)
        assert counts.n_voxels[k] == len(members)


@settings(max_examples=500)
@given(labelled, temperatures)
def test_likelihood_agrees_with_plain_loops(voxels, temperature):
    p, y = zip(*voxels, strict=True)
    expected = calibration_oracle.negative_log_likelihood(p, y, temperature, MAX_LOGIT)
    assert count_logits(p, y).negative_log_likelihood(temperature) == pytest.approx(
        expected, rel=1e-4 / temperature**2, abs=1e-7
    )


@given(st.integers(2, 5))
def test_counts_of_scans_add_up(n_scans):
    p, y = simulate(500)
    parts = list(zip(np.array_split(p, n_scans), np.array_split(y, n_scans), strict=True))
    whole, total = count_reliability(p, y), add(count_reliability(*part) for part in parts)
    assert total.expected_calibration_error == pytest.approx(whole.expected_calibration_error)
    assert total.brier_score == pytest.approx(whole.brier_score)
    assert fit_temperature(add(count_logits(*part) for part in parts)).value == pytest.approx(
        fit_temperature(count_logits(p, y)).value
    )


def test_a_true_probability_is_calibrated():
    p, y = simulate(200_000)
    assert count_reliability(p, y).expected_calibration_error < 0.005
    assert count_reliability(*simulate(200_000, 3)).expected_calibration_error > 0.03


def test_diagram_by_hand():
    counts = count_reliability(np.array([[0.1, 0.2], [0.75, 1.0]]), np.array([[0, 1], [1, 0]]), n_bins=4)
    np.testing.assert_allclose(counts.mean_probability, [0.15, np.nan, np.nan, 0.875])
    np.testing.assert_allclose(counts.lesion_share, [0.5, np.nan, np.nan, 0.5])
    assert counts.expected_calibration_error == pytest.approx((0.35 + 0.375) / 2)
    assert counts.brier_score == pytest.approx((0.01 + 0.64 + 0.0625 + 1) / 4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_of_a_distorted_map_is_found(temperature):
    p, y = simulate(100_000, temperature)
    found = fit_temperature(count_logits(p, y))
    assert found.value == pytest.approx(temperature, rel=0.02)
    after = count_reliability(found.apply(p), y)
    assert after.expected_calibration_error < 0.006
    assert found.negative_log_likelihood <= count_logits(p, y).negative_log_likelihood(1.0)


def test_temperature_agrees_with_a_search_over_all_voxels():
    p, y = simulate(2000, 1.7, seed=3)
    exact = optimize.minimize_scalar(
        lambda t: calibration_oracle.negative_log_likelihood(p.tolist(), y.tolist(), t, MAX_LOGIT),
        bounds=(0.5, 5),
        method="bounded",
    )
    found = fit_temperature(count_logits(p, y))
    assert found.value == pytest.approx(exact.x, rel=1e-3)
    assert found.negative_log_likelihood == pytest.approx(exact.fun, rel=1e-4)


def test_temperature_changes_no_order():
    found = fit_temperature(count_logits(*simulate(2000, 3)))
    p = np.array([0, 1e-6, 0.2, 0.5, 0.7, 1], dtype=np.float32)
    calibrated = found.apply(p)
    assert calibrated.dtype == np.float32
    np.testing.assert_array_equal(calibrated[[0, 3, 5]], [0, 0.5, 1])
    assert (np.diff(calibrated) > 0).all()
    for t in p:
        np.testing.assert_array_equal(binarize(calibrated, found.apply(t)), binarize(p, t))


def test_a_map_without_errors_gets_the_smallest_temperature():
    assert fit_temperature(count_logits([0.1, 0.4, 0.6, 1], [0, 0, 1, 1])).value == pytest.approx(0.05, rel=1e-3)


def test_a_map_that_knows_nothing_gets_the_largest_temperature():
    assert fit_temperature(count_logits([0.1, 0.1, 0.9, 0.9], [1, 1, 0, 0])).value == pytest.approx(20, rel=1e-3)


@pytest.mark.parametrize("label", [0, 1])
def test_a_temperature_needs_both_kinds_of_voxels(label):
    with pytest.raises(CordlesionError, match=f"{3 * label} of 3 voxels are lesion"):
        fit_temperature(count_logits([0.1, 0.5, 0.6], [label] * 3))


@pytest.mark.parametrize("count", [count_reliability, count_logits])
@pytest.mark.parametrize(
    ("p", "y", "words"),
    [
        ([0.1, 1.1], [0, 1], "outside 0 to 1"),
        ([0.1, math.nan], [0, 1], "outside 0 to 1"),
        ([0.1, 0.2], [0, 2], "other than 0 and 1"),
        ([0.1, 0.2], [0], r"shape \(2,\) but the reference has \(1,\)"),
    ],
)
def test_bad_input_is_refused(count, p, y, words):
    with pytest.raises(CordlesionError, match=words):
        count(p, y)


def test_no_voxels_have_no_scores():
    counts = count_reliability([], [])
    assert math.isnan(counts.expected_calibration_error)
    assert math.isnan(counts.brier_score)
