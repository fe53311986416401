"""Matches of instances and the score of MS-Multi-Spine, against plain loops over the challenge's definition."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_masks import rules, seeds, shapes, spacings
from scipy import ndimage

from cordlesion.errors import CordlesionError
from cordlesion.lesions.ranking import rank_lesions
from cordlesion.metrics import (
    RULES,
    MatchedInstances,
    evaluate,
    evaluate_rules,
    lesions_of_labels,
    match_components,
    match_instances,
    merged_lesions,
    multi_spine_score,
    split_lesions,
)
from cordlesion.metrics.instances import match_given, weighted_multi_spine_scores
from oracles import lesion_oracle, multi_spine_oracle


def random_image(rng):
    """Blocks that overlap by chance, and probabilities with ties."""
    labels = np.zeros((2, 14, 14, 14), int)
    for mask, most in zip(labels, (4, 6), strict=True):
        for number in range(1, rng.integers(0, most + 1) + 1):
            low = rng.integers(0, 10, 3)
            high = low + rng.integers(1, 5, 3)
            mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = number
    # Later blocks may cover earlier ones: predicted numbers are made to follow one another.
    prediction = np.searchsorted(np.unique(labels[1][labels[1] > 0]), labels[1]) + 1
    prediction = np.where(labels[1] > 0, prediction, 0)
    return labels[0], prediction, rng.choice([0.1, 0.3, 0.5, 0.7, 0.9, 1.0], prediction.max())


def images_of_case(seed):
    rng = np.random.default_rng(seed)
    return [random_image(rng) for _ in range(rng.integers(1, 7))]


@pytest.mark.parametrize("seed", range(50))
def test_the_score_is_that_of_the_published_definition(seed):
    images = images_of_case(seed)
    got = multi_spine_score([match_instances(*image) for image in images])
    numbered = [(reference, prediction, dict(enumerate(p, start=1))) for reference, prediction, p in images]
    expected = multi_spine_oracle.sensitivities(numbered)
    np.testing.assert_allclose(got.sensitivities, expected, rtol=1e-12)
    np.testing.assert_allclose(got.score, np.mean(expected), rtol=1e-12)


def test_of_thresholds_with_the_wanted_rate_the_lowest_counts():
    images = [MatchedInstances(np.array([0.9, 0.2]), np.array([0.5])), MatchedInstances(np.array([]), np.array([0.1]))]
    assert multi_spine_score(images, [0.5]).sensitivities == (1.0,)


def test_without_lesions_there_is_no_sensitivity():
    assert math.isnan(multi_spine_score([MatchedInstances(np.array([]), np.array([0.4]))]).score)


def test_mistakes_get_a_sentence():
    empty = np.zeros((3, 3, 3), int)
    with pytest.raises(CordlesionError, match="no image"):
        multi_spine_score([])
    with pytest.raises(CordlesionError, match=r"1 predicted lesions and probabilities of shape \(2,\)"):
        match_instances(empty, empty + 1, [0.5, 0.6])
    with pytest.raises(CordlesionError, match="from 0 to 1 is needed"):
        match_instances(empty, empty + 1, [1.5])
    with pytest.raises(CordlesionError, match="whole numbers are needed"):
        match_instances(empty + 0.5, empty, [])
    with pytest.raises(CordlesionError, match="whole numbers are needed"):
        match_instances(np.full((3, 3, 3), np.nan), empty, [])


@pytest.mark.parametrize("seed", range(20))
def test_components_of_a_map_have_their_highest_value(seed):
    rng = np.random.default_rng(seed)
    reference = ndimage.gaussian_filter(rng.normal(size=(12, 11, 10)), 1.2) > 0.12
    inside = ndimage.gaussian_filter(rng.random(reference.shape), 1) > 0.52
    p = rng.choice([0.1, 0.4, 0.6, 0.9], reference.shape) * inside
    mask, every = p > 0.3, np.ones((3, 3, 3))
    lesions, candidates = (ndimage.label(one, every)[0] for one in (reference, mask))
    peaks = [p[candidates == k].max() for k in range(1, candidates.max() + 1)]
    expected, got = match_instances(lesions, candidates, peaks), match_components(reference, mask, p)
    np.testing.assert_array_equal(got.detected_at, expected.detected_at)
    np.testing.assert_array_equal(got.false, expected.false)


def test_weights_are_images_that_occur_several_times():
    rng = np.random.default_rng(0)
    images = [match_instances(*random_image(rng)) for _ in range(6)]
    weights = rng.multinomial(6, np.full(6, 1 / 6), size=20)
    got = weighted_multi_spine_scores(images, weights)
    drawn = [[one for one, n in zip(images, sample, strict=True) for _ in range(n)] for sample in weights]
    np.testing.assert_allclose(got, [multi_spine_score(sample).score for sample in drawn], rtol=1e-12)


def test_the_interval_counts_subjects():
    rng = np.random.default_rng(1)
    images = [match_instances(*random_image(rng)) for _ in range(10)]
    few = rank_lesions(images, [str(n % 4) for n in range(10)])
    assert few.interval is None
    low, high = rank_lesions(images, [str(n) for n in range(10)]).interval
    assert low <= few.score <= high
    twice = rank_lesions(images * 2, [str(n) for n in range(10)] * 2)
    assert twice.interval == (low, high)  # twice the scans, but the same people
    assert rank_lesions(images, ["a"] * 10).record()["n_scans"] == 10


@st.composite
def label_images(draw):
    """Two images of lesions that touch each other or are in pieces, with numbers that do not follow one another."""
    shape, rng = draw(shapes), np.random.default_rng(draw(seeds))
    numbers = np.array([0, 0, 2, 3, 40, 1000])
    return [rng.choice(numbers, shape, p=rng.dirichlet(np.ones(len(numbers)))) for _ in range(2)]


@settings(deadline=None, max_examples=200)
@given(label_images(), spacings, rules, st.sampled_from(["both", "reference", "prediction"]))
def test_given_lesions_are_scored_as_by_plain_loops(labels, spacing_mm, rule, which):
    given_side = [which in ("both", name) for name in ("reference", "prediction")]
    sides = [one if is_given else one > 0 for one, is_given in zip(labels, given_side, strict=True)]
    expected = lesion_oracle.evaluate(*sides, spacing_mm, rule)
    lesions = [lesions_of_labels(one) if one.dtype != bool else one for one in sides]
    got = evaluate(*lesions, spacing_mm, rule)
    assert vars(got) == pytest.approx(expected, nan_ok=True, rel=1e-12)
    voxels = evaluate(labels[0] > 0, labels[1] > 0, spacing_mm, rule)
    assert got.voxel_f1 == pytest.approx(voxels.voxel_f1, nan_ok=True)
    many = np.prod(spacing_mm)
    counted = [lesion_oracle.lesions_of(one, rule, many) for one in sides]
    assert split_lesions(*lesions, spacing_mm, rule=rule) == holding_several(*counted)
    assert merged_lesions(*lesions, spacing_mm, rule=rule) == holding_several(*counted[::-1])


def holding_several(holders, held):
    return sum(sum(len(one & other) > len(other) / 2 for other in held) >= 2 for one in holders)


@pytest.mark.parametrize("seed", range(10))
def test_where_components_are_given_nothing_changes(seed):
    rng = np.random.default_rng(seed)
    masks = [ndimage.gaussian_filter(rng.normal(size=(14, 13, 12)), 1.3) > 0.15 for _ in range(2)]
    for name, rule in RULES.items():
        structure = ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[rule.connectivity])
        lesions = [lesions_of_labels(ndimage.label(mask, structure)[0]) for mask in masks]
        expected = evaluate(*masks, (0.5, 1, 2), name)
        assert evaluate(*lesions, (0.5, 1, 2), name) == evaluate(lesions[0], masks[1], (0.5, 1, 2), name) == expected
        assert evaluate_rules(*lesions, (0.5, 1, 2), {name: rule})[name] == expected
    p = rng.random(masks[0].shape)
    every = [lesions_of_labels(ndimage.label(mask, np.ones((3, 3, 3)))[0]) for mask in masks]
    expected, got = match_components(*masks, p), match_components(*every, p)
    np.testing.assert_array_equal(got.detected_at, expected.detected_at)
    np.testing.assert_array_equal(got.false, expected.false)


def test_the_order_of_probabilities_is_that_of_the_numbers():
    labels = np.zeros((6, 6, 6), int)
    labels[:2], labels[2:4], labels[4:] = 30, 7, 12
    found = match_given(lesions_of_labels(labels), lesions_of_labels(labels), np.array([0.7, 0.1, 0.3]))
    assert lesions_of_labels(labels).numbers.tolist() == [7, 12, 30]
    assert found.detected_at.tolist() == [0.7, 0.1, 0.3]


def test_lesions_of_another_shape_or_of_parts_of_numbers_are_refused():
    one = lesions_of_labels(np.ones((3, 3, 3), int))
    with pytest.raises(CordlesionError, match=r"has shape \(3, 3, 4\) but the reference has \(3, 3, 3\)"):
        evaluate(one, np.ones((3, 3, 4), bool), (1, 1, 1))
    with pytest.raises(CordlesionError, match=r"The prediction has values from -1 to -1; whole numbers are needed"):
        lesions_of_labels(-np.ones((3, 3, 3)), "prediction")
