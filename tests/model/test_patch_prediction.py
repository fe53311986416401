import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cordlesion.config import PredictionConfig, PreprocessConfig, StudyConfig
from cordlesion.model.bundle import Bundle
from cordlesion.model.patch_prediction import standardize_patches
from cordlesion.preprocess.cord_stack import StackGeometry
from support.models import untrained_bundle


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e4), st.floats(-1e3, 1e3))
def test_each_patch_gets_zero_mean_and_unit_deviation(seed, scale, offset):
    patches = (np.random.default_rng(seed).normal(size=(2, 1, 5, 5, 5)) * scale + offset).astype(np.float32)
    patches[1] *= 3
    assume(patches[0].std() > 1e-4 * np.abs(patches[0]).max())
    standard = standardize_patches(torch.from_numpy(patches))
    assert standard.dtype == torch.float32
    for found, patch in zip(standard.numpy(), patches.astype(np.float64), strict=True):
        np.testing.assert_allclose(found, (patch - patch.mean()) / patch.std(), atol=2e-3)


@pytest.mark.parametrize("value", [0.0, 7.0, 0.1, -1e5, 1e-8])
def test_a_constant_patch_becomes_zeros(value):
    patches = torch.full((2, 1, 4, 4, 4), value)
    patches[1, 0, 0] += 3
    standard = standardize_patches(patches)
    assert not standard[0].any()
    assert standard[1].any()


def test_nothing_is_lesion_beyond_the_radius_around_the_centerline():
    bundle = untrained_bundle(edge_voxels=16)
    limited = Bundle(
        bundle.card.model_copy(update={"prediction": PredictionConfig(radius_mm=2.6, precision="float32")}),
        bundle.network,
    )
    whole = Bundle(bundle.card.model_copy(update={"prediction": PredictionConfig(precision="float32")}), bundle.network)
    start = np.zeros(20, int)
    geometry = StackGeometry((16, 16, 20), (1.0, 1.0, 1.0), (16, 16), 0, start, start)
    stack = np.random.default_rng(0).normal(size=geometry.shape).astype(np.float32)
    p, found = whole.predict_stack(stack, geometry), limited.predict_stack(stack, geometry)
    for x in range(16):
        for y in range(16):
            # Voxels of 0.5 mm around the middle, which is between voxels 7 and 8.
            inside = ((x - 7.5) ** 2 + (y - 7.5) ** 2) ** 0.5 * 0.5 <= 2.6
            np.testing.assert_array_equal(found[x, y], p[x, y] if inside else 0)
    assert (p > 0).all()


@given(st.integers(8, 60), st.floats(0.05, 20), st.integers(1, 10))
def test_the_smallest_radius_of_a_study_leaves_a_voxel_in_each_slice(crop, spacing_mm, hundredths):
    preprocess = PreprocessConfig(crop_voxels=crop * 4, spacing_mm=spacing_mm)
    geometry = StackGeometry((9, 9, 9), (1.0, 1.0, 1.0), (crop, crop), 0, np.zeros(2, int), np.zeros(2, int))
    least = int(np.ceil(100 * spacing_mm / np.sqrt(2)))
    study = {"name": "a", "dataset": "b", "output": "c", "losses": ["bce"], "preprocess": preprocess}
    taken = StudyConfig.model_validate(study | {"prediction": {"radius_mm": least / 100}})
    assert geometry.near_centerline(taken.prediction.radius_mm, preprocess).any()
    with pytest.raises(ValidationError, match="may hold no voxel"):
        StudyConfig.model_validate(study | {"prediction": {"radius_mm": max(least - hundredths, 0.5) / 100}})
