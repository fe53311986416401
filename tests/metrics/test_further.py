"""Metrics of the field by name: against plain loops, and their decisions for empty masks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage

from cordlesion.config import EvaluationConfig
from cordlesion.config.evaluation import MetricConfig
from cordlesion.errors import CordlesionError
from cordlesion.metrics import FURTHER_METRICS, merged_lesions, split_lesions, surface_distances
from cordlesion.metrics.own import load_metric

SPACING = (0.5, 1.0, 2.5)
seeds = st.integers(0, 2**32 - 1)
BLOCK, NOTHING = np.zeros((2, 12, 12, 12), bool)
BLOCK[3:8, 3:8, 3:8] = True


def blobs(seed):
    """Two masks of a few blocks, which may be empty, split and merge each other."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((2, 10, 9, 12), bool)
    for mask in masks:
        for _ in range(rng.integers(0, 6)):
            low = rng.integers(0, 8, 3)
            high = low + rng.integers(1, 7, 3)
            mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = True
        mask[:, rng.integers(0, 9)] = mask[..., rng.integers(0, 12)] = False
    return masks


def components(mask, spacing):
    """6-connected components of more than 3 mm3, as sets of voxels."""
    labels, n = ndimage.label(mask)
    found = [set(map(tuple, np.argwhere(labels == k))) for k in range(1, n + 1)]
    return [one for one in found if len(one) * np.prod(spacing) > 3]


def holding_several(holders, held):
    return sum(sum(len(one & other) > len(other) / 2 for other in held) >= 2 for one in holders)


@settings(deadline=None, max_examples=60)
@given(seeds)
def test_split_and_merged_lesions_are_those_of_a_loop_over_pairs(seed):
    masks = blobs(seed)
    reference, prediction = (components(mask, SPACING) for mask in masks)
    assert split_lesions(*masks, SPACING) == holding_several(reference, prediction)
    assert merged_lesions(*masks, SPACING) == holding_several(prediction, reference)
    assert split_lesions(*masks, SPACING) == merged_lesions(*masks[::-1], SPACING)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_the_others_are_their_definitions(seed):
    reference, prediction = blobs(seed)
    values = {name: one.function(reference, prediction, SPACING) for name, one in FURTHER_METRICS.items()}
    difference = abs(int(prediction.sum()) - int(reference.sum()))
    assert values["absolute_volume_difference_mm3"] == pytest.approx(difference * 1.25)
    if not reference.any():
        assert math.isnan(values["relative_volume_difference"])
        return
    assert values["relative_volume_difference"] == pytest.approx(difference / reference.sum())
    surfaces = surface_distances(reference, prediction, SPACING, 1.0)
    expected = [surfaces.hausdorff95_mm, surfaces.mean_mm, surfaces.within if prediction.any() else 0.0]
    np.testing.assert_array_equal([values[name] for name in ("hd95_mm", "surface_distance_mm", "nsd")], expected)
    h = reference.sum() / (reference.size - reference.sum())
    true = (reference & prediction).sum()
    false = (999 * h * (prediction & ~reference).sum(), (reference & ~prediction).sum())
    assert values["ndsc"] == pytest.approx(2 * true / (2 * true + sum(false)))


NAN = math.nan
EMPTY = {  # nothing in the reference and a prediction; in both; in the prediction only
    "hd95_mm": (NAN, NAN, NAN),
    "surface_distance_mm": (NAN, NAN, NAN),
    "nsd": (NAN, NAN, 0),
    "ndsc": (NAN, NAN, 0),
    "absolute_volume_difference_mm3": (156.25, 0, 156.25),
    "relative_volume_difference": (NAN, NAN, 1),
    "split_lesions": (0, 0, 0),
    "merged_lesions": (0, 0, 0),
}
BEST = {name: float(FURTHER_METRICS[name].higher_is_better) for name in FURTHER_METRICS}


@pytest.mark.parametrize("name", FURTHER_METRICS)
def test_empty_masks_are_decided(name):
    measure = load_metric(name, {}, name).measure
    pairs = (NOTHING, BLOCK), (NOTHING, NOTHING), (BLOCK, NOTHING)
    np.testing.assert_array_equal([measure(*pair, SPACING) for pair in pairs], EMPTY[name])
    assert measure(BLOCK, BLOCK, SPACING) == BEST[name]


def test_parameters_reach_them():
    shifted = np.roll(BLOCK, 1, axis=2)
    assert load_metric("nsd", {"tolerance_mm": 2.5}, "nsd").measure(BLOCK, shifted, SPACING) == 1
    assert load_metric("nsd", {}, "nsd").measure(BLOCK, shifted, SPACING) < 1
    pieces = BLOCK.copy()
    pieces[5] = False
    assert load_metric("split_lesions", {}, "split").measure(BLOCK, pieces, SPACING) == 1
    small = (0.1, 0.1, 0.1)
    assert load_metric("split_lesions", {}, "split").measure(BLOCK, pieces, small) == 0
    assert load_metric("split_lesions", {"rule": "ivadomed"}, "split").measure(BLOCK, pieces, small) == 1


def test_a_study_names_them_with_their_direction():
    config = EvaluationConfig.model_validate(
        {"metrics": ["nsd", "hd95_mm", {"name": "nsd", "label": "nsd_2mm", "parameters": {"tolerance_mm": 2}}]}
    )
    assert [one.title for one in config.metrics] == ["nsd", "hd95_mm", "nsd_2mm"]
    assert [one.printed for one in config.metrics] == ["NSD", "HD95 (mm)", "nsd 2mm"]
    assert [one.higher_is_better for one in config.metrics] == [True, False, True]


@pytest.mark.parametrize("name", sorted(FURTHER_METRICS))
def test_a_direction_that_contradicts_a_known_metric_is_refused(name):
    right = FURTHER_METRICS[name].higher_is_better
    assert MetricConfig(name=name, higher_is_better=right).higher_is_better == right
    better = "a higher" if right else "a lower"
    with pytest.raises(ValidationError, match=f"{better} {name} is better, found {str(not right).lower()}; remove the"):
        MetricConfig(name=name, higher_is_better=not right)


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("hd95", {}, r"'hd95' is no metric; one of hd95_mm, .* is needed, or my_module:my_metric"),
        ("nsd", {"tolerance_mm": -1}, r"The metric nsd fails .*tolerance is -1 mm.*\. Mend its parameters\."),
        ("nsd", {"tolerance": 2}, r"unexpected keyword argument 'tolerance'\)\. Mend its parameters\."),
        ("split_lesions", {"rule": "none"}, r"There is no lesion rule 'none'"),
    ],
)
def test_mistakes_get_a_sentence(name, parameters, sentence):
    with pytest.raises(CordlesionError, match=sentence):
        load_metric(name, parameters, name)
