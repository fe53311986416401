"""The varied domain: wider than real protocols, and the clinical one is what it was."""

import numpy as np
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.simulate import plan_cohort, simulate_cohort, simulate_scan
from cordlesion.simulate.anatomy import draw_anatomy
from cordlesion.simulate.frame import cord_frame
from cordlesion.simulate.scan import _acquisition, _half_extent_mm

SCANS, SEED = 200, 5


@pytest.fixture(scope="module")
def plans():
    return [plan for subject in plan_cohort(SCANS, SEED, "varied") for plan in subject.scans(SEED)]


@pytest.fixture(scope="module")
def acquisitions(plans):
    return [_acquisition(plan, plan.scan, plan.plane, plan.region) for plan in plans]


def test_every_scan_is_of_another_subject_and_site_and_two_of_five_have_no_lesions(plans):
    assert len(plans) == len({plan.subject for plan in plans}) == len({plan.site for plan in plans}) == SCANS
    assert sum(plan.lesion_free for plan in plans) == 80
    again = [plan for subject in plan_cohort(SCANS, SEED, "varied") for plan in subject.scans(SEED)]
    assert again == plans


def test_thin_and_thick_slices_occur_and_ranges_are_wide(acquisitions):
    slices = np.array([one.slice_mm for one in acquisitions])
    sagittal = np.array([one.plane == "sagittal" for one in acquisitions])
    thin = np.array([one.is_3d for one in acquisitions])
    assert 0.35 < np.mean(thin[sagittal]) < 0.55
    assert not thin[~sagittal].any()
    assert slices.min() < 0.85
    assert slices[~sagittal].max() > 7
    noise = np.array([one.noise for one in acquisitions])
    assert noise.min() < 0.02
    assert noise.max() > 0.14
    assert any(one.filter_sd_mm == 0 for one in acquisitions)


def test_the_cord_stays_in_the_cropped_field_of_view(plans, acquisitions):
    for plan, acquisition in zip(plans[:60], acquisitions, strict=False):
        anatomy = draw_anatomy(plan.seed, plan.subject, plan.person)
        frame = cord_frame(anatomy, acquisition.pose, *_half_extent_mm(acquisition))
        s, x, y = frame.at_height(acquisition.axis_mm(2))
        cord = (s > 0) & (s < anatomy.conus_mm - 30)
        half_x, half_y = (acquisition.axis_mm(axis)[-1] for axis in (0, 1))
        assert cord.any()
        # 10 mm around the centre: the cord and its fluid.
        assert np.mean((np.abs(x) < half_x - 10) & (np.abs(y) < half_y - 10), where=cord) > 0.9


def test_a_careful_reader_marks_what_can_be_seen(plans):
    free = next(plan for plan in plans if plan.lesion_free)
    scan = simulate_scan(free)
    assert not scan.reference.data.any()
    np.testing.assert_array_equal(scan.image.data, simulate_scan(free).image.data)
    seen = simulate_scan(next(plan for plan in plans if not plan.lesion_free and plan.plane == "axial"))
    marked, true = seen.reference.data, seen.true_lesions.data
    assert marked.any()
    # Outlines differ by a tenth of a millimetre, and lesions that cannot be seen are left out.
    assert (marked & true).sum() > 0.85 * marked.sum()
    assert seen.signals.contrast_range == (1.2, 2.8)


def test_a_folder_of_one_domain_is_not_continued_in_the_other(tmp_path):
    simulate_cohort(tmp_path / "data", scans=1, seed=2, domain="varied", jobs=1)
    with pytest.raises(CordlesionError, match=r"1 varied scans with seed 2 .*, not 1 clinical scans with seed 2"):
        simulate_cohort(tmp_path / "data", scans=1, seed=2)
