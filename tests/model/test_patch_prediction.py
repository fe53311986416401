import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cordlesion.model.patch_prediction import standardize_patches


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
