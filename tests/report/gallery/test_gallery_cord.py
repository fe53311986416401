"""Where lesions lie: depth along the cord, and which lie mostly outside it."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from cordlesion.config import PreprocessConfig
from cordlesion.cord.centerline import Centerline
from cordlesion.io.volume import Volume
from cordlesion.lesions.measure import cord_ruler
from cordlesion.preprocess.cord_stack import stack_geometry
from cordlesion.report.gallery.cord import FAR_MM, CordPlace, find_cord_place, stack_centerline
from cordlesion.study_folder.results import StudyResults, read_results

SPACING_MM = (0.8, 0.6, 2.0)
SHAPE = (60, 70, 25)


@pytest.fixture
def scan() -> Volume:
    return Volume(np.zeros(SHAPE, np.float32), np.diag([-SPACING_MM[0], *SPACING_MM[1:], 1.0]))


@pytest.fixture
def drawn() -> Centerline:
    """A cord that runs obliquely through all slices but the first and last three."""
    z = np.arange(3.0, 22.0)
    return Centerline(25 + 0.4 * z, 40 - 0.5 * z, z)


def test_the_middle_of_a_stack_is_the_curve_it_was_cut_along(scan: Volume, drawn: Centerline) -> None:
    config = PreprocessConfig(centerline_smoothing_mm=0)
    middle = stack_centerline(stack_geometry(scan, drawn, config))
    x, y = drawn.at(middle.z)
    # Crops start at whole voxels of the isotropic grid.
    assert np.abs(middle.x - x).max() * SPACING_MM[0] <= config.spacing_mm / 2 + 1e-9
    assert np.abs(middle.y - y).max() * SPACING_MM[1] <= config.spacing_mm / 2 + 1e-9
    ends_mm = (middle.z[[0, -1]] - drawn.z[[0, -1]]) * SPACING_MM[2]
    assert np.abs(ends_mm).max() <= SPACING_MM[2] / 2


def block(center: tuple[float, float, float], radius: int) -> np.ndarray:
    edges = [np.arange(round(middle) - radius, round(middle) + radius + 1) for middle in center]
    return np.stack(np.meshgrid(*edges, indexing="ij"), axis=-1).reshape(-1, 3)


def test_a_lesion_far_from_the_curve_is_outside(scan: Volume, drawn: Centerline) -> None:
    place = CordPlace(cord_ruler(scan, drawn), drawn, None)
    x, y = (float(axis[0]) for axis in drawn.at(np.array([10.0])))
    far = FAR_MM / SPACING_MM[0]
    assert not place.is_outside(block((x, y, 10), 2), SPACING_MM)
    assert not place.is_outside(block((x + far - 3, y, 10), 1), SPACING_MM)
    assert place.is_outside(block((x + far + 3, y, 10), 1), SPACING_MM)
    assert not replace(place, centerline=None).is_outside(block((x + far + 3, y, 10), 1), SPACING_MM)


def test_a_cord_mask_counts_more_than_the_curve(scan: Volume, drawn: Centerline) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[:30] = True
    place = CordPlace(cord_ruler(scan, drawn), drawn, mask)
    assert not place.is_outside(block((29, 5, 10), 1), SPACING_MM)  # two thirds are inside
    assert place.is_outside(block((30, 5, 10), 1), SPACING_MM)  # one third is


def test_the_depth_is_along_the_cord(scan: Volume, drawn: Centerline) -> None:
    place = CordPlace(cord_ruler(scan, drawn), drawn, None)
    step_mm = np.linalg.norm(np.array([0.4, -0.5, 1.0]) * SPACING_MM)
    # The last slice begins half a slice above its middle; beyond its ends the curve goes straight on.
    depth_mm, length_mm = 1.0 + 9 * step_mm, 2.0 + 18 * step_mm
    assert place.level(12) == f"{depth_mm:.0f} mm down the cord ({100 * depth_mm / length_mm:.0f} %)"
    straight = CordPlace(cord_ruler(scan, None), None, None)
    assert straight.level(SHAPE[2] - 1) == "1 mm below the top of the image"


def test_what_a_study_lacks_is_unknown(results: StudyResults) -> None:
    scan_id, files = next(iter(results.manifest["scans"].items()))
    image = nib.load(results.folder.root / files["image"])
    scan = Volume(np.asarray(image.dataobj, np.float32), image.affine)
    gone = replace(results, manifest={**results.manifest, "scans": {scan_id: {**files, "cord_mask": "gone.nii.gz"}}})
    for study in (gone, read_results(results.folder.root)):
        place = find_cord_place(study, scan_id, scan)
        assert place.mask is None
        assert not place.is_outside(block((4, 20, 30), 1), scan.spacing_mm)
