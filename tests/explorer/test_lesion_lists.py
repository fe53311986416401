from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.explorer.lesion_lists import evaluate_thresholds, find_reference_lesions
from cordlesion.metrics import LesionRule, binarize, match_lesions, sweep
from oracles.lesion_oracle import components

SPACING_MM = (0.5, 1.0, 2.0)
VALUES = np.array([0, 0.1, 0.25, 0.5, 0.7, 0.9, 1], np.float32)
THRESHOLDS = [0.0, 0.05, 0.1, 0.25, 0.3, 0.5, 0.9, 1.0]

rules = st.builds(
    LesionRule,
    min_volume_mm3=st.sampled_from([0, 1, 3]),
    connectivity=st.sampled_from([6, 18, 26]),
    min_iou=st.sampled_from([0, 0.2]),
    one_to_one=st.booleans(),
)


@st.composite
def scans(draw):
    """Draw a reference, a post-processed map and the original map, from empty to full, in C or Fortran order."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(*[st.integers(1, 6)] * 3))
    reference = rng.random(shape) < draw(st.sampled_from([0, 0.1, 0.4, 1]))
    p = rng.choice(VALUES, size=shape, p=rng.dirichlet(np.ones(len(VALUES))))
    processed = np.where(rng.random(shape) < draw(st.sampled_from([0, 0.2])), np.float32(0), p)
    arrays = [np.pad(array, draw(st.sampled_from([0, 2]))) for array in (reference,)]
    pad = (arrays[0].shape[0] - shape[0]) // 2
    arrays += [np.pad(processed, pad), np.pad(p, pad)]
    return [np.asfortranarray(array) for array in arrays] if draw(st.booleans()) else arrays


def cut(scan, rule):
    reference, processed, p = scan
    voxel_mm3 = float(np.prod(SPACING_MM))
    lesions = find_reference_lesions(reference, rule, voxel_mm3)
    return lesions, evaluate_thresholds(lesions, processed, p, THRESHOLDS, rule, voxel_mm3)


@settings(deadline=None, max_examples=40)
@given(scans(), rules)
def test_metrics_equal_the_sweep(scan, rule):
    _, cuts = cut(scan, rule)
    swept = sweep(scan[0], scan[1], SPACING_MM, THRESHOLDS, rule)
    for found, expected in zip(cuts, swept, strict=True):
        assert asdict(found.metrics) == pytest.approx(asdict(expected), nan_ok=True, rel=1e-12)


@settings(deadline=None, max_examples=40)
@given(scans(), rules)
def test_lesions_are_evaluated_as_at_a_single_threshold(scan, rule):
    lesions, cuts = cut(scan, rule)
    for found, threshold in zip(cuts, THRESHOLDS, strict=True):
        expected = match_lesions(scan[0], binarize(scan[1], threshold), SPACING_MM, rule)
        assert found.detected[lesions.counted].tolist() == expected.detected.tolist()
        assert not found.detected[~lesions.counted].any()
        assert found.predicted.true.tolist() == expected.true_predicted.tolist()
        assert found.predicted.sizes.tolist() == pytest.approx(expected.predicted_volumes_mm3 / np.prod(SPACING_MM))
        assert found.metrics.n_detected_lesions == found.detected.sum()


@settings(deadline=None, max_examples=40)
@given(scans(), rules)
def test_peaks_are_the_highest_probability_of_each_lesion(scan, rule):
    _, processed, p = scan
    _, cuts = cut(scan, rule)
    for found, threshold in zip(cuts, THRESHOLDS, strict=True):
        voxels = components(binarize(processed, threshold), rule.connectivity, rule.min_volume_mm3, np.prod(SPACING_MM))
        assert len(voxels) == len(found.predicted.sizes)
        for component, place, peak in zip(voxels, found.predicted.places, found.predicted.peaks, strict=True):
            assert tuple(place) in component
            assert p[tuple(place)] == peak == max(p[voxel] for voxel in component)


@settings(deadline=None, max_examples=40)
@given(scans(), rules)
def test_reference_lesions_are_all_components_and_their_places_are_inside(scan, rule):
    lesions, _ = cut(scan, rule)
    expected = components(scan[0], rule.connectivity, 0, 1)
    assert lesions.components.sizes.tolist() == [len(component) for component in expected]
    assert lesions.counted.tolist() == [len(c) * np.prod(SPACING_MM) > rule.min_volume_mm3 for c in expected]
    for place, component in zip(lesions.places, expected, strict=True):
        assert tuple(place) in component


def test_the_place_of_a_curved_lesion_is_inside_it():
    ring = np.zeros((5, 5, 1), bool)
    ring[[0, -1]] = ring[:, [0, -1]] = True
    lesions = find_reference_lesions(ring, LesionRule(), 1.0)
    assert ring[tuple(lesions.places[0])]
