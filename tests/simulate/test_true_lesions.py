"""The table of true lesions of simulated scans, and the masks with their numbers."""

import shutil

import numpy as np
import pytest
from scipy import ndimage

from cordlesion.io.tables import read_table
from cordlesion.io.volume import read_mask, read_volume
from cordlesion.simulate import plan_cohort, simulate_cohort, simulate_scan
from cordlesion.simulate.bids import scan_name
from cordlesion.simulate.numbered import number_lesions
from cordlesion.simulate.true_lesions import TRUE_LESIONS


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "data"
    simulate_cohort(folder, scans=3, seed=2, jobs=1)
    return folder


def test_every_true_voxel_has_a_number_and_every_number_a_row(cohort):
    table = read_table(cohort / "derivatives/labels/true_lesions.tsv", TRUE_LESIONS)
    masks = sorted(cohort.rglob("*_label-lesion_desc-true_seg.nii.gz"))
    assert len(masks) == 3
    for path in masks:
        true = read_mask(path)
        numbered = read_volume(str(path).replace("label-lesion_desc-true_seg", "desc-lesions_dseg"))
        np.testing.assert_array_equal(true.data, numbered.data > 0)
        rows = table[table["scan_id"] == path.name.split("_label")[0]]
        assert rows["lesion"].tolist() == list(range(1, len(rows) + 1))
        volumes = np.bincount(numbered.data.ravel(), minlength=len(rows) + 1)[1:] * np.prod(true.spacing_mm)
        assert volumes == pytest.approx(rows["mask_volume_mm3"], rel=1e-3, abs=0.01)
    assert len(table) > 3
    # Together the masks have the drawn volume; a lesion that lies in the view in part has less than the spindle.
    assert table["mask_volume_mm3"].sum() == pytest.approx(table["volume_mm3"].sum(), rel=0.15)


def test_numbers_follow_the_lesions_that_were_drawn():
    plan = next(
        plan for subject in plan_cohort(161, 0) for plan in subject.scans(0) if not plan.lesion_free and plan.scan == 0
    )
    scan = simulate_scan(plan)
    numbered, rows = number_lesions(scan, scan_name(plan), "sub-001")
    in_view = [lesion for lesion in scan.lesions if any(row.length_mm == round(lesion.length_mm, 2) for row in rows)]
    assert len(in_view) == len(rows) > 0
    for row, lesion in zip(rows, in_view, strict=True):
        assert (row.column, row.contrast) == (lesion.column, round(scan.signals.contrast(lesion), 4))
        assert row.volume_mm3 < 2.5 * lesion.volume_mm3
        if row.mask_volume_mm3 > 30:
            # A lesion is one piece, or nearly.
            labels, _ = ndimage.label(numbered == row.lesion, np.ones((3, 3, 3)))
            assert np.bincount(labels.ravel())[1:].max() > 0.8 * (numbered == row.lesion).sum()
    assert [row.position_mm for row in rows] == sorted(row.position_mm for row in rows)


def test_a_complete_cohort_of_an_earlier_version_is_left_as_it_is(cohort, tmp_path):
    older = shutil.copytree(cohort, tmp_path / "older")
    for path in (*older.rglob("*_dseg.*"), *older.rglob("true_lesions.*")):
        path.unlink()
    before = {path: path.stat().st_mtime_ns for path in older.rglob("*.nii.gz")}
    simulate_cohort(older, scans=3, seed=2, jobs=1)
    assert {path: path.stat().st_mtime_ns for path in older.rglob("*.nii.gz")} == before
    assert not list(older.rglob("true_lesions.tsv"))
