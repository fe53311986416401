import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.processing import resample_from_to
from scipy import ndimage

from cordlesion.config import PreprocessConfig
from cordlesion.cord.centerline import Centerline
from cordlesion.io.orient import from_las, to_las
from cordlesion.io.volume import Volume
from cordlesion.preprocess.cord_stack import map_back, sample_reference, sample_stack, stack_geometry
from support.strategies import AXES, centerlines, make_scan, scans

SMALL = PreprocessConfig(crop_voxels=8, centerline_smoothing_mm=0)


def isotropic_grid(scan, spacing_mm, geometry):
    """Return shape and affine of the whole isotropic grid with the same outer border, by definition.

    A length halfway between two integers may be either: which one, rounding noise of the affine decides.
    """
    las = to_las(scan)
    shape = geometry.isotropic_shape
    for n, native, spacing in zip(shape, las.data.shape, las.spacing_mm, strict=True):
        assert abs(n - max(1, native * spacing / spacing_mm)) <= 0.5 + 1e-9
    scale = np.diag([*(spacing_mm / np.array(las.spacing_mm)), 1.0])
    scale[:3, 3] = (np.diag(scale)[:3] - 1) / 2
    return las, shape, las.affine @ scale


def resample(data, affine, shape, target):
    return np.asarray(resample_from_to(nib.Nifti1Image(data, affine), (shape, target), order=1, mode="nearest").dataobj)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_sampling_equals_crop_after_full_resample(data):
    scan = data.draw(scans())
    geometry = stack_geometry(scan, data.draw(centerlines(scan)), SMALL)
    las, shape, affine = isotropic_grid(scan, SMALL.spacing_mm, geometry)
    whole = resample(las.data, las.affine, shape, affine)
    pad = 200
    padded = np.pad(whole, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
    expected = np.stack(
        [
            padded[x + pad : x + pad + 8, y + pad : y + pad + 8, geometry.first_slice + k]
            for k, (x, y) in enumerate(zip(geometry.start_x, geometry.start_y, strict=True))
        ],
        axis=-1,
    )
    np.testing.assert_allclose(sample_stack(scan, geometry), expected, atol=1e-4)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_map_back_equals_paste_and_resample(data):
    scan = data.draw(scans())
    geometry = stack_geometry(scan, data.draw(centerlines(scan)), SMALL)
    stack = np.random.default_rng(0).uniform(size=geometry.inside().shape).astype(np.float32)
    las, shape, affine = isotropic_grid(scan, SMALL.spacing_mm, geometry)
    whole = np.zeros(shape, np.float32)
    for k, (x0, y0) in enumerate(zip(geometry.start_x, geometry.start_y, strict=True)):
        for i in range(8):
            for j in range(8):
                if 0 <= x0 + i < shape[0] and 0 <= y0 + j < shape[1]:
                    whole[x0 + i, y0 + j, geometry.first_slice + k] = stack[i, j, k]
    expected = resample(whole, affine, las.data.shape, las.affine)
    np.testing.assert_allclose(map_back(stack, geometry), expected, atol=1e-5)


@pytest.mark.parametrize("orientation", AXES)
def test_the_stack_does_not_depend_on_the_orientation_of_the_file(orientation):
    stored = make_scan(orientation, (0.7, 0.6, 2.0), (12, 10, 9), (0.1, -0.2, 0.05), seed=3)
    reference = make_scan("LAS", (0.7, 0.6, 2.0), (12, 10, 9), (0.1, -0.2, 0.05), seed=3)
    las = to_las(stored)
    assert las.orientation == "LAS"
    np.testing.assert_array_equal(las.data, reference.data)
    np.testing.assert_allclose(las.affine, reference.affine, atol=1e-9)
    np.testing.assert_array_equal(from_las(las.data, stored), stored.data)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_the_crop_is_centred_on_the_centerline(data):
    scan = data.draw(scans())
    line = data.draw(centerlines(scan))
    geometry = stack_geometry(scan, line, SMALL)
    las = to_las(scan)
    slices = geometry.first_slice + np.arange(geometry.n_slices)
    z = (slices + 0.5) * 0.5 / las.spacing_mm[2] - 0.5
    x_mm = (np.interp(z, line.z, line.x) + 0.5) * las.spacing_mm[0]
    assert np.abs((geometry.start_x + 4) * 0.5 - x_mm).max() <= 0.25 + 1e-9


def test_the_stack_covers_the_whole_thickness_of_its_end_slices():
    scan = make_scan("LAS", (0.5, 0.5, 5.0), (20, 20, 6), (0, 0, 0), seed=0)
    geometry = stack_geometry(scan, Centerline(np.full(2, 10.0), np.full(2, 10.0), np.array([1.0, 3.0])), SMALL)
    assert (geometry.first_slice, geometry.n_slices) == (10, 30)  # 15 mm in steps of 0.5 mm, from 5 mm on


def test_padding_is_marked():
    scan = make_scan("LAS", (0.5, 0.5, 0.5), (10, 10, 4), (0, 0, 0), seed=0)
    geometry = stack_geometry(scan, Centerline(np.array([0.2]), np.array([5.0]), np.array([1.0])), SMALL)
    inside = geometry.inside()
    assert inside.shape == (8, 8, 1)
    np.testing.assert_array_equal(inside.any(axis=(1, 2)), [False] * 3 + [True] * 5)
    assert not map_back(np.ones((8, 8, 1), np.float32), geometry)[:, :, 2:].any()


def test_a_binary_reference_keeps_its_position():
    scan = make_scan("PSR", (0.5, 0.5, 0.5), (16, 16, 16), (0, 0, 0), seed=0)
    lesion = np.zeros((16, 16, 16), bool)
    lesion[7:10, 6:9, 4:9] = True
    stored = Volume(from_las(lesion, scan), scan.affine)
    geometry = stack_geometry(
        scan,
        Centerline(np.full(2, 8.0), np.full(2, 8.0), np.array([0.0, 15.0])),
        PreprocessConfig(crop_voxels=16, centerline_smoothing_mm=0),
    )
    stack = sample_reference(stored, geometry)
    back = map_back(stack.astype(np.float32), geometry) >= 0.5
    np.testing.assert_array_equal(back, lesion)


def test_a_long_oblique_cord_is_sampled_at_its_points():
    rng = np.random.default_rng(0)
    scan = Volume(rng.normal(size=(40, 60, 50)).astype(np.float32), np.diag([-0.7, 0.9, 2.5, 1.0]))
    z = np.arange(50.0)
    geometry = stack_geometry(scan, Centerline(20 + 12 * np.sin(z / 9), 5 + z, z), SMALL)
    assert geometry.n_slices == 250
    x, y, k = np.meshgrid(*[np.arange(n) for n in geometry.shape], indexing="ij")
    points = (geometry.start_x + x, geometry.start_y + y, geometry.first_slice + k)
    ends = zip(points, geometry.isotropic_shape, geometry.step, strict=True)
    native = [(np.clip(at, 0, n - 1) + 0.5) * step - 0.5 for at, n, step in ends]
    expected = ndimage.map_coordinates(scan.data, native, order=1, mode="nearest")
    np.testing.assert_allclose(sample_stack(scan, geometry), expected, atol=1e-5)


def test_equal_intensities_are_kept_exactly():
    scan = Volume(np.full((30, 30, 20), 0.1, np.float32), np.diag([-0.7, 0.9, 2.3, 1.0]))
    z = np.arange(20.0)
    sampled = sample_stack(scan, stack_geometry(scan, Centerline(10 + z / 3, 12 + z / 4, z), SMALL))
    assert (sampled == np.float32(0.1)).all()
