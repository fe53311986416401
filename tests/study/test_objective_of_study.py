"""New studies choose by the mean of F1; a study that was made with the former default keeps the median."""

import pytest
from fingerprints_of_studies import digest

from cordlesion.config import ThresholdConfig, builtin_study, read_study, study_yaml
from cordlesion.io.progress import shown
from cordlesion.study.setup import initial_study, keep_objective
from support.tiny import make_cohort

FORMER = "26cc09f01ea8de1f"
"""Fingerprint of the results of `extended` in versions whose default was the median."""


@pytest.fixture
def study(tmp_path):
    """A study that names no objective, with a folder of its own."""
    return read_study(builtin_study("extended")).model_copy(update={"output": tmp_path / "study"})


def recorded(study, objective):
    """Leave the folder of a study that ran with an objective."""
    study.output.mkdir()
    ran = study.model_copy(update={"threshold": ThresholdConfig(objective=objective)})
    (study.output / "study.yaml").write_text(study_yaml(ran))


def test_a_new_study_chooses_by_the_mean(study):
    assert keep_objective(study) is study
    assert study.threshold.objective == "mean_voxel_f1"
    assert read_study(builtin_study("isbi2023")).threshold.objective == "median_voxel_f1"


def test_a_finished_study_keeps_its_results_and_says_so(study, capsys):
    recorded(study, "median_voxel_f1")
    with shown():
        kept = keep_objective(study)
    assert kept.threshold.objective == "median_voxel_f1"
    assert digest(kept.decisive).startswith(FORMER)
    printed = " ".join(capsys.readouterr().out.split())
    assert "threshold.objective: not named, so median_voxel_f1 of the results in" in printed
    assert "is kept; name mean_voxel_f1, the default of new studies, to choose the thresholds again" in printed
    assert keep_objective(kept) is kept


@pytest.mark.parametrize("objective", ["mean_voxel_f1", "f_beta:2"])
def test_other_objectives_of_the_folder_are_not_kept(study, objective):
    recorded(study, objective)
    assert keep_objective(study) is study


def test_a_named_objective_is_taken(study):
    recorded(study, "median_voxel_f1")
    named = study.model_copy(update={"threshold": ThresholdConfig(objective="mean_voxel_f1")})
    assert keep_objective(named) is named


def test_the_study_to_start_from_names_its_objective(tmp_path):
    make_cohort(tmp_path)
    text = initial_study(tmp_path / "cohort")
    assert "threshold: {objective: mean_voxel_f1}" in text
    assert "# The paper (section 2.5) takes median_voxel_f1" in text
    (tmp_path / "first.yaml").write_text(text)
    study = read_study(tmp_path / "first.yaml")
    assert study.threshold.objective == "mean_voxel_f1"
    assert "objective" in study.threshold.model_fields_set


def test_the_margin_of_equivalence_changes_no_result(study):
    wider = study.model_copy(update={"evaluation": study.evaluation.model_copy(update={"equivalence_margin": 0.1})})
    assert wider.decisive == study.decisive
