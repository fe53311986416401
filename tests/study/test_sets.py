"""Test-set references are out of reach until the thresholds are written: each wrong order fails."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cordlesion.config import SETS, LossConfig, SplitConfig, StudyConfig, ThresholdConfig
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError
from cordlesion.io.tables import write_table
from cordlesion.study.sets import Cohort, TunedThreshold, close_test_sets, require_scans
from cordlesion.study_folder.folder import StudyFolder

CLOSED = "the test set stays closed until every threshold is fixed"


def make_cohort(tmp_path, folds=1):
    """Four subjects, each in one set; with folds they move on by one set per fold."""
    config = StudyConfig(
        name="closed",
        dataset=tmp_path,
        output=tmp_path,
        split=SplitConfig(folds=folds),
        losses=(LossConfig(name="bce"), LossConfig(name="dice")),
    )
    names = [f"sub-{n}" for n in range(4)]
    scans = {name: Scan(name, name, "", "", Path(f"{name}.nii"), Path(f"{name}_secret.nii")) for name in names}
    rows = [
        {"scan_id": name, "fold": fold, "set": SETS[(n + fold - 1) % 4], "reference_volume_mm3": 9.0}
        for fold in range(1, folds + 1)
        for n, name in enumerate(names)
    ]
    splits = pd.DataFrame(rows).drop(columns=[] if folds > 1 else "fold")
    return Cohort(config, StudyFolder(tmp_path), scans, {name: {} for name in names}, splits, {})


def write_thresholds(study, runs, **columns):
    rows = [{**run.columns, "threshold": 0.1 * (n + 1), **columns} for n, run in enumerate(runs)]
    write_table(study.folder.thresholds, pd.DataFrame(rows))


def tuned_to(value):
    return TunedThreshold.of_row({"threshold": value})


def test_the_sets_that_may_be_fitted_on_are_open(tmp_path):
    study = close_test_sets(make_cohort(tmp_path))
    assert {name: study.in_set(name)[0].scan_id for name in SETS[:3]} == {
        "train": "sub-0",
        "validation": "sub-1",
        "threshold": "sub-2",
    }


def test_before_any_threshold_is_written_the_test_set_is_closed(tmp_path):
    study = close_test_sets(make_cohort(tmp_path))
    for ask in (lambda: study.in_set("test"), study.open_test):
        with pytest.raises(CordlesionError, match=CLOSED):
            ask()


def test_a_study_shows_no_reference_of_its_test_set(tmp_path):
    study = close_test_sets(make_cohort(tmp_path))
    assert "sub-2_secret.nii" in repr(study)
    assert "sub-3_secret.nii" not in repr(study)


def test_while_one_run_has_no_threshold_the_test_set_is_closed(tmp_path):
    study = close_test_sets(make_cohort(tmp_path))
    write_thresholds(study, study.config.runs[:1])
    with pytest.raises(CordlesionError, match=rf"has no threshold of dice_seed-0; {CLOSED}"):
        study.in_set("test")


def test_a_threshold_of_another_seed_opens_nothing(tmp_path):
    study = close_test_sets(make_cohort(tmp_path))
    write_thresholds(study, [run.model_copy(update={"seed": 1}) for run in study.config.runs])
    with pytest.raises(CordlesionError, match=CLOSED):
        study.in_set("test")


def test_the_test_set_of_a_fold_opens_to_the_thresholds_of_that_fold_only(tmp_path):
    study = close_test_sets(make_cohort(tmp_path, folds=3))
    write_thresholds(study, [run for run in study.config.runs if run.fold == 2])
    assert [scan.scan_id for scan in study.in_set("test", 2)] == ["sub-2"]
    for fold in (1, 3):
        with pytest.raises(CordlesionError, match=rf"bce_seed-0_fold-{fold}, dice_seed-0_fold-{fold}; {CLOSED}"):
            study.in_set("test", fold)


def test_the_opened_test_set_has_the_thresholds(tmp_path):
    study = close_test_sets(make_cohort(tmp_path))
    write_thresholds(study, study.config.runs)
    opened = study.open_test()
    assert [scan.reference for scan in opened.scans] == [Path("sub-3_secret.nii")]
    assert opened.thresholds == {"bce_seed-0": tuned_to(0.1), "dice_seed-0": tuned_to(0.2)}


def test_a_tuned_minimum_volume_is_applied_to_the_run(tmp_path):
    study = close_test_sets(make_cohort(tmp_path))
    run = study.config.runs[0]
    write_thresholds(study, study.config.runs, minimum_volume_mm3=2.5)
    tuned = study.open_test().thresholds[run.name]
    assert tuned.applied_to(run).postprocess.minimum_volume_mm3 == 2.5
    assert tuned.applied_to(run).name == run.name
    assert tuned_to(0.1).applied_to(run) == run


def test_a_set_without_lesions_is_refused(tmp_path):
    cohort = make_cohort(tmp_path, folds=3)
    require_scans(cohort.config, cohort.splits)
    gone = cohort.splits[(cohort.splits["fold"] != 2) | (cohort.splits["set"] != "train")]
    with pytest.raises(CordlesionError, match=r"fold 2: the set 'train' has no usable scan with a lesion. Too dark.$"):
        require_scans(cohort.config, gone, "Too dark.")


def test_an_objective_that_needs_lesion_free_scans_is_refused_without_them(tmp_path):
    cohort = make_cohort(tmp_path)
    config = cohort.config.model_copy(update={"threshold": ThresholdConfig(objective="joint_f1_specificity")})
    with pytest.raises(CordlesionError, match=r"'threshold' has no usable scan without lesions.*stratified"):
        require_scans(config, cohort.splits)
    healthy = cohort.splits.iloc[[2]].assign(scan_id="sub-9", reference_volume_mm3=0.0)
    require_scans(config, pd.concat([cohort.splits, healthy]))


def test_an_objective_that_compares_repeats_is_refused_without_two_groups(tmp_path):
    cohort = make_cohort(tmp_path)
    config = cohort.config.model_copy(update={"threshold": ThresholdConfig(objective="repeatability:0.4")})
    tuning = cohort.splits[cohort.splits["set"] == "threshold"].iloc[[0]]
    rows = [tuning.assign(scan_id=f"sub-{who}{n}", subject=f"sub-{who}") for who in "xy" for n in "12"]
    splits = pd.concat([cohort.splits, *rows])
    repeats = {f"sub-{who}{n}": f"sub-{who}_repeat-a" for who in "xy" for n in "12"}
    require_scans(config, splits, repeats=repeats)
    sentence = "'threshold' has 1 group of usable scans that repeat each other, and the objective 'repeatability:0.4'"
    with pytest.raises(CordlesionError, match=sentence):
        require_scans(config, splits, repeats={**repeats, "sub-y2": "sub-y_repeat-b"})
    with pytest.raises(CordlesionError, match=r"'threshold' has 0 groups .* column repeat .* Too dark.$"):
        require_scans(config, splits, "Too dark.")
    require_scans(cohort.config, splits)


def test_a_scan_that_is_left_out_is_in_no_set(tmp_path):
    cohort = make_cohort(tmp_path, folds=3)
    kept = cohort.splits[cohort.splits["scan_id"] != "sub-1"]
    study = close_test_sets(replace(cohort, splits=kept))
    assert study.in_set("validation", 1) == ()
