"""What a study writes into its models: what they were trained on, and what they found and falsely marked."""

import json

import pandas as pd
import pytest

from cordlesion.config import read_study
from cordlesion.model.bundle import read_card, save_bundle
from cordlesion.model.bundle_updates import forget_threshold, set_threshold
from cordlesion.model.experience import TestError, TrainingData, describe_error, describe_scans, describe_training
from cordlesion.scan.segment import segment_files
from cordlesion.study.experience import describe_training_set, measure_error
from cordlesion.study.run import run_study
from cordlesion.threshold import GlobalThreshold
from support.models import untrained_bundle
from support.tiny import make_cohort

DATA = TrainingData(simulated=True, n_scans=62, n_subjects=44, scanners=("GE Signa 3T", "Siemens Skyra 3T"))
ERROR = TestError(
    threshold=0.5, rule="study", n_scans=72, n_subjects=50, n_lesions=60, n_found=21, false_lesions_per_scan=1.44,
    n_lesion_free=31, n_lesion_free_marked=23,
)  # fmt: skip


def test_errors_are_counted_over_all_test_scans():
    rows = pd.DataFrame(
        [
            ("sub-1", 3, 2, 4, 2, 90.0),
            ("sub-1", 1, 0, 0, 0, 20.0),
            ("sub-2", 0, 0, 3, 0, 0.0),
            ("sub-3", 0, 0, 0, 0, 0.0),
            # Lesions too small to count: the scan is not free of lesions.
            ("sub-4", 0, 0, 1, 0, 2.0),
        ],
        columns=["subject", "n_reference_lesions", "n_detected_lesions", "n_predicted_lesions",
                 "n_true_predicted_lesions", "reference_volume_mm3"],
    )  # fmt: skip
    error = measure_error(rows, 0.3, "study")
    assert (error.n_scans, error.n_subjects, error.n_lesions, error.n_found) == (5, 4, 4, 2)
    assert error.false_lesions_per_scan == pytest.approx((2 + 3 + 1) / 5)
    assert (error.n_lesion_free, error.n_lesion_free_marked) == (2, 1)


def test_scanners_that_are_not_known_are_not_named():
    scans = pd.DataFrame({"subject": ["sub-1", "sub-1", "sub-2"], "scanner": ["GE Signa 3T", float("nan"), ""]})
    data = describe_training_set(scans, simulated=False)
    assert (data.n_scans, data.n_subjects, data.scanners) == (3, 2, ("GE Signa 3T",))
    assert describe_training(data) == "3 scans of 2 subjects (GE Signa 3T)"


def test_what_is_known_is_said_in_words():
    assert describe_training(DATA) == (
        "62 simulated scans of 44 subjects (GE Signa 3T, Siemens Skyra 3T): it has seen no patient"
    )
    assert describe_training(None) == "not recorded"
    assert describe_scans(None) == "scans that are not recorded"
    assert describe_scans(DATA) == "62 simulated scans"
    assert describe_training(DATA.model_copy(update={"simulated": False, "scanners": tuple("ABCD")})) == (
        "62 scans of 44 subjects (4 kinds of scanners)"
    )
    started = DATA.model_copy(update={"started_from": "another model"})
    assert describe_training(started).endswith(", from the weights of another model")
    assert describe_training(started.model_copy(update={"started_from_simulated": True})).endswith(
        ", from the weights of another model: it has seen no patient"
    )
    sentence = (
        "on 72 test scans of 50 subjects: 21 of 60 lesions found, 1.4 false lesions per scan, 23 of 31 scans without "
        "lesions marked"
    )
    assert describe_error(ERROR, 0.5) == sentence
    assert describe_error(ERROR, 0.3) == f"{sentence} (measured at p ≥ 0.5, not at that of this mask)"
    assert describe_error(None, 0.5) == "not recorded: what this model misses and marks falsely is unknown"


def test_another_threshold_forgets_what_was_measured_at_the_old_one(tmp_path):
    bundle = untrained_bundle()
    card = bundle.card.model_copy(update={"test_error": ERROR, "training_data": DATA})
    save_bundle(tmp_path, type(bundle)(card, bundle.network))
    set_threshold(tmp_path, bundle.card.threshold)
    assert read_card(tmp_path).test_error == ERROR
    set_threshold(tmp_path, GlobalThreshold(value=0.4, objective="median_voxel_f1", interval=None))
    assert read_card(tmp_path).test_error is None
    assert read_card(tmp_path).training_data == DATA
    forget_threshold(tmp_path)
    assert read_card(tmp_path).training_data == DATA


def test_a_study_writes_it_and_segment_shows_it(tmp_path):
    file = make_cohort(tmp_path)
    (tmp_path / "cohort" / "dataset_description.json").write_text(
        json.dumps({"GeneratedBy": [{"Name": "cordlesion simulate"}]})
    )
    file.write_text(file.read_text().replace("[bce, tversky]", "[tversky]").replace("epochs: 3", "epochs: 1"))
    study = read_study(file)
    run_study(study, until="evaluate")
    bundle = study.output / "runs" / "tversky_seed-0" / "bundle"
    card = read_card(bundle)
    splits, evaluation = (pd.read_csv(study.output / f"{name}.tsv", sep="\t") for name in ("splits", "evaluation"))
    learned = splits[splits["set"] == "train"]
    assert card.training_data == TrainingData(
        simulated=True, n_scans=len(learned), n_subjects=learned["subject"].nunique()
    )
    tested = evaluation[(evaluation["set"] == "test") & (evaluation["threshold"] == card.threshold.value)]
    assert card.test_error == measure_error(tested, card.threshold.value, "study")
    assert card.test_error.n_scans == (splits["set"] == "test").sum()
    scan = tmp_path / "cohort" / "sub-01" / "anat" / "sub-01_T2w.nii.gz"
    curve = next((tmp_path / "cohort").rglob("sub-01_label-centerline_seg.nii.gz"))
    segment_files([scan], bundle, tmp_path / "out", centerlines=[curve], threshold=0.5)
    (record,) = (tmp_path / "out").glob("*_mask.json")
    assert json.loads(record.read_text())["Model"] == {
        "TrainingData": card.training_data.model_dump(mode="json"),
        "TestError": card.test_error.model_dump(mode="json"),
    }
    (page,) = (tmp_path / "out").glob("*_report.html")
    text = page.read_text()
    assert "simulated scans of" in text
    assert "it has seen no patient" in text
    assert f"on {card.test_error.n_scans} test scans of" in text
