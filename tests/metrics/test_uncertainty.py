"""Measures of uncertainty against their definitions, voxel by voxel."""

import math
from statistics import pstdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from cordlesion.metrics.uncertainty import OF_ONE, OF_SEVERAL, lesion_disagreement, voxel_uncertainty

shares = st.floats(0, 1, width=32)


@given(st.lists(st.lists(shares, min_size=3, max_size=3), min_size=2, max_size=5), shares)
def test_every_measure_is_what_its_definition_says(rows, threshold):
    p = np.array(rows, np.float32)
    found = voxel_uncertainty(p, threshold)
    assert tuple(found) == OF_SEVERAL
    for v in range(3):
        column = [float(value) for value in p[:, v]]
        mean = sum(column) / len(column)
        total = entropy([mean, 1 - mean])
        within = sum(entropy([q, 1 - q]) for q in column) / len(column)
        assert found["entropy"][v] == pytest.approx(total, abs=1e-6)
        assert found["margin"][v] == pytest.approx(-abs(mean - threshold), abs=1e-6)
        assert found["spread"][v] == pytest.approx(pstdev(column), abs=1e-6)
        assert found["mutual_information"][v] == pytest.approx(total - within, abs=1e-6)
        assert found["mutual_information"][v] >= 0


def test_one_network_has_no_spread():
    found = voxel_uncertainty(np.array([[0.0, 0.5, 1.0]], np.float32), 0.4)
    assert tuple(found) == OF_ONE
    np.testing.assert_allclose(found["entropy"], [0, math.log(2), 0])


def box(x: int, n: int, shape=(6, 4, 4)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[x : x + n, 1, 1] = True
    return mask


def test_disagreement_is_the_mean_of_what_the_best_component_of_each_network_lacks():
    lesion = np.argwhere(box(0, 4)).astype(np.int32)
    torn = box(0, 1) | box(2, 2)  # two pieces, of which the larger one counts: 2 of 4
    masks = [box(0, 4), box(2, 4), box(0, 0), torn]
    expected = 1 - np.mean([1, 2 / 6, 0, 2 / 4])
    assert lesion_disagreement([lesion], masks, 6) == pytest.approx([expected])


def test_networks_that_agree_about_every_lesion_leave_nothing_in_doubt():
    first, second = box(0, 2), box(4, 2)
    both = first | second
    lesions = [np.argwhere(one).astype(np.int32) for one in (first, second)]
    assert lesion_disagreement(lesions, [both, both], 6) == pytest.approx([0, 0])
    assert lesion_disagreement([], [both], 6).shape == (0,)
