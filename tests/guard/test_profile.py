"""The profile of a training set: which scans represent it, its file, and files that are no profile."""

import json
from collections import Counter

import numpy as np
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.guard import profile as profiles
from cordlesion.guard.profile import (
    FILE,
    MIN_SUBJECTS,
    choose_scans,
    make_profile,
    profile_scan,
    read_profile,
    write_profile,
)
from support.stacks import SPACING_MM, cord_stack


@pytest.fixture(scope="module")
def profile():
    subjects = [[profile_scan(cord_stack(10 * k + n), SPACING_MM) for n in range(1 + k % 2)] for k in range(9)]
    return make_profile(subjects, "stacks of a test")


def test_one_scan_represents_each_subject_whatever_their_order():
    scans = {f"sub-{k:02d}_run-{n}": f"sub-{k:02d}" for k in range(30) for n in range(1 + k % 3)}
    chosen = choose_scans(scans)
    assert choose_scans(dict(reversed(scans.items()))) == chosen
    assert sorted(scan for group in chosen.values() for scan in group) == sorted(scans)
    assert all(scans[scan] == subject for subject, group in chosen.items() for scan in group)
    first = Counter(group[0][-1] for group in chosen.values() if len(group) == 3)
    assert len(first) == 3, "no run always represents its subject"


def test_large_cohorts_are_represented_by_some_subjects(monkeypatch):
    monkeypatch.setattr(profiles, "MAX_SUBJECTS", 20)
    scans = {f"{k}-{n}": f"{k}" for k in range(50) for n in range(2)}
    chosen = choose_scans(scans)
    assert len(chosen) == 20
    assert all(len(group) == 2 for group in chosen.values())


def test_a_profile_is_read_as_it_was_written(profile, tmp_path):
    assert read_profile(tmp_path) is None
    write_profile(tmp_path, profile)
    assert read_profile(tmp_path) == profile
    assert "sub-" not in (tmp_path / FILE).read_text(), "no names of subjects"


def test_a_profile_holds_the_scans_and_the_largest_lesions(profile):
    assert (profile.n_subjects, len(profile.voxels_mm)) == (9, 13)
    first = profile_scan(cord_stack(30), SPACING_MM)
    assert profile.features["cord_level"][3] == pytest.approx(first.features["cord_level"], abs=1e-5)
    assert first.voxels_mm == pytest.approx((2.8, 0.6, 0.6), abs=1e-3)
    stacks = [cord_stack(10 * k + n).reference for k in range(9) for n in range(1 + k % 2)]
    lengths = [np.ptp(np.argwhere(mask)[:, 2]) + 1 for mask in stacks]
    assert profile.lesions.n_lesions == 1
    assert profile.lesions.longest_share == pytest.approx(max(lengths) / 40)
    section = max(mask.sum() for mask in stacks) * SPACING_MM**3 / (40 * SPACING_MM)
    assert profile.lesions.mean_section_mm2 == pytest.approx(section, abs=1e-3)


def test_few_subjects_have_no_profile():
    scan = profile_scan(cord_stack(1), SPACING_MM)
    assert make_profile([[scan]] * (MIN_SUBJECTS - 1)) is None
    assert make_profile([[scan]] * MIN_SUBJECTS) is not None


def test_lesions_beyond_the_cord_have_no_share_of_it():
    scan = profile_scan(cord_stack(1, background=1.0), SPACING_MM)
    assert (scan.n_lesions, scan.longest_share, scan.mean_section_mm2) == (1, None, None)
    assert make_profile([[scan]] * MIN_SUBJECTS).lesions.longest_share is None


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"features": {}},
        {"features": {"hue": [0.0] * 9}},
        {"features": {"median": [0.0] * 8}},
        {"features": {"median": [0.0] * 8 + [float("inf")]}},
        {"voxels_mm": [[0.0, 1.0, 1.0]] * 13},
        {"voxels_mm": [[1.0, 1.0, 1.0]] * 12},
        {"subjects": [0] * 13},
        {"lesions": {"n_lesions": -1}},
        {"unknown": 1},
    ],
)
def test_a_damaged_profile_is_refused_with_a_sentence(profile, tmp_path, change):
    (tmp_path / FILE).write_text(json.dumps(profile.model_dump(mode="json") | change))
    with pytest.raises(CordlesionError, match=r"profile\.json: .* Remove this file"):
        read_profile(tmp_path)


def test_a_file_that_is_no_json_is_refused(tmp_path):
    (tmp_path / FILE).write_text("{")
    with pytest.raises(CordlesionError, match=r"profile\.json"):
        read_profile(tmp_path)
