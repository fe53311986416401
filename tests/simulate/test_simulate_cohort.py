import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.errors import CordlesionError
from cordlesion.simulate import plan_cohort, simulate_cohort
from cordlesion.simulate.bids import scan_name

SCANS, SEED = 3, 1
LABELS = "derivatives/labels"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    out = tmp_path_factory.mktemp("cohort") / "data"
    simulate_cohort(out, scans=SCANS, seed=SEED, jobs=1)
    return out


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def report(folder, *options):
    """Return the report of the BIDS validator for a dataset."""
    validator = Path(sys.executable).with_name("bids-validator-deno")
    if not validator.exists():
        pytest.skip("bids-validator-deno is not installed")
    command = [validator, "--format", "json", *options, folder]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def errors(summary):
    """Return the codes of the errors in a report, with their files."""
    issues = summary["issues"]["issues"]
    return {(issue["code"], issue.get("location")) for issue in issues if issue.get("severity") == "error"}


# --- the plan ---


def scans_of(cohort, seed=SEED):
    return [plan for subject in cohort for plan in subject.scans(seed)]


@pytest.mark.parametrize("seed", range(5))
def test_default_cohort_has_the_proportions_of_the_paper(seed):
    cohort = plan_cohort(161, seed)
    plans = scans_of(cohort, seed)
    assert (len(plans), len(cohort)) == (161, 108)
    assert len({subject.site for subject in cohort}) == 13
    assert sum(plan.lesion_free for plan in plans) == 46
    assert sum(subject.person.sex == "F" for subject in cohort) == 86
    ages = np.array([subject.person.age for subject in cohort])
    assert ages.mean() == pytest.approx(35.84, abs=1)
    assert ages.std() == pytest.approx(10.42, abs=1)
    assert 0.05 < np.mean([plan.plane == "axial" for plan in plans]) < 0.25


def test_some_subjects_have_scans_of_both_kinds():
    mixed = [subject for subject in plan_cohort(161, 0) if len(set(subject.lesion_free)) == 2]
    assert len(mixed) >= 3
    for subject in mixed:
        free = [
            session for (session, _, _), is_free in zip(subject.protocols, subject.lesion_free, strict=True) if is_free
        ]
        assert set(free) == {1}


@settings(deadline=None, max_examples=60)
@given(scans=st.integers(1, 220), seed=st.integers(0, 10_000))
def test_plan_has_the_proportions_at_any_size(scans, seed):
    cohort = plan_cohort(scans, seed)
    plans = scans_of(cohort, seed)
    assert len(plans) == scans
    assert len({scan_name(plan) for plan in plans}) == scans
    assert abs(sum(plan.lesion_free for plan in plans) - scans * 46 / 161) <= 1.5
    assert sorted({subject.site for subject in cohort}) == list(range(len({subject.site for subject in cohort})))


# --- on disk ---


def test_dataset_and_labels_are_valid_bids(cohort):
    assert errors(report(cohort)) == set()
    assert errors(report(cohort / LABELS)) == set()


def test_recursive_validation_reports_only_the_seg_suffix(cohort):
    # With --recursive the validator does not read the .bidsignore of the derivative.
    whole = report(cohort, "--recursive")
    assert errors(whole) == set()
    found = errors(whole["derivativesSummary"][f"/{LABELS}/"])
    assert {code for code, _ in found} == {"NOT_INCLUDED"}
    labels = ("_seg.nii.gz", "/true_lesions.tsv", "/true_lesions.json")
    assert all(location.endswith(labels) for _, location in found)


def test_validator_notices_a_broken_dataset(cohort, tmp_path):
    broken = tmp_path / "broken"
    for name, content in contents(cohort).items():
        if not name.startswith("derivatives"):
            target = broken / name.replace("_acq-", "_acquisition-")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    assert errors(report(broken))


def test_every_scan_has_its_files(cohort):
    plans = scans_of(plan_cohort(SCANS, SEED))
    for plan in plans:
        folder = f"sub-{plan.subject + 1:03d}/ses-{plan.session:02d}/anat"
        image = nib.load(cohort / folder / f"{scan_name(plan)}_T2w.nii.gz")
        assert image.get_data_dtype() == np.int16
        assert image.header.get_xyzt_units()[0] == "mm"
        for label in ("label-lesion", "label-lesion_desc-true", "label-cord", "label-centerline"):
            mask = nib.load(cohort / LABELS / folder / f"{scan_name(plan)}_{label}_seg.nii.gz")
            np.testing.assert_array_equal(mask.affine, image.affine)
            assert set(np.unique(mask.dataobj)) <= {0, 1}
            if label == "label-lesion":
                assert np.any(mask.dataobj) != plan.lesion_free
        sidecar = json.loads((cohort / folder / f"{scan_name(plan)}_T2w.json").read_text())
        assert {"Manufacturer", "MagneticFieldStrength", "EchoTime", "RepetitionTime"} <= set(sidecar)


def test_participants_table(cohort):
    rows = [line.split("\t") for line in (cohort / "participants.tsv").read_text().splitlines()]
    assert rows[0] == ["participant_id", "age", "sex", "site", "scanner"]
    assert [row[0] for row in rows[1:]] == sorted(p.name for p in cohort.glob("sub-*"))
    assert set(json.loads((cohort / "participants.json").read_text())) == set(rows[0][1:])


def test_bytes_do_not_depend_on_jobs(cohort, tmp_path):
    simulate_cohort(tmp_path / "again", scans=SCANS, seed=SEED, jobs=2)
    assert contents(tmp_path / "again") == contents(cohort)


def test_interrupted_cohort_is_completed_without_repeating_work(cohort):
    before = contents(cohort)
    sidecar = sorted(cohort.glob("sub-*/*/anat/*.json"))[0]
    image = sidecar.with_suffix(".nii.gz")
    sidecar.unlink()
    image.write_bytes(b"half a file")
    others = {p: p.stat().st_mtime_ns for p in cohort.rglob("*T2w.nii.gz") if p != image}
    simulate_cohort(cohort, scans=SCANS, seed=SEED, jobs=1)
    assert contents(cohort) == before
    assert {p: p.stat().st_mtime_ns for p in others} == others


def test_other_content_is_refused(cohort, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CordlesionError, match="not empty"):
        simulate_cohort(tmp_path, scans=1)
    with pytest.raises(CordlesionError, match=f"{SCANS} clinical scans with seed {SEED}"):
        simulate_cohort(cohort, scans=SCANS, seed=SEED + 1)
    with pytest.raises(CordlesionError, match="is a file"):
        simulate_cohort(tmp_path / "notes.txt", scans=1)
    with pytest.raises(CordlesionError, match="at least 1"):
        simulate_cohort(tmp_path / "new", scans=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.txt"]


def test_the_former_name_of_the_output_still_works(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with (
        pytest.warns(DeprecationWarning, match=r"simulate_cohort\(out=...\) is deprecated; use output="),
        pytest.raises(CordlesionError, match="not empty"),
    ):
        simulate_cohort(out=tmp_path, scans=1)
