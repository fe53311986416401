"""All combinations of threshold, peak and minimum volume are those of a plain loop over them."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_masks import VALUES, maps, rules, spacings
from scipy import ndimage

from cordlesion.errors import CordlesionError
from cordlesion.metrics import LesionRule, evaluate, sweep, sweep_highest, sweep_peaks

STRUCTURE = {6: 1, 18: 2, 26: 3}
CUTS = st.sets(st.sampled_from(VALUES.tolist()), min_size=1)
VOLUMES = st.sets(st.sampled_from([0.0, 1.0, 2.5, 6.0]), min_size=1)


def kept_by_plain_loop(p, t, peak, volume, voxel_mm3, connectivity):
    labels, n = ndimage.label(p >= np.float32(t), ndimage.generate_binary_structure(3, STRUCTURE[connectivity]))
    mask = np.zeros(p.shape, bool)
    for number in range(1, n + 1):
        component = labels == number
        if p[component].max() >= np.float32(peak) and component.sum() * voxel_mm3 > volume:
            mask |= component
    return mask


@settings(deadline=None, max_examples=150)
@given(maps(), CUTS, CUTS, VOLUMES, rules, spacings)
def test_every_combination_is_that_of_a_plain_loop(scan, cuts, peaks, volumes, rule, spacing):
    reference, p = scan
    cuts, peaks, volumes = sorted(cuts), sorted(peaks), sorted(volumes)
    swept = sweep_peaks(reference, p, spacing, cuts, peaks, volumes, rule)
    assert swept.places.shape == (len(cuts), len(peaks), len(volumes))
    for place, number in np.ndenumerate(swept.places):
        t, peak, volume = (values[k] for values, k in zip((cuts, peaks, volumes), place, strict=True))
        mask = kept_by_plain_loop(p, t, peak, volume, np.prod(spacing), rule.connectivity)
        expected = evaluate(reference, mask, spacing, rule)
        np.testing.assert_array_equal(astuple(swept.measured[number]), astuple(expected))


def highest_by_plain_loop(p, t, number, connectivity):
    labels, n = ndimage.label(p >= np.float32(t), ndimage.generate_binary_structure(3, STRUCTURE[connectivity]))
    peaks = sorted((-p[labels == k].max(), k) for k in range(1, n + 1))
    return np.isin(labels, [k for _, k in peaks[:number]])


@settings(deadline=None, max_examples=60)
@given(maps(), CUTS, st.sets(st.integers(1, 5), min_size=1), rules, spacings)
def test_the_highest_components_are_those_of_a_plain_loop(scan, cuts, numbers, rule, spacing):
    reference, p = scan
    cuts, numbers = sorted(cuts), sorted(numbers)
    swept = sweep_highest(reference, p, spacing, cuts, numbers, rule)
    for (t, k), place in np.ndenumerate(swept.places):
        expected = evaluate(reference, highest_by_plain_loop(p, cuts[t], numbers[k], rule.connectivity), spacing, rule)
        np.testing.assert_array_equal(astuple(swept.measured[place]), astuple(expected))


@settings(deadline=None, max_examples=30)
@given(maps(), CUTS, rules)
def test_the_lowest_peak_and_no_minimum_volume_give_the_sweep_of_thresholds(scan, cuts, rule):
    reference, p = scan
    swept = sweep_peaks(reference, p, (1, 1, 1), sorted(cuts), [0.0], [0.0], rule)
    for number, expected in zip(swept.places[:, 0, 0], sweep(reference, p, (1, 1, 1), sorted(cuts), rule), strict=True):
        np.testing.assert_array_equal(astuple(swept.measured[number]), astuple(expected))


def test_a_column_has_the_metric_of_each_combination():
    reference, p = np.zeros((2, 6, 6, 6), np.float32)
    reference[1:3, 1:3, 1:3] = 1
    p[1:3, 1:3, 1:3] = p[5, 5, 5] = 0.6
    swept = sweep_peaks(reference, p, (1, 1, 1), [0.5], [0.5, 0.7], [0.0, 2.0], LesionRule(min_volume_mm3=0))
    assert swept.column("n_predicted_lesions").tolist() == [[[2, 1], [0, 0]]]
    assert swept.column("voxel_precision").round(3).tolist() == [[[0.889, 1.0], [0.0, 0.0]]]


@pytest.mark.parametrize("cuts", [[0.5, 0.5], [0.5, 0.4], []])
def test_thresholds_that_do_not_rise_are_refused(cuts):
    with pytest.raises(CordlesionError, match="each higher than the last"):
        sweep_peaks(np.zeros((3, 3, 3)), np.zeros((3, 3, 3)), (1, 1, 1), cuts, [0.5])


def test_without_a_volume_or_number_there_is_nothing_to_measure():
    empty = np.zeros((3, 3, 3))
    with pytest.raises(CordlesionError, match="one or more are needed"):
        sweep_peaks(empty, empty, (1, 1, 1), [0.5], [0.5], [])
    with pytest.raises(CordlesionError, match="each at least 1"):
        sweep_highest(empty, empty, (1, 1, 1), [0.5], [np.nan])
