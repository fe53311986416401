import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.cord.centerline import Centerline, centerline_from_cord_mask, read_centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import from_las, to_las
from cordlesion.io.volume import Volume
from support.images import UNUSABLE_MASKS, write_image
from support.strategies import AXES, make_scan

SHAPE = (14, 12, 10)


def scan_and_curve(orientation="LAS", seed=0, angles=(0.1, -0.2, 0.05), spacing=(0.7, 0.6, 2.0)):
    """Return a scan, and a curve with one voxel in some axial slices (in LAS order: slice -> x, y)."""
    scan = make_scan(orientation, spacing, SHAPE, angles, seed)
    rng = np.random.default_rng(seed)
    slices = np.sort(rng.choice(SHAPE[2], 6, replace=False))
    return scan, {int(z): (int(rng.integers(SHAPE[0])), int(rng.integers(SHAPE[1]))) for z in slices}


def draw(points, like):
    mask = np.zeros(to_las(like).data.shape, np.uint8)
    for z, (x, y) in points.items():
        mask[x, y, z] = 1
    return np.ascontiguousarray(from_las(mask, like))


def assert_curve(curve, points):
    np.testing.assert_allclose(curve.z, sorted(points), atol=1e-4)
    np.testing.assert_allclose(np.stack([curve.x, curve.y], 1), [points[z] for z in sorted(points)], atol=1e-4)


@pytest.mark.parametrize("orientation", AXES[::5])
@pytest.mark.parametrize("read", [read_centerline, centerline_from_cord_mask])
def test_a_curve_in_any_orientation_is_read_in_las_order(tmp_path, orientation, read):
    scan, points = scan_and_curve(orientation)
    assert_curve(read(write_image(tmp_path / "c.nii.gz", draw(points, scan), scan.affine), scan), points)


@settings(deadline=None, max_examples=15)
@given(st.sampled_from(AXES), st.integers(0, 99))
def test_a_curve_on_another_grid_keeps_its_world_coordinates(tmp_path_factory, orientation, seed):
    scan, points = scan_and_curve(orientation, seed)
    # The same world space on a grid that starts one voxel earlier along each axis.
    las = to_las(scan)
    bigger = Volume(
        np.pad(las.data, 1), las.affine @ np.array([[1, 0, 0, -1], [0, 1, 0, -1], [0, 0, 1, -1], [0, 0, 0, 1.0]])
    )
    mask = draw({z + 1: (x + 1, y + 1) for z, (x, y) in points.items()}, bigger)
    path = tmp_path_factory.mktemp("c") / "c.nii.gz"
    assert_curve(read_centerline(write_image(path, mask, bigger.affine), scan), points)


def test_the_centre_of_a_cord_mask_is_its_centre_of_mass_per_slice(tmp_path):
    scan, _ = scan_and_curve("PSR")
    cord = np.random.default_rng(1).integers(0, 2, SHAPE).astype(np.uint8)
    cord[:, :, 4] = 0
    path = write_image(tmp_path / "cord.nii.gz", np.ascontiguousarray(from_las(cord, scan)), scan.affine)
    curve = centerline_from_cord_mask(path, scan)
    expected = {z: np.argwhere(cord[:, :, z]).mean(axis=0) for z in range(SHAPE[2]) if z != 4}
    assert_curve(curve, expected)


def test_gaps_are_interpolated_and_ends_are_extended():
    curve = Centerline(np.array([1.0, 5.0]), np.array([2.0, 0.0]), np.array([3.0, 7.0]))
    x, y = curve.at(np.array([0.0, 3.0, 4.0, 7.0, 9.0]))
    np.testing.assert_allclose(x, [1, 1, 2, 5, 5])
    np.testing.assert_allclose(y, [2, 2, 1.5, 0, 0])


@pytest.mark.parametrize("read", [read_centerline, centerline_from_cord_mask])
def test_an_empty_mask_raises_a_clear_error(tmp_path, read):
    scan, _ = scan_and_curve()
    path = write_image(tmp_path / "c.nii.gz", np.zeros(SHAPE, np.uint8), scan.affine)
    with pytest.raises(CordlesionError, match=r"c\.nii\.gz: is empty; the cord must be marked"):
        read(path, scan)


