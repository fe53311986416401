import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cordlesion.errors import CordlesionError
from cordlesion.metrics import binarize
from cordlesion.metrics.voxel import bounding_box, checked_array, checked_mask, voxel_scores, voxel_volume_mm3


@pytest.mark.parametrize(
    ("n_reference", "n_predicted", "n_common", "expected"),
    [
        (10, 10, 10, (1, 1, 1)),
        (10, 5, 2, (0.2, 0.4, 4 / 15)),
        (10, 5, 0, (0, 0, 0)),
        (10, 0, 0, (0, 0, 0)),
        (0, 5, 0, (math.nan, math.nan, math.nan)),
        (0, 0, 0, (math.nan, math.nan, math.nan)),
    ],
)
def test_voxel_scores(n_reference, n_predicted, n_common, expected):
    scores = voxel_scores(n_reference, n_predicted, n_common)
    assert (scores.sensitivity, scores.precision, scores.f1) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("step", range(21))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_probability_equal_to_the_threshold_is_lesion(step, dtype):
    # 0.05 * 6 and the float32 nearest to 0.7 miss 0.3 and 0.7 when compared in float64.
    p = np.array([[[step / 20]]], dtype=dtype)
    assert binarize(p, 0.05 * step).all()
    assert binarize(p, round(0.05 * step, 2)).all()


@pytest.mark.parametrize("step", range(1, 21))
def test_two_units_in_the_last_place_are_rounding_and_three_are_not(step):
    p = np.full((1, 1, 1), step / 20, np.float32)
    for n_units in range(1, 5):
        p = np.nextafter(p, np.float32(0))
        assert binarize(p, step / 20).all() == (n_units <= 2)


def test_zero_reaches_no_threshold_above_zero():
    assert not binarize(np.zeros((1, 1, 1)), np.finfo(np.float32).smallest_subnormal).any()
    assert binarize(np.zeros((1, 1, 1)), 0).all()


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=5)))
def test_bounding_box_is_the_tightest(mask):
    box = bounding_box(mask)
    voxels = np.argwhere(mask)
    if len(voxels) == 0:
        assert mask[box].size == 0
    else:
        assert [(s.start, s.stop) for s in box] == list(zip(voxels.min(0), voxels.max(0) + 1, strict=True))


@given(st.sampled_from([bool, np.uint8, np.int16, np.float32, np.float64]))
def test_masks_of_any_real_type(dtype):
    mask = np.array([[[0, 1, 1]]], dtype=dtype)
    np.testing.assert_array_equal(checked_mask(mask, "mask"), [[[False, True, True]]])


@pytest.mark.parametrize("value", [2, 0.5, -1, np.nan])
def test_mask_with_other_values_is_refused(value):
    with pytest.raises(CordlesionError, match=r"reference has values other than 0 and 1 .*Binarize"):
        checked_mask(np.array([[[0, 1, value]]]), "reference")


@pytest.mark.parametrize(
    "array", [np.zeros((2, 2)), np.zeros((0, 2, 2)), np.zeros((1, 2, 2), complex), np.full((1, 1, 1), "a")]
)
def test_arrays_that_are_no_volume_are_refused(array):
    with pytest.raises(CordlesionError, match="The map "):
        checked_array(array, "map")


def test_voxel_volume():
    assert voxel_volume_mm3((0.5, 0.5, 3)) == 0.75
    for bad in [
        1.0,
        None,
        "abc",
        np.float64(0.5),
        np.array(1.0),
        (1, 1),
        (1, 1, 0),
        (1, 1, -1),
        (1, 1, math.nan),
        (1, math.inf, 1),
    ]:
        with pytest.raises(CordlesionError, match="three positive lengths"):
            voxel_volume_mm3(bad)
