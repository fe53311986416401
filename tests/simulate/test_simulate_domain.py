"""The varied domain is wider than real protocols; the reduced one has the clinical ones around the canal only."""

from dataclasses import replace

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


@pytest.fixture(scope="module")
def reduced():
    plans = [plan for subject in plan_cohort(60, SEED, "reduced") for plan in subject.scans(SEED)]
    return [(plan, _acquisition(plan, plan.scan, plan.plane, plan.region)) for plan in plans]


def test_a_reduced_field_of_view_keeps_cohort_and_image_quality_and_a_seventh_of_the_voxels(reduced):
    clinical = [plan for subject in plan_cohort(60, SEED) for plan in subject.scans(SEED)]
    assert [replace(plan, domain="clinical") for plan, _ in reduced] == clinical
    whole = [_acquisition(plan, plan.scan, plan.plane, plan.region) for plan in clinical]
    same = {"pixel_mm", "slice_mm", "acquired_mm", "noise", "artefacts", "filter_sd_mm"}
    assert all(
        getattr(one, name) == getattr(other, name)
        for (_, one), other in zip(reduced, whole, strict=True)
        for name in same
    )
    ratio = np.mean([np.prod(other.shape) / np.prod(one.shape) for (_, one), other in zip(reduced, whole, strict=True)])
    assert 6 < ratio < 10


def test_each_scan_with_lesions_of_the_reduced_domain_shows_one(reduced):
    plan, acquisition = next((plan, one) for plan, one in reduced if not plan.lesion_free)
    scan = simulate_scan(plan)
    assert scan.reference.data.any()
    assert sorted(scan.image.data.shape) == sorted(acquisition.shape)


# Around the centre: the cord, and in the varied domain its fluid.
@pytest.mark.parametrize(("domain", "margin_mm"), [("reduced", 6), ("varied", 10)])
def test_the_cord_stays_in_the_cropped_field_of_view(plans, acquisitions, reduced, domain, margin_mm):
    of_domain = reduced if domain == "reduced" else zip(plans[:60], acquisitions, strict=False)
    for plan, acquisition in of_domain:
        anatomy = draw_anatomy(plan.seed, plan.subject, plan.person)
        frame = cord_frame(anatomy, acquisition.pose, *_half_extent_mm(acquisition))
        s, x, y = frame.at_height(acquisition.axis_mm(2))
        cord = (s > 0) & (s < anatomy.conus_mm - 30)
        half_x, half_y = (acquisition.axis_mm(axis)[-1] for axis in (0, 1))
        assert cord.any()
        assert np.mean((np.abs(x) < half_x - margin_mm) & (np.abs(y) < half_y - margin_mm), where=cord) > 0.9


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