@pytest.mark.parametrize("axis", range(3))
def test_a_curve_that_leaves_the_image_raises_a_clear_error(tmp_path, axis):
    scan, points = scan_and_curve("LAS", angles=(0, 0, 0))
    affine = scan.affine.copy()
    affine[axis, 3] += 9
    path = write_image(tmp_path / "c.nii.gz", draw(points, scan), affine)
    with pytest.raises(CordlesionError, match=r"c\.nii\.gz: the centerline leaves .* at \d of 6 points"):
        read_centerline(path, scan)


@pytest.mark.parametrize("corner", [(0, 0, 0), tuple(n - 1 for n in SHAPE)])
def test_a_curve_may_touch_the_border(tmp_path, corner):
    scan, _ = scan_and_curve()
    points = {corner[2]: corner[:2]}
    assert_curve(read_centerline(write_image(tmp_path / "c.nii", draw(points, scan), scan.affine), scan), points)


@pytest.mark.parametrize(("write", "fault"), UNUSABLE_MASKS.values(), ids=UNUSABLE_MASKS)
def test_an_unusable_cord_mask_raises_a_clear_error(tmp_path, write, fault):
    scan = Volume(np.zeros((24, 24, 40)), np.diag([-0.6, 0.6, 0.6, 1.0]))
    with pytest.raises(CordlesionError, match=fault):
        centerline_from_cord_mask(write(tmp_path / "cord.nii.gz"), scan)


def test_a_curve_on_a_rotated_grid_stays_in_order(tmp_path):
    scan = make_scan("LAS", (1.0, 1.0, 1.0), (30, 30, 30), (0, 0, 0), seed=0)
    turned = make_scan("LAS", (1.0, 1.0, 1.0), (30, 30, 30), (0.3, 0.0, 0.0), seed=0)
    affine = turned.affine.copy()
    affine[:3, 3] = scan.affine[:3, :3] @ np.full(3, 14.5) + scan.affine[:3, 3] - affine[:3, :3] @ np.full(3, 14.5)
    points = {z: (14, 25 - (z - 4)) for z in range(8, 22)}
    curve = read_centerline(write_image(tmp_path / "c.nii.gz", draw(points, turned), affine), scan)
    assert (np.diff(curve.z) > 0).all()
    assert len(curve.z) == len(points)


def test_the_staircase_of_thick_slices_is_smoothed():
    z = np.arange(200.0)
    true_x_mm = 8 * np.sin(2 * np.pi * z * 0.6 / 250)
    drawn = Centerline(np.round(true_x_mm / 2.8), np.full(200, 30.0), z)
    smooth = drawn.smoothed((2.8, 0.6, 0.6), 60.0)
    assert np.abs(np.diff(drawn.x)).max() == 1
    assert np.abs(np.diff(smooth.x * 2.8)).max() < 0.3
    assert np.abs(smooth.x * 2.8 - true_x_mm).max() < 1.0
    np.testing.assert_allclose(smooth.y, 30)


def test_smoothing_halves_waves_of_the_cut_off_and_keeps_straight_lines():
    z = np.arange(600.0)
    wave = np.sin(2 * np.pi * z * 0.5 / 60)
    smooth = Centerline(wave, 0.1 * z + 3, z).smoothed((1.0, 1.0, 0.5), 60.0)
    middle = slice(150, 450)
    assert np.abs(smooth.x[middle]).max() == pytest.approx(0.5, abs=0.02)
    np.testing.assert_allclose(smooth.y, 0.1 * z + 3, atol=1e-6)


def test_few_points_or_a_wavelength_of_0_mean_no_smoothing():
    z = np.arange(4.0)
    curve = Centerline(np.array([0.0, 1, 0, 1]), np.zeros(4), z)
    assert curve.smoothed((1.0, 1.0, 1.0), 60.0) is curve
    longer = Centerline(np.arange(9.0) % 2, np.zeros(9), np.arange(9.0))
    assert longer.smoothed((1.0, 1.0, 1.0), 0.0) is longer
