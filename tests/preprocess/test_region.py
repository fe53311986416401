import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from test_cord_stack import isotropic_grid, resample

from cordlesion.config import PreprocessConfig
from cordlesion.cord.centerline import Centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import from_las, to_las
from cordlesion.io.volume import Volume
from cordlesion.preprocess.cord_stack import block_geometry, map_back, sample_reference, sample_stack, stack_geometry
from cordlesion.preprocess.region import MARGIN_MM, foreground_geometry, otsu_threshold, place_stack
from support.strategies import AXES, make_scan, scans

FOREGROUND = PreprocessConfig(region="foreground", spacing_mm=1.0)


@st.composite
def blocks(draw):
    """Return a random scan and the geometry of a random box in it."""
    scan = draw(scans())
    edges = [sorted((draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1)))) for n in to_las(scan).data.shape]
    low, high = zip(*((a, b + 1) for a, b in edges), strict=True)
    return scan, low, high, block_geometry(scan, low, high, draw(st.sampled_from([0.5, 1.0, 2.5])), 0.0)


def place_of(geometry):
    """Return the slices of the block in the isotropic grid."""
    corner = (geometry.start_x[0], geometry.start_y[0], geometry.first_slice)
    return tuple(slice(int(start), int(start) + size) for start, size in zip(corner, geometry.shape, strict=True))


def spacing_of(scan, geometry):
    return geometry.step[0] * to_las(scan).spacing_mm[0]


@settings(deadline=None, max_examples=60)
@given(blocks())
def test_sampling_a_block_equals_crop_after_full_resample(block):
    scan, _, _, geometry = block
    las, shape, affine = isotropic_grid(scan, spacing_of(scan, geometry), geometry)
    expected = resample(las.data, las.affine, shape, affine)[place_of(geometry)]
    sampled = sample_stack(scan, geometry)
    assert sampled.dtype == np.float32
    np.testing.assert_allclose(sampled, expected, atol=1e-4)


