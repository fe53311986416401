"""The curve of detection by size: known curves are recovered, and every curve rises."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from cordlesion.statistics.detection_curve import CurveFamily, DetectionCurve


def draw(rng, n, middle, slope, ceiling):
    sizes = np.exp(rng.uniform(np.log(5), np.log(500), n))
    return sizes, rng.random(n) < ceiling * expit(slope * (np.log(sizes) - np.log(middle)))


@pytest.mark.parametrize(("middle", "slope", "ceiling"), [(40.0, 3.0, 1.0), (100.0, 1.5, 0.95), (60.0, 2.5, 0.7)])
def test_a_known_curve_is_recovered(middle, slope, ceiling):
    sizes, found = draw(np.random.default_rng(0), 2000, middle, slope, ceiling)
    curve = CurveFamily(sizes, np.arange(len(sizes)), n_resamples=2).fit(found).curve
    at = np.geomspace(5, 500, 30)
    truth = ceiling * expit(slope * (np.log(at) - np.log(middle)))
    assert np.abs(curve.probability(at) - truth).max() < 0.06


def test_the_fit_is_as_likely_as_that_of_an_optimiser():
    sizes, found = draw(np.random.default_rng(3), 300, 50.0, 2.0, 0.9)
    log_sizes = np.log(sizes)

    def cost(parameters):
        p = (expit(parameters[2]) * expit(np.exp(parameters[1]) * (log_sizes - parameters[0]))).clip(1e-6, 1 - 1e-6)
        return -(np.log(p[found]).sum() + np.log1p(-p[~found]).sum())

    best = min(minimize(cost, start, method="Nelder-Mead").fun for start in ([4, 0.5, 2], [3.5, 1, 1], [5, 0, 4]))
    p = CurveFamily(sizes, np.arange(300), n_resamples=2).fit(found).curve.probability(sizes)
    assert -(np.log(p[found]).sum() + np.log1p(-p[~found]).sum()) < best + 1.0


def test_the_interval_of_the_limit_covers_the_truth():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(60):
        sizes, found = draw(rng, 100, 60.0, 2.5, 0.97)
        limit = CurveFamily(sizes, np.arange(100) // 2, n_resamples=200).fit(found).limit(0.5)
        truth = 60 * math.exp(math.log(0.5 / 0.47) / 2.5)
        covered += limit.low <= truth <= limit.high
    assert covered >= 51  # 95 % +- 2 standard errors of 60 trials, less the grid


def test_lesions_of_one_unit_are_resampled_together():
    sizes, found = draw(np.random.default_rng(5), 80, 60.0, 2.5, 0.97)
    # Every lesion ten times: the interval must not get narrower by that.
    once = CurveFamily(sizes, np.arange(80), n_resamples=300).fit(found).limit(0.5)
    repeated = CurveFamily(np.repeat(sizes, 10), np.repeat(np.arange(80), 10), n_resamples=300)
    tenfold = repeated.fit(np.repeat(found, 10)).limit(0.5)
    assert math.log(tenfold.high / tenfold.low) > 0.7 * math.log(once.high / once.low)


def test_what_is_not_reached_is_infinite_and_what_is_always_found_is_the_smallest_size():
    sizes = np.geomspace(5, 500, 60)
    family = CurveFamily(sizes, np.arange(60), n_resamples=100)
    nothing, everything = family.fit(np.zeros(60)), family.fit(np.ones(60))
    assert nothing.limit(0.5).size == nothing.limit(0.5).high == math.inf
    assert everything.limit(0.5).size == pytest.approx(5)
    half = family.fit((np.arange(60) % 10 < 6) & (sizes > 30))
    assert half.limit(0.5).size < math.inf
    assert half.limit(0.9).size == math.inf


def test_few_units_have_no_interval():
    sizes = np.geomspace(5, 500, 60)
    limit = CurveFamily(sizes, np.arange(60) % 4).fit(sizes > 50).limit(0.5)
    assert math.isnan(limit.low)
    assert math.isnan(limit.high)
    assert 40 < limit.size < 60


@settings(max_examples=25, deadline=None)
@given(st.lists(st.booleans(), min_size=5, max_size=40), st.integers(0, 1000))
def test_every_curve_rises_and_sizes_rise_with_the_probability(found, seed):
    sizes = np.random.default_rng(seed).uniform(3, 900, len(found))
    fitted = CurveFamily(sizes, np.arange(len(found)), n_resamples=10).fit(found)
    for curve in (fitted.curve, *fitted.resampled):
        at = np.geomspace(1, 1000, 50)
        assert (np.diff(curve.probability(at)) >= 0).all()
        assert curve.size_at(0.5) <= curve.size_at(0.9)


def test_the_size_at_a_probability_is_the_inverse_of_the_curve():
    curve = DetectionCurve(math.log(40), 2.0, 0.9, (1.0, 1000.0))
    assert curve.probability([curve.size_at(0.5)])[0] == pytest.approx(0.5)
    assert DetectionCurve(math.log(40), 2.0, 0.9, (1.0, 42.0)).size_at(0.8) == math.inf
