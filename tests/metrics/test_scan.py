"""All metrics of one mask: properties, edge cases, and a second implementation in plain loops."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_masks import rules, spacings, volumes

from cordlesion.errors import CordlesionError
from cordlesion.metrics import METRICS, RULES, ScanMetrics, evaluate, evaluate_rules, match_lesions
from oracles import lesion_oracle

FIELDS = [
    "voxel_sensitivity",
    "voxel_precision",
    "voxel_f1",
    "lesion_sensitivity",
    "lesion_precision",
    "lesion_f1",
    "n_reference_lesions",
    "n_detected_lesions",
    "n_predicted_lesions",
    "n_true_predicted_lesions",
    "reference_volume_mm3",
    "predicted_volume_mm3",
]


def assert_same(got, expected):
    assert dataclasses.asdict(got) == pytest.approx(dataclasses.asdict(expected), nan_ok=True, rel=1e-12)


def swapped(m):
    return (m.lesion_precision, m.lesion_sensitivity, m.lesion_f1, m.voxel_precision, m.voxel_sensitivity, m.voxel_f1)


def unswapped(m):
    return (m.lesion_sensitivity, m.lesion_precision, m.lesion_f1, m.voxel_sensitivity, m.voxel_precision, m.voxel_f1)


def test_fields_are_the_contract():
    fields = [field.name for field in dataclasses.fields(ScanMetrics)]
    assert fields[: len(FIELDS)] == FIELDS
    assert fields == list(METRICS)


@settings(deadline=None, max_examples=500)
@given(volumes(), spacings, rules)
def test_agrees_with_plain_loops(masks, spacing_mm, rule):
    expected = lesion_oracle.evaluate(*masks, spacing_mm, rule)
    assert dataclasses.asdict(evaluate(*masks, spacing_mm, rule)) == pytest.approx(expected, nan_ok=True, rel=1e-12)


@settings(deadline=None, max_examples=200)
@given(volumes(), spacings, rules)
def test_every_lesion_agrees_with_plain_loops(masks, spacing_mm, rule):
    volumes_mm3, detected, predicted_mm3, true = lesion_oracle.match(*masks, spacing_mm, rule)
    matches = match_lesions(*masks, spacing_mm, rule)
    np.testing.assert_allclose(matches.reference_volumes_mm3, volumes_mm3)
    np.testing.assert_allclose(matches.predicted_volumes_mm3, predicted_mm3)
    assert (matches.detected.tolist(), matches.true_predicted.tolist()) == (detected, true)
    assert evaluate(*masks, spacing_mm, rule).n_false_lesions == true.count(False)


@settings(deadline=None)
@given(volumes(), spacings)
def test_all_rules_at_once_are_one_evaluation_per_rule(masks, spacing_mm):
    metrics = evaluate_rules(*masks, spacing_mm)
    assert list(metrics) == list(RULES)
    for name, m in metrics.items():
        assert_same(m, evaluate(*masks, spacing_mm, name))


@settings(deadline=None)
@given(volumes(), rules)
def test_swapping_the_masks_swaps_sensitivity_and_precision(masks, rule):
    there, back = evaluate(*masks, (1, 1, 1), rule), evaluate(*masks[::-1], (1, 1, 1), rule)
    assume(there.n_reference_lesions and there.n_predicted_lesions)
    assert unswapped(there) == pytest.approx(swapped(back))


@settings(deadline=None)
@given(volumes(n=1), rules)
def test_a_mask_agrees_with_itself(masks, rule):
    rule = dataclasses.replace(rule, min_overlap_voxels=1)  # a lesion of one voxel can share no more
    m = evaluate(masks[0], masks[0], (1, 1, 1), rule)
    assume(m.n_reference_lesions)
    assert unswapped(m) == (1,) * 6


@settings(deadline=None)
@given(volumes(), spacings, rules, st.permutations(range(3)), st.tuples(*[st.integers(0, 3)] * 6))
def test_axes_place_and_margin_do_not_matter(masks, spacing_mm, rule, axes, margin):
    moved = [np.pad(mask.transpose(axes), [margin[0:2], margin[2:4], margin[4:6]]) for mask in masks]
    turned_mm = tuple(spacing_mm[axis] for axis in axes)
    assert_same(evaluate(*moved, turned_mm, rule), evaluate(*masks, spacing_mm, rule))
    assert_same(evaluate(*map(np.asfortranarray, masks), spacing_mm, rule), evaluate(*masks, spacing_mm, rule))


def scan(n_reference, n_predicted):
    """Masks of 64 voxels of 1 mm with the first voxels set."""
    masks = [np.zeros(64, dtype=bool) for _ in range(2)]
    masks[0][:n_reference] = True
    masks[1][:n_predicted] = True
    return [mask.reshape(4, 4, 4) for mask in masks]


def test_empty_reference_is_undefined_but_counted():
    m = evaluate(*scan(0, 10), (1, 1, 1))
    assert all(math.isnan(value) for value in unswapped(m))
    assert (m.n_reference_lesions, m.n_predicted_lesions, m.n_true_predicted_lesions) == (0, 1, 0)
    assert (m.reference_volume_mm3, m.predicted_volume_mm3) == (0, 10)


def test_nothing_anywhere():
    m = evaluate(*scan(0, 0), (1, 1, 1))
    assert all(math.isnan(value) for value in unswapped(m))
    assert (m.n_reference_lesions, m.n_predicted_lesions, m.predicted_volume_mm3) == (0, 0, 0)


def test_empty_prediction_is_a_failure():
    m = evaluate(*scan(10, 0), (1, 1, 1))
    assert unswapped(m) == (0,) * 6
    assert (m.n_reference_lesions, m.n_predicted_lesions) == (1, 0)


def test_reference_with_small_lesions_only():
    m = evaluate(*scan(3, 10), (1, 1, 1))
    assert (m.voxel_sensitivity, m.voxel_precision) == (1, 0.3)
    assert math.isnan(m.lesion_sensitivity + m.lesion_precision + m.lesion_f1)
    assert (m.n_reference_lesions, m.reference_volume_mm3) == (0, 3)


def test_prediction_with_small_lesions_only():
    m = evaluate(*scan(10, 3), (1, 1, 1))
    assert unswapped(m)[:3] == (0, 0, 0)
    assert m.voxel_precision == 1
    assert (m.n_predicted_lesions, m.predicted_volume_mm3) == (0, 3)


def test_mask_of_all_ones_is_one_lesion():
    m = evaluate(*scan(64, 64), (1, 1, 1))
    assert unswapped(m) == (1,) * 6
    assert (m.n_reference_lesions, m.n_predicted_lesions) == (1, 1)


def test_bad_input_is_refused():
    mask = np.ones((2, 3, 4), dtype=bool)
    with pytest.raises(CordlesionError, match=r"prediction has shape \(2, 3, 5\) but the reference has \(2, 3, 4\)"):
        evaluate(mask, np.ones((2, 3, 5)), (1, 1, 1))
    with pytest.raises(CordlesionError, match="prediction has values other than 0 and 1"):
        match_lesions(mask, mask * 2, (1, 1, 1))
    with pytest.raises(CordlesionError, match="spacing"):
        evaluate_rules(mask, mask, (1, 1, 0))
    with pytest.raises(CordlesionError, match="choose one of study, anima"):
        evaluate(mask, mask, (1, 1, 1), "unknown")
