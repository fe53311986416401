import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from cordlesion.simulate import ScanPlan, second_reader, simulate_scan
from cordlesion.simulate.acquisition import draw_acquisition
from cordlesion.simulate.anatomy import Person
from cordlesion.simulate.site import ORIENTATIONS, draw_site

SAGITTAL = ScanPlan(
    seed=5, subject=3, scan=0, site=1, person=Person(40.0, "F"), session=1, plane="sagittal", region="cervical",
    lesion_free=False, lesion_scans=((0, "sagittal", "cervical"),),
)  # fmt: skip
AXIAL = ScanPlan(
    seed=5, subject=4, scan=0, site=2, person=Person(30.0, "M"), session=1, plane="axial", region="cervical",
    lesion_free=True, lesion_scans=(),
)  # fmt: skip


@pytest.fixture(scope="module")
def sagittal():
    return simulate_scan(SAGITTAL)


@pytest.fixture(scope="module")
def axial():
    return simulate_scan(AXIAL)


def canonical(volume):
    return nib.orientations.apply_orientation(volume.data, nib.orientations.io_orientation(volume.affine))


@pytest.mark.parametrize("name", ["sagittal", "axial"])
def test_masks_share_the_grid_of_the_image(name, request):
    scan = request.getfixturevalue(name)
    assert scan.image.data.dtype == np.int16
    for mask in (scan.true_lesions, scan.reference, scan.cord, scan.centerline):
        assert mask.data.dtype == bool
        assert mask.data.shape == scan.image.data.shape
        np.testing.assert_array_equal(mask.affine, scan.image.affine)


@pytest.mark.parametrize("name", ["sagittal", "axial"])
def test_file_geometry(name, request):
    scan = request.getfixturevalue(name)
    assert scan.image.orientation == scan.site.orientation
    spacing = dict(zip((axis_of(letter) for letter in scan.image.orientation), scan.image.spacing_mm, strict=True))
    assert tuple(spacing[axis] for axis in "RAS") == pytest.approx(scan.acquisition.spacing_mm)
    rotation = scan.image.affine[:3, :3] / scan.image.spacing_mm
    assert rotation.T @ rotation == pytest.approx(np.eye(3), abs=1e-9)
    # Oblique: no row of the matrix is a plain axis.
    assert np.abs(rotation).max() < 1


def axis_of(letter):
    return {"L": "R", "R": "R", "P": "A", "A": "A", "I": "S", "S": "S"}[letter]


@pytest.mark.parametrize("name", ["sagittal", "axial"])
def test_centerline_has_one_voxel_in_the_middle_of_each_slice_with_cord(name, request):
    scan = request.getfixturevalue(name)
    line, cord = canonical(scan.centerline), canonical(scan.cord)
    np.testing.assert_array_equal(line.sum(axis=(0, 1)), cord.any(axis=(0, 1)))
    spacing = scan.acquisition.spacing_mm
    with_cord = np.flatnonzero(cord.any(axis=(0, 1)))
    tenth = len(with_cord) // 10
    for z in with_cord[tenth:-tenth:tenth]:
        x, y = np.argwhere(line[..., z])[0]
        centre = ndimage.center_of_mass(cord[..., z])
        offset_mm = np.hypot((x - centre[0]) * spacing[0], (y - centre[1]) * spacing[1])
        assert offset_mm < 2.5


@pytest.mark.parametrize("name", ["sagittal", "axial"])
def test_fluid_is_brighter_than_cord_and_cord_than_air(name, request):
    scan = request.getfixturevalue(name)
    image, cord = canonical(scan.image).astype(float), canonical(scan.cord)
    slices = 0 if scan.acquisition.plane == "sagittal" else 2
    plane = np.ones([1 if axis == slices else 3 for axis in range(3)], dtype=bool)
    core = ndimage.binary_erosion(cord, plane, iterations=3)
    shell = ndimage.binary_dilation(cord, plane, iterations=4) & ~ndimage.binary_dilation(cord, plane, iterations=1)
    assert np.percentile(image[shell], 75) > 1.5 * np.median(image[core])
    assert np.percentile(image, 5) < 0.2 * np.median(image[core])


def test_lesions_lie_in_the_cord(sagittal):
    assert sagittal.true_lesions.data.any()
    assert sagittal.reference.data.any()
    outside = sagittal.true_lesions.data & ~ndimage.binary_dilation(sagittal.cord.data)
    assert not outside.any()


def test_true_lesions_are_brighter_than_the_cord_around(sagittal):
    image, lesions, cord = (canonical(v) for v in (sagittal.image, sagittal.true_lesions, sagittal.cord))
    around = ndimage.binary_dilation(lesions, iterations=6) & ndimage.binary_erosion(cord) & ~lesions
    assert np.median(image[lesions]) > 1.1 * np.median(image[around])


def test_lesion_free_scan_has_an_empty_reference(axial):
    assert not axial.reference.data.any()
    assert axial.cord.data.any()


def test_same_plan_gives_the_same_scan(axial):
    again = simulate_scan(AXIAL)
    np.testing.assert_array_equal(axial.image.data, again.image.data)
    np.testing.assert_array_equal(axial.image.affine, again.image.affine)


def test_second_reader_of_the_same_scan_differs(sagittal):
    second, third = second_reader(sagittal, 1), second_reader(sagittal, 2)
    assert second.data.shape == sagittal.image.data.shape
    assert not np.array_equal(second.data, sagittal.reference.data)
    assert not np.array_equal(second.data, third.data)
    np.testing.assert_array_equal(second.data, second_reader(sagittal, 1).data)


def test_protocols_resemble_the_paper():
    sites = [draw_site(seed, index) for seed in range(8) for index in range(13)]
    scans = [draw_acquisition(0, i, 0, site, "sagittal", "cervical") for i, site in enumerate(sites)]
    pixels, slices = [scan.pixel_mm for scan in scans], [scan.slice_mm for scan in scans]
    assert np.mean(pixels) == pytest.approx(0.58, abs=0.05)
    assert np.std(pixels) == pytest.approx(0.12, abs=0.04)
    assert np.mean(slices) == pytest.approx(2.81, abs=0.08)
    assert all(11 <= scan.slices <= 15 for scan in scans)
    assert {site.manufacturer for site in sites[:13]} == {"Siemens", "Philips", "GE", "Canon"}
    assert {site.orientation for site in sites} == set(ORIENTATIONS)


def test_axial_protocols():
    scans = [draw_acquisition(0, i, 0, draw_site(0, i % 13), "axial", "cervical") for i in range(60)]
    assert np.mean([scan.pixel_mm for scan in scans]) == pytest.approx(0.67, abs=0.04)
    assert {scan.slice_mm for scan in scans} <= {3.0, 3.3, 4.0, 5.0, 7.5}
    assert all(19 <= scan.slices <= 40 for scan in scans)
