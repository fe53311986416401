import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.cord.centerline import read_centerline
from cordlesion.cord.finder import find_cord
from cordlesion.cord.slabs import resampling, slab_borders
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume, read_scan
from cordlesion.simulate import ScanPlan, simulate_scan
from cordlesion.simulate.anatomy import Person
from cordlesion.simulate.axial_slices import Part, draw_stack
from cordlesion.simulate.cordless_slices import SIZE, _brain, _limb

AFFINE = np.diag([-1.0, 1.0, 4.0, 1.0])


def simulated(plane, region="cervical", subject=0):
    return simulate_scan(ScanPlan(9001, subject, 0, 0, Person(40, "F"), 1, plane, region, True, ()))


@pytest.fixture(scope="module", params=["sagittal", "axial"])
def scan(request):
    return simulated(request.param)


def errors_mm(curve, image, mask):
    """Return the in-plane distance between a curve and the centre of a mask, for each slice of the mask."""
    las = to_las(mask)
    index = np.argwhere(las.data)
    slices = np.unique(index[:, 2])
    truth = np.array([index[index[:, 2] == z][:, :2].mean(0) for z in slices])
    x, y = curve.at(slices.astype(float))
    dx, dy, _ = to_las(image).spacing_mm
    return np.hypot((x - truth[:, 0]) * dx, (y - truth[:, 1]) * dy)


def test_the_cord_is_found_in_a_simulated_scan(scan):
    curve = find_cord(scan.image)
    distances = errors_mm(curve, scan.image, scan.centerline)
    assert distances.mean() < 0.9
    assert distances.max() < 3.5
    marked = np.flatnonzero(to_las(scan.cord).data.any(axis=(0, 1)))
    covered = np.arange(curve.z[0], curve.z[-1] + 1)
    assert len(np.intersect1d(marked, covered)) > 0.9 * len(marked)
    assert 0.6 <= curve.confidence <= 1


def test_the_orientation_of_the_file_has_no_effect(scan):
    expected = find_cord(scan.image)
    turned = nib.as_closest_canonical(nib.Nifti1Image(scan.image.data[::-1], scan.image.affine @ _flip(scan.image)))
    curve = find_cord(Volume(np.asarray(turned.dataobj), turned.affine))
    np.testing.assert_allclose(curve.x, expected.x, atol=1e-6)
    np.testing.assert_allclose(curve.y, expected.y, atol=1e-6)


def _flip(volume):
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = volume.data.shape[0] - 1
    return flip


def test_offset_and_scale_of_the_values_have_no_effect():
    image = simulated("axial").image
    expected = find_cord(image)
    curve = find_cord(Volume(image.data * np.float32(0.013) - 7, image.affine))
    np.testing.assert_allclose(curve.x, expected.x, atol=0.01)


def test_five_slices_are_enough():
    scan = simulated("axial")
    las = to_las(scan.image)
    few = Volume(las.data[:, :, 8:13], las.affine)
    curve = find_cord(few)
    truth = to_las(scan.centerline).data[:, :, 8:13]
    assert (curve.z[0], curve.z[-1]) == (0, 4)
    assert errors_mm(curve, few, Volume(truth, las.affine)).max() < 2.5


def stack(draw, slices=30):
    """Return a scan with the same slice everywhere, plus noise."""
    rng = np.random.default_rng(4)
    image = draw(rng)
    return np.stack([image + rng.normal(0, 0.05, image.shape) for _ in range(slices)], axis=2).astype(np.float32)


@pytest.mark.parametrize(
    "data",
    [
        np.random.default_rng(0).normal(0, 1, (120, 110, 40)).astype(np.float32),
        stack(_brain),
        stack(_limb),
        np.pad(np.ones((SIZE - 40, SIZE - 40, 20), np.float32), ((20, 20), (20, 20), (0, 0))),
    ],
    ids=["noise", "brain", "limb", "box"],
)
def test_a_scan_without_cord_is_refused(data):
    with pytest.raises(CordlesionError, match="no spinal cord was found"):
        find_cord(Volume(data, AFFINE))


REAL = {
    "t2": "t2_seg-manual",
    "t2_full": "t2_seg-manual",
    "t2_fake_lesion": "t2_fake_lesion_sc_seg",
    "sub-unf01_T2w": "sub-unf01_T2w_seg-manual",
    "PAM50_small_t2": "PAM50_small_cord",
    "t2star/sub-10062Ses1_run-1_T2starw": "t2star/sub-10062Ses1_run-1_T2starw_label-SC_seg",
    "t2star/sub-9418_run-1_T2starw": "t2star/sub-9418_run-1_T2starw_label-SC_seg",
    "t2star/sub-9604_run-1_T2starw": "t2star/sub-9604_run-1_T2starw_label-SC_seg",
}


