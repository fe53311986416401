"""Maps with the same probabilities give the same binary masks for any data type."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from cordlesion.errors import CordlesionError
from cordlesion.io.probability import as_probabilities, binarize, count_reached, min_lesion_probability
from cordlesion.metrics import count_reliability, sweep
from cordlesion.metrics.voxel import checked_array
from cordlesion.threshold import THRESHOLDS

F = np.float32
STORAGES = {
    "uint8 x 1/100": lambda k: (5 * k).astype(F) * F(1 / 100),
    "uint8 x 1/200": lambda k: (10 * k).astype(F) * F(1 / 200),
    "int16 x 1e-4": lambda k: (500 * k).astype(F) * F(1e-4),
    "float64": lambda k: k * 0.05,
    "1 - background": lambda k: F(1) - (1 - k / 20).astype(F),
    "sigmoid(logit)": lambda k: special.expit(special.logit(k / 20).astype(F)),
    "1 / (1 + exp(-logit))": lambda k: F(1) / (F(1) + np.exp(-special.logit(k / 20).astype(F))),
}


@pytest.mark.parametrize("storage", STORAGES)
@given(seed=st.integers(0, 2**32 - 1))
def test_all_data_types_give_the_same_curve(storage, seed):
    rng = np.random.default_rng(seed)
    k = rng.integers(0, 21, (4, 5, 6))
    reference = rng.random(k.shape) < 0.2
    stored = np.clip(STORAGES[storage](k), 0, 1)
    expected, found = (sweep(reference, p, (1, 1, 1), THRESHOLDS) for p in ((k / 20).astype(F), stored))
    assert str(found) == str(expected)  # texts, because NaN is not equal to itself
    assert count_reached(stored, THRESHOLDS).tolist() == (k + 1).tolist()
    assert (
        count_reliability(stored, reference, 20).n_voxels == np.bincount(np.minimum(k, 19).ravel(), minlength=20)
    ).all()


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=9), st.floats(0, 1, width=32))
def test_count_reached_agrees_with_binarize(thresholds, p):
    rising = np.sort(thresholds)
    assert (np.diff(min_lesion_probability(rising)) >= 0).all()
    assert count_reached(p, rising) == sum(bool(binarize(p, t)) for t in rising)


@pytest.mark.parametrize(("value", "clipped"), [(1 + 1e-7, 1), (1.0005, 1), (-1e-9, 0), (-0.0005, 0), (0.25, 0.25)])
def test_rounding_errors_outside_0_to_1_are_clipped(value, clipped):
    assert as_probabilities(np.array([[[value]]]), "the map") == clipped
    swept = sweep(np.ones((1, 1, 2)), np.array([[[value, 0.5]]]), (1, 1, 1), [0.5])
    assert dataclasses.asdict(swept[0]) == dataclasses.asdict(
        sweep(np.ones((1, 1, 2)), np.array([[[clipped, 0.5]]]), (1, 1, 1), [0.5])[0]
    )


@pytest.mark.parametrize(("value", "sentence"), [(1.002, "from 0.5 to 1.002"), (-0.01, "-0.01"), (50, "to 50"),
                                                 (np.nan, "holds NaN in 1 of 2 voxels")])  # fmt: skip
def test_values_that_are_not_probabilities_are_rejected(value, sentence):
    with pytest.raises(CordlesionError, match=sentence):
        as_probabilities(checked_array(np.array([[[value, 0.5]]]), "map"), "the map")
