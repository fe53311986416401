"""Rescans: the same person and lesions in one space, all else drawn again; the other scans stay the same."""

import numpy as np
import pytest

from cordlesion.dataset.repeats import read_repeats
from cordlesion.dataset.scan_names import scan_file
from cordlesion.errors import CordlesionError
from cordlesion.lesions.found_again import count_found_again
from cordlesion.metrics import RULES
from cordlesion.simulate import plan_cohort, plan_rescans, simulate_cohort, simulate_scan
from cordlesion.simulate.anatomy import S_MM, draw_anatomy
from cordlesion.simulate.rescan import placement
from cordlesion.simulate.scan import frame_of, scan_acquisition

SEED = 3


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    out = tmp_path_factory.mktemp("cohorts")
    for name, rescans in (("plain", 0), ("repeated", 1)):
        simulate_cohort(out / name, scans=2, seed=SEED, jobs=1, domain="reduced", rescans=rescans)
    return out


def test_the_other_scans_stay_the_same_byte_for_byte(cohorts):
    plain, repeated = contents(cohorts / "plain"), contents(cohorts / "repeated")
    new = {name for name in repeated if "repeat1" in name or "_sessions." in name}
    changed = {name for name in plain if plain[name] != repeated[name]}
    assert set(repeated) - set(plain) == new
    assert len(new) == 10
    assert changed <= {"code/simulation.json", "derivatives/labels/true_lesions.tsv"}


def test_a_finished_cohort_with_other_rescans_is_refused(cohorts):
    with pytest.raises(CordlesionError, match=r"2 reduced scans and 1 rescans with seed 3"):
        simulate_cohort(cohorts / "repeated", scans=2, seed=SEED, domain="reduced")
    with pytest.raises(CordlesionError, match="-1 rescans were requested"):
        simulate_cohort(cohorts / "new", scans=2, rescans=-1)


def test_the_tables_state_which_scans_repeat_each_other(cohorts):
    repeats = read_repeats(cohorts / "repeated")
    images = [scan_file(path) for path in sorted((cohorts / "repeated").glob("sub-*/*/anat/*_T2w.nii.gz"))]
    groups = [repeats.of(image, image.subject, image.session) for image in images]
    several = {group for group in groups if group and groups.count(group) > 1}
    assert len(images) == 3
    ((name, subject),) = several  # the other plane of the session is a group of one
    assert name == f"{subject}_acq-sag_repeat-ses-01"
    sessions = [image.session for image, group in zip(images, groups, strict=True) if group in several]
    assert sessions == ["01", "01repeat1"]


def test_more_rescans_contain_fewer_and_everybody_is_scanned_again_before_anybody_twice():
    subjects = plan_cohort(12, SEED)
    many = plan_rescans(subjects, SEED, 2 * len(subjects) + 1)
    assert plan_rescans(subjects, SEED, 5) == many[:5]
    assert [plan.repeat for plan in many] == [1] * len(subjects) + [2] * len(subjects) + [3]
    assert len({plan.subject for plan in many[: len(subjects)]}) == len(subjects)
    moved = [plan.site != plan.home_site for plan in plan_rescans(plan_cohort(161, SEED), SEED, 100)]
    assert 35 <= sum(moved) <= 65


def test_the_protocol_of_the_own_site_stays_and_the_position_changes():
    subjects = plan_cohort(161, SEED, "reduced")
    by_index = {subject.index: subject for subject in subjects}
    for plan in plan_rescans(subjects, SEED, 30):
        first = scan_acquisition(by_index[plan.subject].scans(SEED)[0])
        again = scan_acquisition(plan)
        assert again.pose != first.pose
        assert again.noise != first.noise
        assert abs(again.pose.centre_s_mm - first.pose.centre_s_mm) <= 10
        if plan.site == plan.home_site:
            assert (again.shape, again.spacing_mm) == (first.shape, first.spacing_mm)


def test_lesions_are_the_same_and_have_the_same_place_in_both_headers():
    subjects = plan_cohort(40, SEED, "reduced")
    by_index = {subject.index: subject for subject in subjects}
    plans = [plan for plan in plan_rescans(subjects, SEED, 30) if not plan.lesion_free]
    moved = next(plan for plan in plans if plan.site != plan.home_site)
    stayed = next(plan for plan in plans if plan.site == plan.home_site)
    for plan in (moved, stayed):
        scans = [simulate_scan(by_index[plan.subject].scans(SEED)[0]), simulate_scan(plan)]
        assert scans[0].lesions == scans[1].lesions
        masks = [np.asarray(scan.true_lesions.data) for scan in scans]
        affines, spacings = [scan.image.affine for scan in scans], [scan.image.spacing_mm for scan in scans]
        found, seen = count_found_again(masks, affines, spacings, RULES["study"])
        assert found == seen > 0
        away = affines[1].copy()
        away[2, 3] += 60
        assert count_found_again(masks, [affines[0], away], spacings, RULES["study"])[0] < found


def test_a_point_of_the_cord_has_one_place_in_both_spaces():
    subjects = plan_cohort(60, SEED)
    by_index = {subject.index: subject for subject in subjects}
    for plan in plan_rescans(subjects, SEED, 12):
        anatomy = draw_anatomy(plan.seed, plan.subject, plan.person)
        acquisitions = [scan_acquisition(by_index[plan.subject].scans(SEED)[0]), scan_acquisition(plan)]
        first, second = (frame_of(anatomy, one) for one in acquisitions)
        low, high = acquisitions[1].covered_mm
        in_view = (low <= S_MM) & (high >= S_MM)
        rotation, shift = placement(first, second, in_view)
        places = [np.stack([one.x_mm, one.y_mm, one.z_mm], axis=1)[in_view] for one in (first, second)]
        apart = np.linalg.norm(places[1] @ rotation.T + shift - places[0], axis=1)
        assert np.linalg.det(rotation) == pytest.approx(1)
        assert apart.max() < 0.5
