import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.cord.centerline import Centerline, read_centerline
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume, read_scan
from cordlesion.sct.stack import (
    SCT_CONTRASTS,
    make_sct_stack,
    map_sct_stack_back,
    place_sct_stack,
    sample_sct_stack,
    standardize_sct_stack,
)
from support.strategies import make_scan

T2_AX = SCT_CONTRASTS["t2_ax"]
SMALL = T2_AX.model_copy(update={"crop_voxels": 12})


def straight(x, y, first, last):
    return Centerline(np.array([x, x], float), np.array([y, y], float), np.array([first, last], float))


def at(values, position):
    """A value between samples, linearly; the ends hold beyond."""
    position = min(max(position, 0), len(values) - 1)
    below = int(position)
    above = min(below + 1, len(values) - 1)
    return values[below] + (position - below) * (values[above] - values[below])


def resampled(volume, shape):
    """A whole volume on another grid, voxel by voxel; voxel 0 of both coincides."""
    for axis, length in enumerate(shape):
        volume = np.apply_along_axis(
            lambda line, n=length: np.array([at(line, i * len(line) / n) for i in range(n)]), axis, volume
        )
    return volume


@pytest.mark.parametrize("orientation", ["LAS", "PSR", "RIP"])
@pytest.mark.parametrize("spacing", [(0.7, 0.3, 4.0), (0.5, 0.5, 0.5), (1.3, 0.6, 1.1)])
def test_the_stack_is_a_crop_of_the_scan_resampled_as_a_whole(orientation, spacing):
    scan = make_scan(orientation, spacing, (24, 40, 9), (0.1, 0.05, -0.1), seed=3)
    las = to_las(scan)
    nx, ny, nz = las.data.shape
    curve = Centerline(np.array([nx * 0.4, nx * 0.6]), np.array([ny * 0.6, ny * 0.5]), np.array([1.0, nz - 2.0]))
    geometry = place_sct_stack(scan, curve, SMALL)
    fx, fy, fz = (round(n * mm / 0.5) for n, mm in zip((nx, ny, nz), las.spacing_mm, strict=True))
    assert geometry.fine_shape == (fx, fy, fz)
    whole = resampled(las.data.astype(float), (fx, fy, nz))
    expected = np.zeros((12, 12, nz))
    for z in range(1, nz - 1):
        (x,), (y,) = curve.at(np.array([float(z)]))
        starts = [min(max(int(c * f / n) - 5, 0), max(0, f - 12)) for c, f, n in ((x, fx, nx), (y, fy, ny))]
        crop = whole[starts[0] : starts[0] + 12, starts[1] : starts[1] + 12, z]
        expected[: crop.shape[0], : crop.shape[1], z] = crop
    np.testing.assert_allclose(sample_sct_stack(scan, geometry), expected, atol=1e-4)


@pytest.mark.parametrize(("center", "start"), [(0.0, 0), (23.99, 0), (24.0, 1), (60.5, 37), (99.0, 52)])
def test_crops_start_23_before_the_voxel_of_the_centre_and_stay_inside(center, start):
    scan = Volume(np.zeros((100, 100, 5), np.float32), np.diag([-0.5, 0.5, 2.0, 1.0]))
    geometry = place_sct_stack(scan, straight(center, 50, 0, 4), T2_AX)
    assert set(geometry.start_x.tolist()) == {start}
    assert set(geometry.start_y.tolist()) == {27}


def test_a_centre_on_a_voxel_is_not_rounded_down():
    # On the fine grid these centres are whole numbers, which floating point may miss from below.
    for n, c in itertools.product((320, 256, 300), (40, 80, 160, 200)):
        scan = Volume(np.zeros((n, n, 3), np.float32), np.diag([-0.625, 0.625, 2.0, 1.0]))
        assert place_sct_stack(scan, straight(c, c, 0, 2), T2_AX).start_x[0] == c * 5 // 4 - 23


def test_slices_without_centerline_and_what_lies_outside_a_small_image_are_zeros():
    scan = Volume(np.full((30, 60, 8), 7, np.float32), np.diag([-0.5, 0.5, 3.0, 1.0]))
    geometry = place_sct_stack(scan, straight(15, 30, 2, 5), T2_AX)
    stack = sample_sct_stack(scan, geometry)
    assert (stack[:30, :, 2:6] == 7).all()
    assert not stack[30:].any()
    assert not stack[..., [0, 1, 6, 7]].any()


