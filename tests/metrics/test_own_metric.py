"""Metrics of the user: a function of two masks at every threshold, equal to a loop, and refused with a sentence."""
# ruff: noqa: ARG001, ARG005 - every metric gets masks and voxel size

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.errors import CordlesionError
from cordlesion.metrics.own import metric_of


def jaccard(reference, prediction, spacing_mm):
    assert reference.dtype == prediction.dtype == bool
    either = (reference | prediction).sum()
    return (reference & prediction).sum() / either if reference.any() else float("nan")


def weight(reference, prediction, spacing_mm, *, of: float = 1.0):
    return of * float(np.prod(spacing_mm)) * int(prediction.sum())


@settings(deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from([0.0, 0.2, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=9))
def test_a_sweep_is_the_function_at_each_threshold(seed, thresholds):
    rng = np.random.default_rng(seed)
    reference = rng.random((4, 5, 6)) < rng.choice([0.0, 0.2])
    p = rng.choice(np.array([0, 0.2, 0.5, 0.75], np.float32), (4, 5, 6))
    found = metric_of(jaccard).sweep(reference, p, (0.5, 0.5, 2.0), thresholds)
    expected = [jaccard(reference, p >= np.float32(t), (0.5, 0.5, 2.0)) for t in thresholds]
    np.testing.assert_allclose(found, expected)


def test_equal_masks_are_measured_once():
    calls = []

    def counted(reference, prediction, spacing_mm):
        calls.append(int(prediction.sum()))
        return 0.0

    metric = metric_of(counted)
    calls.clear()
    p = np.zeros((2, 2, 2), np.float32)
    p[0] = 0.6
    assert metric.sweep(p > 0, p, (1, 1, 1), (0.1, 0.2, 0.5, 0.7, 0.9)) == [0.0] * 5
    assert calls == [4, 0]


def test_parameters_and_the_voxel_size_reach_the_function():
    metric = metric_of(weight, "weight_g", {"of": 3.0})
    ones = np.ones((2, 2, 2), bool)
    assert (metric.name, metric.measure(ones, ones, np.array([0.5, 1, 2]))) == ("weight_g", 24.0)


def infinite(reference, prediction, spacing_mm):
    return 1.0 if prediction.any() else float("inf")


def fails(reference, prediction, spacing_mm):
    return 1 / int((reference & prediction).sum())


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (infinite, "The metric infinite gives inf on a reference of 27 and a prediction of 0 lesion voxels; a finite"),
        (fails, r"The metric fails fails on a reference of 27 and a prediction of 0 .* \(ZeroDivisionError"),
        (lambda reference, prediction, spacing_mm: "good", "gives good on a reference of 27"),
        (
            lambda reference, prediction, spacing_mm: prediction,
            r"gives an array of the shape \(8, 8, 8\) on .*; a finite",
        ),
        (lambda reference: 0, "fails on a reference of 27 .* takes 1 positional argument"),
        (int, "The metric int is no function"),
        (3, "The metric 3 is no function"),
    ],
)
def test_mistakes_get_a_sentence(function, sentence):
    with pytest.raises(CordlesionError, match=sentence) as error:
        metric_of(function)
    assert "\n" not in str(error.value)
