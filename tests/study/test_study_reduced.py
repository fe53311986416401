"""A reduced run goes through every stage of a study, states that it is reduced, and never mixes with the study."""

import json
import shutil
from pathlib import Path

import pytest

from cordlesion.config import builtin_study, read_study
from cordlesion.errors import CordlesionError
from cordlesion.io.tables import read_table
from cordlesion.study.run import run_study
from cordlesion.study.setup import reduce_study
from support.plain_report import without_pictures
from support.tiny import make_cohort

REDUCED = ("--limit-scans", "6", "--epochs", "1", "-q")
PAPER = ["bce", "combo", "dice", "focal_tversky", "generalized_dice", "log_cosh_dice", "tversky"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reduced")
    make_cohort(folder)
    return folder


def test_the_papers_study_runs_end_to_end(cohort, cli):
    """The study as it comes, pointed to a dataset: seven losses, its network, its grid, its report."""
    file = cohort / "isbi2023.yaml"
    text = builtin_study("isbi2023").read_text()
    file.write_text(
        text.replace("../cohort", "cohort")
        .replace("../isbi2023", "isbi2023")
        .replace("centerline: auto", "centerline: file")
    )
    with without_pictures():
        assert cli("study", "run", file, *REDUCED).status == 0
    folder = cohort / "isbi2023"
    splits, evaluation = read_table(folder / "splits.tsv"), read_table(folder / "evaluation.tsv")
    assert len(splits) == 6
    bearing = splits[splits["reference_volume_mm3"] > 0]
    assert bearing.groupby("set").size().reindex(["train", "validation", "threshold", "test"]).min() == 1
    assert (splits.loc[splits["set"] == "test", "reference_volume_mm3"] == 0).any()
    assert sorted(set(evaluation["loss"])) == PAPER
    for loss in PAPER:
        assert len(read_table(folder / f"runs/{loss}_seed-0/history.tsv")) == 1
    assert json.loads((folder / "manifest.json").read_text())["reduced"] == {"scans": 6, "epochs": 1}
    written = read_study(folder / "study.yaml")
    assert written.training.epochs == 300
    assert written.title == "isbi2023 (reduced run: at most 6 scans, 1 epoch)"
    assert written.title in (folder / "report.html").read_text()


@pytest.fixture
def study(cohort, tmp_path):
    """A study file on a small cohort, whose folder holds nothing yet."""
    shutil.copytree(cohort / "cohort", tmp_path / "cohort")
    return Path(shutil.copy(cohort / "study.yaml", tmp_path))


def test_neither_replaces_the_other(study, tmp_path, cli):
    assert cli("study", "run", study, "--until", "split", "-q").status == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "study").iterdir() if path.is_file()}
    refused = cli("study", "run", study, "--until", "split", *REDUCED)
    assert refused.status == 2
    assert "holds the full study; this is a reduced run: at most 6 scans, 1 epoch, and" in refused.error
    assert {path.name: path.read_bytes() for path in (tmp_path / "study").iterdir() if path.is_file()} == before
    shutil.rmtree(tmp_path / "study")
    assert cli("study", "run", study, "--until", "split", *REDUCED).status == 0
    for options, found in (((), "the full study"), (("--epochs", "2"), "a reduced run: 2 epochs")):
        refused = cli("study", "run", study, *options, "-q")
        assert refused.status == 2
        assert f"holds a reduced run: at most 6 scans, 1 epoch; this is {found}, and" in refused.error


def test_its_own_configuration_goes_on(study, tmp_path, cli):
    assert cli("study", "run", study, "--until", "preprocess", *REDUCED).status == 0
    written = tmp_path / "study/study.yaml"
    assert cli("study", "run", written, "--until", "preprocess", "-q").status == 0
    assert len(list((tmp_path / "study/stacks").iterdir())) == 6


def test_fewer_epochs_take_all_scans(study):
    config = reduce_study(read_study(study), None, 2)
    assert {run.training.epochs for run in config.runs} == {2}
    run_study(config, until="split")
    assert len(read_table(config.output / "splits.tsv")) == 14


def test_nothing_reduced_is_the_study_itself(study):
    assert reduce_study(read_study(study), None, None) == read_study(study)


def test_every_set_that_may_has_scans_without_lesions(study):
    file = read_study(study)
    config = reduce_study(
        file.model_copy(update={"split": file.split.model_copy(update={"lesion_free": "stratified"})}), 8, 1
    )
    run_study(config, until="split")
    splits = read_table(config.output / "splits.tsv")
    free = splits[splits["reference_volume_mm3"] == 0]
    assert set(free["set"]) == {"threshold", "test"}  # the cohort has two


def test_too_few_scans_or_epochs_are_refused(study, cli):
    assert "that fills every set has 5. Use this number" in cli("study", "run", study, "--limit-scans", "4", "-q").error
    assert cli("study", "run", study, "--epochs", "0", "-q").status == 2


def test_an_objective_that_needs_lesion_free_scans_is_refused_before_training(study, tmp_path):
    study.write_text(study.read_text() + "threshold: {objective: joint_f1_specificity}\n")
    with pytest.raises(CordlesionError, match="the set 'threshold' has no usable scan without lesions"):
        run_study(read_study(study))
    assert not (tmp_path / "study/stacks").exists()