def naive_standard(stack, landmarks):
    own = np.percentile(stack, landmarks.percentiles)
    scale, top = landmarks.values, landmarks.values[-1]

    def one(v):
        if v < own[0]:
            return scale[1] * np.exp((v - own[1]) / (own[1] - own[0]))
        if v > own[-1]:
            slope = (scale[9] - scale[8]) / (own[9] - own[8])
            return top - (top - scale[9]) * np.exp(-slope * (v - own[9]) / (top - scale[9]))
        k = max(i for i in range(10) if v >= own[i])
        return scale[k] + (v - own[k]) / (own[k + 1] - own[k]) * (scale[k + 1] - scale[k])

    return np.vectorize(one)(stack)


@given(st.integers(0, 100), st.sampled_from(sorted(SCT_CONTRASTS)))
@settings(max_examples=20, deadline=None)
def test_intensities_follow_the_landmarks(seed, contrast):
    stack = np.random.default_rng(seed).gamma(2, 100, (6, 6, 8))
    landmarks = SCT_CONTRASTS[contrast].landmarks
    standard = standardize_sct_stack(stack, landmarks)
    np.testing.assert_allclose(standard, naive_standard(stack, landmarks), rtol=1e-9)
    assert standard.min() > 0
    assert standard.max() <= 2611


@pytest.mark.parametrize("share", [0.05, 0.3, 0.85, 0.95, 1.0])
def test_zeros_stay_zeros_however_many_there_are(share):
    stack = np.random.default_rng(0).uniform(100, 900, (10, 10, 20))
    zeros = round(share * 20)
    stack[..., :zeros] = 0
    standard = standardize_sct_stack(stack, T2_AX.landmarks)
    assert np.isfinite(standard).all()
    assert not standard[..., :zeros].any()
    assert (standard[..., zeros:] > 0).all()


def test_the_published_patch_is_made_of_the_scan(shared):
    """The patch was cut along a curve of its own, which lies a voxel beside ours in these slices."""
    scan = read_scan(shared("data", "real", "t2_ms.nii.gz"))
    curve = read_centerline(shared("data", "real", "t2_ms_centerline.nii.gz"), scan)
    geometry = place_sct_stack(scan, curve, T2_AX)
    assert geometry.fine_shape == (440, 352, 285)
    assert geometry.has_cord.all()
    geometry.start_y[4:6] += 1
    geometry.start_x[6] += 1
    stack = make_sct_stack(scan, geometry, T2_AX)
    patch = (stack[..., 48:96] - T2_AX.mean) / T2_AX.deviation
    published = np.load(shared("data", "sct", "t2_ax_patch_in.npy"))
    # Slices 60 to 90 lie between the native slices 4 and 6. Crops elsewhere still move the percentiles a little.
    np.testing.assert_allclose(patch[..., 12:43], published[..., 12:43], atol=0.08)
    assert np.abs(patch[..., 12:43] - published[..., 12:43]).mean() < 0.01
    percentiles = np.percentile(sample_sct_stack(scan, geometry), T2_AX.landmarks.percentiles)
    np.testing.assert_allclose(
        percentiles[1:10], [160, 228.33, 273.73, 322.82, 379.5, 447.96, 547.04, 675.82, 785.79], rtol=0.01
    )


@pytest.mark.parametrize("spacing", [(0.7, 0.3, 4.0), (0.5, 0.5, 0.5), (1.3, 0.6, 1.1)])
def test_a_stack_is_carried_back_by_linear_interpolation(spacing):
    scan = make_scan("LAS", spacing, (20, 40, 9), (0, 0, 0), seed=5)
    nx, ny, nz = scan.data.shape
    geometry = place_sct_stack(
        scan, Centerline(np.array([2.0, 17.0]), np.array([5.0, 35.0]), np.array([0.0, 8.0])), SMALL
    )
    fx, fy, fz = geometry.fine_shape
    stack = np.random.default_rng(0).uniform(size=(12, 12, fz)).astype(np.float32)
    coarse = resampled(stack.astype(float), (12, 12, nz))
    whole = np.zeros((fx, fy, nz))
    for z, (x, y) in enumerate(zip(geometry.start_x, geometry.start_y, strict=True)):
        place = whole[x : x + 12, y : y + 12, z]
        place[...] = coarse[: place.shape[0], : place.shape[1], z]
    np.testing.assert_allclose(map_sct_stack_back(stack, geometry), resampled(whole, (nx, ny, nz)), atol=1e-6)
