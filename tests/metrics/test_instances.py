"""Matches of instances and the score of MS-Multi-Spine, against plain loops over the challenge's definition."""

import math
from itertools import pairwise

import numpy as np
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.metrics import MatchedInstances, match_instances, multi_spine_score

RATES = (0.25, 0.5, 1, 2, 3)


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


def sensitivity_and_rate(images, threshold):
    """The definition at one threshold, image by image and pair by pair."""
    sensitivities, false_lesions = [], []
    for reference, prediction, p in images:
        detected, true = set(), set()
        numbers = [n for n in np.unique(reference) if n > 0]
        for lesion in numbers:
            for candidate in range(1, prediction.max() + 1):
                a, b = reference == lesion, prediction == candidate
                iou = (a & b).sum() / (a | b).sum()
                if iou >= 0.2:
                    true.add(candidate)
                    if p[candidate - 1] >= threshold:
                        detected.add(lesion)
        kept = [c for c in range(1, prediction.max() + 1) if p[c - 1] >= threshold]
        false_lesions.append(sum(c not in true for c in kept))
        if numbers:
            sensitivities.append(len(detected) / len(numbers))
    return (np.mean(sensitivities) if sensitivities else math.nan), np.mean(false_lesions)


def score_by_plain_loop(images):
    thresholds = sorted({0.0, 1.0, *(value for _, _, p in images for value in p)})
    points = [sensitivity_and_rate(images, t) for t in thresholds]
    found = []
    for wanted in RATES:
        if points[0][1] <= wanted:  # all predicted lesions
            found.append(points[0][0])
        elif points[-1][1] > wanted:
            found.append(points[-1][0])
        else:
            for (s_low, r_low), (s_high, r_high) in pairwise(points):
                if r_low == wanted:
                    found.append(s_low)
                    break
                if r_low > wanted > r_high:
                    found.append(s_high + (s_low - s_high) * (wanted - r_high) / (r_low - r_high))
                    break
            else:
                found.append(points[-1][0])
    return found


@pytest.mark.parametrize("seed", range(50))
def test_the_score_is_that_of_the_published_definition(seed):
    images = images_of_case(seed)
    got = multi_spine_score([match_instances(*image) for image in images])
    expected = score_by_plain_loop(images)
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