@settings(deadline=None, max_examples=60)
@given(blocks())
def test_map_back_of_a_block_equals_paste_and_resample(block):
    scan, _, _, geometry = block
    las, shape, affine = isotropic_grid(scan, spacing_of(scan, geometry), geometry)
    stack = np.random.default_rng(0).uniform(size=geometry.shape).astype(np.float32)
    whole = np.zeros(shape, np.float32)
    whole[place_of(geometry)] = stack
    expected = resample(whole, affine, las.data.shape, las.affine)
    np.testing.assert_allclose(map_back(stack, geometry), expected, atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(blocks())
def test_a_block_covers_its_box_and_stays_in_the_image(block):
    scan, low, high, geometry = block
    assert geometry.is_block
    assert geometry.inside().all()
    for axis, part in enumerate(place_of(geometry)):
        first, last = part.start * geometry.step[axis], part.stop * geometry.step[axis]  # in native voxels
        n_native, n_isotropic = to_las(scan).data.shape[axis], geometry.isotropic_shape[axis]
        assert 0 <= part.start < part.stop <= n_isotropic
        assert first <= low[axis] or part.start == n_isotropic - 1
        assert last >= high[axis] or part.stop == n_isotropic
        assert first > low[axis] - geometry.step[axis] or n_isotropic * geometry.step[axis] < n_native
        assert last < high[axis] + geometry.step[axis]


@settings(deadline=None, max_examples=40)
@given(scans(), st.floats(0, 23), st.floats(0, 23))
def test_a_straight_cord_stack_is_sampled_like_a_curved_one(scan, x, y):
    """A straight cord stack is a block; the values are the same, although other code computes them."""
    las = to_las(scan)
    nx, ny, nz = las.data.shape
    x, y = min(x, nx - 1), min(y, ny - 1)
    straight = Centerline(np.full(2, x), np.full(2, y), np.array([0.0, max(1, nz - 1)]))
    config = PreprocessConfig(crop_voxels=8, centerline_smoothing_mm=0)
    geometry = stack_geometry(scan, straight, config)
    assert geometry.is_block
    las, shape, affine = isotropic_grid(scan, config.spacing_mm, geometry)
    padded = np.pad(resample(las.data, las.affine, shape, affine), ((99, 99), (99, 99), (0, 0)), mode="edge")
    x0, y0, z0 = geometry.start_x[0] + 99, geometry.start_y[0] + 99, geometry.first_slice
    expected = padded[x0 : x0 + 8, y0 : y0 + 8, z0 : z0 + geometry.n_slices]
    np.testing.assert_allclose(sample_stack(scan, geometry), expected, atol=1e-4)


def head(orientation="LAS", spacing=(1.0, 1.0, 2.0), noise=5.0):
    """Return a bright box (LAS voxels 8-32, 10-30, 3-17) with a lesion and a smaller box in dark noise."""
    scan = make_scan(orientation, spacing, (40, 40, 20), (0.1, -0.2, 0.05), seed=3)
    image = np.random.default_rng(0).normal(0, noise, (40, 40, 20))
    image[8:32, 10:30, 3:17] += 100
    image[1:3, 1:3, 1:3] += 300
    lesion = np.zeros((40, 40, 20), bool)
    lesion[18:22, 18:22, 9:11] = True
    image[lesion] += 50
    stored = [np.ascontiguousarray(from_las(a, scan)) for a in (image.astype(np.float32), lesion)]
    return Volume(stored[0], scan.affine), Volume(stored[1], scan.affine)


@pytest.mark.parametrize("orientation", AXES[::5])
def test_the_block_is_the_largest_bright_component_with_a_margin(orientation):
    scan, lesion = head(orientation)
    geometry = place_stack(scan, None, FOREGROUND)
    x, y, z = place_of(geometry)
    margin = round(MARGIN_MM)
    assert (x.start, x.stop) == (8 - margin, 32 + margin)
    assert (y.start, y.stop) == (10 - margin, 30 + margin)
    assert (z.start, z.stop) == (2, 38)  # slices 3 to 16 and a margin of two of 2 mm, in voxels of 1 mm
    assert sample_reference(lesion, geometry).sum() == lesion.data.sum() * 2
    back = map_back(sample_stack(scan, geometry), geometry)
    inner = (slice(10, 30), slice(12, 28), slice(5, 15))
    assert np.abs(back[inner] - to_las(scan).data[inner]).mean() < 4


def test_background_does_not_change_the_percentiles():
    scan, _ = head()
    geometry = place_stack(scan, None, FOREGROUND)
    stack = sample_stack(scan, geometry)
    measured = geometry.measured(stack)
    assert stack[measured].min() > 30
    share = 24 * 20 * 14 / (34 * 30 * 18)
    assert measured.mean() == pytest.approx(share, abs=0.02)
    cord = stack_geometry(scan, Centerline(np.full(2, 20.0), np.full(2, 20.0), np.array([0.0, 19.0])), FOREGROUND)
    np.testing.assert_array_equal(cord.measured(sample_stack(scan, cord)), cord.inside())


def test_percentiles_of_a_foreground_finer_than_the_grid_use_the_whole_block():
    image = np.zeros((30, 30, 30), np.float32)
    image[15, 15, 15] = 9
    scan = Volume(image, np.diag([-0.2, 0.2, 0.2, 1.0]))
    geometry = foreground_geometry(scan, 1.1)
    stack = sample_stack(scan, geometry)
    assert not (stack > geometry.background).any()
    assert geometry.measured(stack).all()


@pytest.mark.parametrize("value", [0.0, -3.0, 7.5])
def test_a_constant_image_raises_a_clear_error(value):
    scan = Volume(np.full((9, 9, 9), value, np.float32), np.eye(4))
    with pytest.raises(CordlesionError, match="the image: has no foreground; tissue must be brighter"):
        place_stack(scan, None, FOREGROUND)


def naive_otsu(values):
    """Return the best edge of all bins; if several are equally good, the middle one."""
    low, high = values.min(), np.percentile(values, 99.9)
    clipped = np.clip(values, low, high)
    borders = low + (high - low) * np.arange(1, 256) / 256
    centers = low + (high - low) * (np.minimum((clipped - low) / (high - low) * 256 // 1, 255) + 0.5) / 256
    scores = []
    for border in borders:
        dark = centers < border
        share = dark.mean()
        scores.append(share * (1 - share) * (centers[dark].mean() - centers[~dark].mean()) ** 2)
    best = np.flatnonzero(np.isclose(scores, np.max(scores), rtol=1e-12))
    return borders[best[len(best) // 2]]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**16), st.floats(0.1, 0.9), st.floats(1, 30), st.floats(-50, 50))
def test_the_threshold_is_otsus(seed, share, distance, offset):
    rng = np.random.default_rng(seed)
    values = rng.normal(offset, 1, 400) + distance * (rng.uniform(size=400) < share)
    assert otsu_threshold(values.astype(np.float32)) == pytest.approx(naive_otsu(values.astype(np.float32)), abs=1e-3)


def test_a_few_outliers_do_not_move_the_threshold():
    rng = np.random.default_rng(0)
    values = ndimage.gaussian_filter(rng.normal(size=(30, 30, 30)), 2).astype(np.float32) + 10 * (np.arange(30) > 14)
    hot = values.astype(np.float32).copy()
    hot.ravel()[:5] = 1e6
    assert otsu_threshold(hot) == pytest.approx(otsu_threshold(values.astype(np.float32)), abs=0.5)