@pytest.mark.parametrize("name", REAL)
def test_the_cord_of_real_scans_is_found(shared, name):
    image = read_scan(shared("data", "real", f"{name}.nii.gz"))
    drawn = read_centerline(shared("data", "real", f"{REAL[name]}.nii.gz"), image)
    curve = find_cord(image)
    assert ((drawn.z >= curve.z[0] - 0.5) & (drawn.z <= curve.z[-1] + 0.5)).mean() >= 0.97
    x, y = curve.at(drawn.z)
    dx, dy, _ = to_las(image).spacing_mm
    distances = np.hypot((x - drawn.x) * dx, (y - drawn.y) * dy)
    assert distances.mean() < 1.1
    assert distances.max() < 4


@pytest.mark.parametrize(
    ("name", "inferior", "superior"),
    [("t2", "border", "border"), ("t2_full", "border", "border"), ("t2_lumbar", "conus", "border"),
     ("PAM50_small_t2", "conus", None)],
)  # fmt: skip
def test_the_ends_of_real_cords_have_reasons(shared, name, inferior, superior):
    image = read_scan(shared("data", "real", f"{name}.nii.gz"))
    curve = find_cord(image)
    assert curve.ends.inferior == inferior
    assert superior in (None, curve.ends.superior)
    if name == "t2_full":
        assert (curve.z[0], curve.z[-1]) == (0, to_las(image).data.shape[2] - 1)


@pytest.mark.parametrize(
    "name", ["real/abdomen_mr", *(f"brain/sub-{n}_{kind}" for n in ("07", "19") for kind in ("T2w", "FLAIR"))]
)
def test_a_real_scan_without_a_clear_cord_is_refused(shared, name):
    with pytest.raises(CordlesionError, match="no spinal cord was found"):
        find_cord(read_scan(shared("data", f"{name}.nii.gz")))


def test_zeros_around_a_scan_hardly_change_the_curve(scan):
    las = to_las(scan.image)
    expected = find_cord(las)
    curve = find_cord(Volume(np.pad(las.data, ((8, 8), (16, 16), (0, 0))), las.affine))
    both = np.intersect1d(curve.z, expected.z)
    assert len(both) >= 0.97 * max(len(curve.z), len(expected.z))
    apart = np.subtract(curve.at(both), expected.at(both)) - np.array([[8], [16]])
    assert np.hypot(*(apart * np.array(las.spacing_mm[:2])[:, None])).max() < 1


def test_the_brainstem_and_the_conus_end_the_cord():
    """Stacks drawn from the pons to the lower back: the curve ends where the cord does, and says why."""
    reasons = []
    for subject in (1, 2, 7, 8):  # of the first ten, those in which the cord ends, and one in which it does not
        stack = draw_stack(31, subject, 4.0)
        cord = np.flatnonzero(stack.parts == Part.CORD)
        curve = find_cord(Volume(np.moveaxis(stack.images, 0, 2), AFFINE))
        assert abs(curve.z[0] - cord[0]) <= 10  # 20 mm of the conus are uncertain
        assert abs(curve.z[-1] - cord[-1]) <= 7
        reasons.append(curve.ends.superior if cord[-1] < len(stack.parts) - 4 else "")
        reasons.append(curve.ends.inferior if cord[0] > 4 else "")
    assert [reason for reason in reasons if reason] == ["brainstem", "brainstem", "conus"]


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 60), spacing=st.floats(0.2, 17))
def test_resampling_keeps_straight_lines_and_slabs_contain_each_slice_once(n, spacing):
    matrix = resampling(n, spacing).toarray()
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-5)
    pixels_mm = np.arange(len(matrix))
    # Not at the borders, where an average extends beyond the image.
    inner = slice(2, -2) if spacing < 1 else slice(None)
    np.testing.assert_allclose((matrix @ (np.arange(n) * spacing))[inner], pixels_mm[inner], atol=0.35)
    borders = slab_borders(n, spacing)
    assert (borders[0], borders[-1]) == (0, n)
    assert (np.diff(borders) >= 1).all()
    assert spacing * np.diff(borders).max() < max(2 * spacing, 6.5)
