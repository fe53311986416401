import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.patches.grid import WINDOWS, extract_patch, patch_starts, stitch_patches

lengths = st.integers(1, 200)
sizes = st.sampled_from([4, 16, 48])
overlaps = st.floats(0, 0.99)
blendings = st.sampled_from(["mean", "gaussian", "hann"])


def stack_of(n_slices, seed=0):
    return np.random.default_rng(seed).normal(size=(3, 2, n_slices)).astype(np.float32)


@given(lengths, sizes, overlaps)
def test_patches_cover_everything_and_end_with_the_stack(n_slices, size, overlap):
    starts = patch_starts(n_slices, size, overlap)
    covered = np.zeros(n_slices, int)
    for start in starts:
        covered[start : start + size] += 1
    assert covered.min() >= 1
    assert starts[0] == 0
    assert starts[-1] == max(0, n_slices - size)
    assert (np.diff(starts) > 0).all()
    assert (np.diff(starts) <= max(1, round(size * (1 - overlap)))).all()


@pytest.mark.parametrize(
    ("n_slices", "expected"),
    [(96, [0, 12, 24, 36, 48]), (97, [0, 12, 24, 36, 48, 49]), (48, [0]), (49, [0, 1]), (20, [0]), (1, [0])],
)
def test_the_studys_patches(n_slices, expected):
    assert patch_starts(n_slices, 48, 0.75) == expected


@given(lengths, sizes, overlaps, blendings)
def test_stitching_what_was_extracted_gives_the_stack_back(n_slices, size, overlap, blending):
    stack = stack_of(n_slices)
    starts = patch_starts(n_slices, size, overlap)
    patches = [extract_patch(stack, start, size) for start in starts]
    assert {patch.shape for patch in patches} == {(3, 2, size)}
    np.testing.assert_allclose(stitch_patches(patches, starts, n_slices, blending), stack, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.sampled_from([4, 8, 16]), overlaps, st.integers(0, 99))
def test_overlaps_are_averaged(n_slices, size, overlap, seed):
    starts = patch_starts(n_slices, size, overlap)
    patches = [stack_of(size, seed + k) for k in range(len(starts))]
    expected = np.zeros((3, 2, n_slices))
    for z in range(n_slices):
        values = [patch[..., z - start] for patch, start in zip(patches, starts, strict=True) if 0 <= z - start < size]
        expected[..., z] = sum(v.astype(float) for v in values) / len(values)
    stitched = stitch_patches(iter(patches), starts, n_slices)
    assert stitched.dtype == np.float32
    np.testing.assert_allclose(stitched, expected, atol=1e-6)


def naive_weight(blending, k, size):
    """Weight of slice ``k`` of a patch, from its distance to the middle in units of the patch."""
    distance = (k + 0.5) / size - 0.5
    return {
        "mean": 1.0,
        "gaussian": math.exp(-(distance**2) / (2 * (1 / 8) ** 2)),
        "hann": 0.5 + 0.5 * math.cos(2 * math.pi * distance),
    }[blending]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.sampled_from([4, 8, 16]), overlaps, blendings, st.integers(0, 99))
def test_blending_is_a_weighted_average(n_slices, size, overlap, blending, seed):
    starts = patch_starts(n_slices, size, overlap)
    patches = [stack_of(size, seed + k) for k in range(len(starts))]
    expected = np.zeros((3, 2, n_slices))
    for z in range(n_slices):
        places = [(patch, z - start) for patch, start in zip(patches, starts, strict=True) if 0 <= z - start < size]
        weights = [naive_weight(blending, k, size) for _, k in places]
        mixed = sum(w * patch[..., k].astype(float) for w, (patch, k) in zip(weights, places, strict=True))
        expected[..., z] = mixed / sum(weights)
    np.testing.assert_allclose(stitch_patches(patches, starts, n_slices, blending), expected, atol=1e-6)


@given(lengths, sizes, overlaps, blendings, st.floats(0, 1, width=32))
def test_a_constant_stays_constant(n_slices, size, overlap, blending, value):
    starts = patch_starts(n_slices, size, overlap)
    patches = [np.full((1, 1, size), value, np.float32)] * len(starts)
    stitched = stitch_patches(patches, starts, n_slices, blending)
    np.testing.assert_allclose(stitched, value, rtol=1e-6)
    assert stitched.max() <= 1


@pytest.mark.parametrize("size", [8, 16, 48])
def test_windows_are_symmetric_and_the_halves_of_hann_add_up_to_1(size):
    for name in ("gaussian", "hann"):
        window = WINDOWS[name](size)
        assert (window > 0).all()
        assert (np.diff(window)[: size // 2 - 1] > 0).all()
        np.testing.assert_allclose(window, window[::-1], rtol=1e-9)
    np.testing.assert_allclose(WINDOWS["hann"](size)[: size // 2] + WINDOWS["hann"](size)[size // 2 :], 1)


def test_a_short_stack_is_padded_with_its_last_slice():
    stack = stack_of(3)
    patch = extract_patch(stack, 0, 8)
    np.testing.assert_array_equal(patch[..., :3], stack)
    for z in range(3, 8):
        np.testing.assert_array_equal(patch[..., z], stack[..., 2])


@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_extraction_keeps_the_type_and_copies_nothing(dtype):
    stack = stack_of(20).astype(dtype)
    patch = extract_patch(stack, 3, 8)
    assert patch.dtype == dtype
    assert np.shares_memory(patch, stack)


@pytest.mark.parametrize("starts", [[], [0], [0, 12]])
def test_patches_that_leave_a_gap_are_refused(starts):
    with pytest.raises(ValueError, match="do not cover"):
        stitch_patches([stack_of(8)] * len(starts), starts, 20)
