import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.patches.grid import WINDOWS, extract_patch, patch_grid, stitch_patches

lengths = st.integers(1, 200)
sizes = st.sampled_from([4, 16, 48])
overlaps = st.floats(0, 0.99)
blendings = st.sampled_from(["mean", "gaussian", "hann"])
shapes = st.tuples(*[st.integers(1, 20)] * 3)
edges = st.tuples(*[st.sampled_from([4, 8, 16])] * 3)


def noise_of(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def cord_grid(n_slices, size, overlap):
    """Return the grid of a cord stack of 3 x 2 voxels in the axial plane."""
    return patch_grid((3, 2, n_slices), (3, 2, size), overlap)


@given(lengths, sizes, overlaps)
def test_patches_cover_the_cord_and_end_at_the_end_of_the_stack(n_slices, size, overlap):
    grid = cord_grid(n_slices, size, overlap)
    assert {place[:2] for place in grid} == {(0, 0)}
    starts = [z for _, _, z in grid]
    assert starts[0] == 0
    assert starts[-1] == max(0, n_slices - size)
    assert (np.diff(starts) > 0).all()
    assert (np.diff(starts) <= max(1, round(size * (1 - overlap)))).all()


@settings(max_examples=60, deadline=None)
@given(shapes, edges, overlaps)
def test_patches_cover_every_voxel_and_stay_inside(shape, edge, overlap):
    covered = np.zeros(shape, int)
    places = list(patch_grid(shape, edge, overlap))
    for x, y, z in places:
        covered[x : x + edge[0], y : y + edge[1], z : z + edge[2]] += 1
    assert covered.min() >= 1
    assert len(set(places)) == len(places)
    ends = np.array(places) + edge
    assert ((ends <= shape) | (np.array(places) == 0)).all()


@pytest.mark.parametrize(
    ("n_slices", "expected"),
    [(96, [0, 12, 24, 36, 48]), (97, [0, 12, 24, 36, 48, 49]), (48, [0]), (49, [0, 1]), (20, [0]), (1, [0])],
)
def test_the_patches_of_the_paper(n_slices, expected):
    assert list(patch_grid((48, 48, n_slices), (48, 48, 48), 0.75)) == [(0, 0, z) for z in expected]


def test_cubes_overlap_along_all_axes():
    grid = patch_grid((10, 8, 12), (8, 8, 8), 0.5)
    assert list(grid) == [(x, 0, z) for x in (0, 2) for z in (0, 4)]


@settings(max_examples=60, deadline=None)
@given(shapes, edges, overlaps, blendings)
def test_stitching_extracted_patches_restores_the_stack(shape, edge, overlap, blending):
    stack = noise_of(shape)
    grid = patch_grid(shape, edge, overlap)
    patches = [extract_patch(stack, place, edge) for place in grid]
    assert {patch.shape for patch in patches} == {edge}
    np.testing.assert_allclose(stitch_patches(patches, grid, blending), stack, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.sampled_from([4, 8, 16]), overlaps, st.integers(0, 99))
def test_overlaps_along_the_cord_are_averaged(n_slices, size, overlap, seed):
    grid = cord_grid(n_slices, size, overlap)
    patches = [noise_of((3, 2, size), seed + k) for k in range(len(list(grid)))]
    expected = np.zeros((3, 2, n_slices))
    for z in range(n_slices):
        values = [patch[..., z - start] for patch, (_, _, start) in zip(patches, grid, strict=True)
                  if 0 <= z - start < size]  # fmt: skip
        expected[..., z] = sum(v.astype(float) for v in values) / len(values)
    stitched = stitch_patches(iter(patches), grid)
    assert stitched.dtype == np.float32
    np.testing.assert_allclose(stitched, expected, atol=1e-6)


def naive_weight(blending, k, size):
    """Return the weight of voxel ``k`` along one axis, from its distance to the middle in units of the patch."""
    distance = (k + 0.5) / size - 0.5
    return {
        "mean": 1.0,
        "gaussian": math.exp(-(distance**2) / (2 * (1 / 8) ** 2)),
        "hann": 0.5 + 0.5 * math.cos(2 * math.pi * distance),
    }[blending]


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(1, 12)] * 3), edges, st.floats(0, 0.8), blendings, st.integers(0, 99))
def test_stitching_equals_the_naive_weighted_average(shape, edge, overlap, blending, seed):
    """Computed voxel by voxel and patch by patch, with weights along every axis."""
    grid = patch_grid(shape, edge, overlap)
    patches = [noise_of(edge, seed + k) for k in range(len(list(grid)))]
    expected = np.zeros(shape)
    for voxel in itertools.product(*map(range, shape)):
        weights, values = [], []
        for patch, place in zip(patches, grid, strict=True):
            inside = tuple(v - start for v, start in zip(voxel, place, strict=True))
            if all(0 <= k < size for k, size in zip(inside, edge, strict=True)):
                weights.append(math.prod(naive_weight(blending, k, n) for k, n in zip(inside, edge, strict=True)))
                values.append(float(patch[inside]))
        expected[voxel] = np.dot(weights, values) / sum(weights)
    np.testing.assert_allclose(stitch_patches(patches, grid, blending), expected, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(shapes, edges, overlaps, blendings, st.floats(0, 1, width=32))
def test_stitching_constant_patches_gives_a_constant_stack(shape, edge, overlap, blending, value):
    grid = patch_grid(shape, edge, overlap)
    stitched = stitch_patches((np.full(edge, value, np.float32) for _ in grid), grid, blending)
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


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_short_stack_is_padded_with_its_last_slice(axis):
    stack = np.moveaxis(noise_of((3, 8, 8)), 0, axis)
    patch = np.moveaxis(extract_patch(stack, (0, 0, 0), (8, 8, 8)), axis, 0)
    np.testing.assert_array_equal(patch[:3], np.moveaxis(stack, axis, 0))
    for k in range(3, 8):
        np.testing.assert_array_equal(patch[k], np.moveaxis(stack, axis, 0)[2])


@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_extraction_keeps_the_type_and_does_not_copy(dtype):
    stack = noise_of((9, 9, 20)).astype(dtype)
    patch = extract_patch(stack, (1, 0, 3), (8, 8, 8))
    assert patch.dtype == dtype
    assert np.shares_memory(patch, stack)


@pytest.mark.parametrize("n", [0, 2, 4])
def test_a_wrong_number_of_patches_is_rejected(n):
    grid = cord_grid(20, 12, 0.5)
    assert len(list(grid)) == 3
    with pytest.raises(ValueError, match="zip"):
        stitch_patches([noise_of((3, 2, 12))] * n, grid)
