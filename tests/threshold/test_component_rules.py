"""Masks of the rules that keep some components, and of those with a threshold for each scan, against plain loops."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage, optimize, special

from cordlesion.errors import CordlesionError
from cordlesion.metrics import RULES, binarize, evaluate
from cordlesion.threshold.adaptive import FINE, LOGITS, SLOPES, RankDice, VolumeAdaptive, calibrate
from cordlesion.threshold.components import PeakThreshold, TopComponents
from cordlesion.threshold.fixed import GlobalThreshold
from cordlesion.threshold.rule import TuningScan

SPACING = (1.0, 0.5, 2.0)
VALUES = np.array([0, 0.1, 0.3, 0.35, 0.5, 0.7, 0.9, 0.95, 1], dtype=np.float32)
FACTS = {"objective": "mean_voxel_f1", "interval": None}
seeds = st.integers(0, 2**32 - 1)


def random_map(seed):
    rng = np.random.default_rng(seed)
    return rng.choice(VALUES, size=rng.integers(1, 7, 3), p=rng.dirichlet(np.ones(len(VALUES))))


def components(p, t, connectivity):
    structure = ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
    labels, n = ndimage.label(p >= np.float32(t), structure)
    return [labels == number for number in range(1, n + 1)]


@settings(deadline=None, max_examples=100)
@given(seeds, st.sampled_from(VALUES.tolist()), st.sampled_from(VALUES.tolist()), st.sampled_from([0, 1, 2.5, 7]),
       st.sampled_from([6, 18, 26]))  # fmt: skip
def test_a_peak_and_a_volume_keep_components(seed, t, peak, volume, connectivity):
    p = random_map(seed)
    rule = PeakThreshold(value=t, peak=peak, minimum_volume_mm3=volume, connectivity=connectivity, **FACTS)
    expected = np.zeros(p.shape, bool)
    for component in components(p, t, connectivity):
        if p[component].max() >= np.float32(peak) and component.sum() * 1.0 > volume:
            expected |= component
    np.testing.assert_array_equal(rule.binarize(p, SPACING), expected)


@settings(deadline=None, max_examples=100)
@given(seeds, st.sampled_from(VALUES.tolist()), st.integers(1, 4), st.sampled_from([6, 18, 26]))
def test_a_number_keeps_the_components_of_the_highest_peaks(seed, t, most, connectivity):
    p = random_map(seed)
    rule = TopComponents(value=t, most=most, connectivity=connectivity, **FACTS)
    found = sorted(components(p, t, connectivity), key=lambda component: -p[component].max())
    expected = np.zeros(p.shape, bool)
    for component in found[:most]:
        expected |= component
    np.testing.assert_array_equal(rule.binarize(p, SPACING), expected)


@settings(deadline=None, max_examples=100)
@given(seeds, st.integers(0, len(FINE) - 1), st.sampled_from(SLOPES))
def test_a_slope_moves_the_threshold_with_the_volume(seed, start, slope):
    p = random_map(seed)
    rule = VolumeAdaptive(value=FINE[start], slope=slope, **FACTS)
    volume = np.sum(binarize(p, FINE[start])) * 1.0
    moved = LOGITS[start] + slope * math.log(min(max(volume / 100, 0.1), 10))
    t = rule.threshold_in(p, SPACING)
    nearest = FINE[np.abs(LOGITS - moved).argmin()]
    assert abs(special.logit(t) - special.logit(nearest)) < 0.11  # the nearest, or the other of two that are as near
    np.testing.assert_array_equal(rule.binarize(p, SPACING), binarize(p, t))


@settings(deadline=None, max_examples=100)
@given(seeds, st.floats(0.3, 3), st.floats(-2, 2), st.sampled_from([0, 0.2, 0.5]))
def test_the_expected_dice_is_that_of_sorted_probabilities(seed, scale, shift, least):
    """Sorted one by one, without bins: the fine thresholds lose little."""
    p = np.random.default_rng(seed).beta(0.3, 2, (4, 5, 6)).astype(np.float32)
    rule = RankDice(scale=scale, shift=shift, least_expected_dice=least, **FACTS)
    calibrated = np.sort(special.expit(scale * special.logit(p[p >= FINE[0]].astype(float)) + shift))[::-1]
    dice = 2 * calibrated.cumsum() / (calibrated.sum() + np.arange(1, len(calibrated) + 1) + 1)
    mask = rule.binarize(p, SPACING)
    if dice.max() < least - 0.02:
        assert not mask.any()
    if dice.max() > least + 0.02:
        assert dice[mask.sum() - 1] >= dice.max() - 0.01
        assert p[mask].min() > p[~mask].max()


def scans(n, shift=0.0):
    rng = np.random.default_rng(0)
    made = []
    for number in range(n):
        lesion = ndimage.gaussian_filter(rng.normal(size=(12, 12, 12)), 2) > 0.08
        logit = np.where(lesion, 1.0, -2.0) + rng.normal(0, 1.5, lesion.shape) + shift
        name = f"sub-{number}"
        made.append(TuningScan(name, name, lesion, special.expit(logit).astype(np.float32), SPACING))
    return made


def measured(rule, some):
    return pd.concat([rule.measure(scan, RULES["study"]) for scan in some], ignore_index=True)


def test_the_calibration_is_that_of_a_logistic_regression_on_all_voxels():
    some = scans(6, shift=-1.0)
    scaling = calibrate(measured(RankDice, some))
    logit = np.concatenate([special.logit(scan.probability.ravel().astype(float)) for scan in some])
    lesion = np.concatenate([scan.reference.ravel() for scan in some])
    looked_at = logit > LOGITS[0]

    def loss(x):
        linear = x[0] * logit[looked_at] + x[1]
        return np.mean(np.logaddexp(0, linear) - lesion[looked_at] * linear)

    np.testing.assert_allclose([scaling.scale, scaling.shift], optimize.minimize(loss, [1, 0]).x, atol=0.01)


def test_maps_without_a_lesion_voxel_cannot_be_calibrated():
    some = [TuningScan("a", "a", np.zeros((4, 4, 4), bool), np.full((4, 4, 4), 0.5, np.float32), SPACING)]
    with pytest.raises(CordlesionError, match="cannot be calibrated: 0 of 64 are"):
        calibrate(measured(RankDice, some))


@pytest.mark.parametrize("kind", [GlobalThreshold, PeakThreshold, TopComponents, VolumeAdaptive, RankDice])
def test_the_metrics_of_a_mask_are_a_row_of_what_was_measured(kind):
    some = scans(5)
    rule = kind.fit(measured(kind, some), "mean_lesion_f1", RULES["study"])
    for scan in some:
        expected = vars(evaluate(scan.reference, rule.binarize(scan.probability, SPACING), SPACING))
        table = kind.measure(scan, RULES["study"])
        assert (table[list(expected)] == pd.Series(expected)).all(axis=1).any()


@pytest.mark.parametrize("kind", [PeakThreshold, TopComponents, VolumeAdaptive, RankDice])
def test_the_score_of_the_fit_is_that_of_the_masks(kind):
    some = scans(8)
    rule = kind.fit(measured(kind, some), "mean_voxel_f1", RULES["study"])
    scores = [evaluate(one.reference, rule.binarize(one.probability, SPACING), SPACING).voxel_f1 for one in some]
    table = measured(kind, some)
    best_fixed = table.groupby("threshold")["voxel_f1"].mean().max() if kind is VolumeAdaptive else 0
    assert np.mean(scores) >= best_fixed - 0.02
    assert np.mean(scores) > 0.5


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_settings_are_finite_numbers(value):
    with pytest.raises(ValidationError, match="finite number"):
        VolumeAdaptive(value=0.3, slope=value, **FACTS)
    with pytest.raises(ValidationError, match="finite number"):
        RankDice(scale=1, shift=value, least_expected_dice=0, **FACTS)
