"""The table of the stages is what everything else about stages is made from."""

import inspect
import warnings
from typing import get_args

import pytest

from cordlesion.config import read_study
from cordlesion.errors import CordlesionError
from cordlesion.study.analysis import TABLES
from cordlesion.study.options import RunOptions, load_stage
from cordlesion.study.run import StudyOutcome, run_study
from cordlesion.study_folder.stages import STAGES, StageName, run_stage_of, stages_until
from cordlesion.study_folder.tables import SPECS
from support.tiny import make_cohort

BY_NAME = {stage.name: stage for stage in STAGES}


@pytest.mark.parametrize("stage", STAGES, ids=BY_NAME)
def test_the_function_of_a_stage_takes_what_it_gets_and_is_described(stage):
    function = load_stage(stage)
    _, second = inspect.signature(function).parameters.values()
    assert second.annotation is RunOptions
    assert function.__doc__
    assert stage.description[0].islower()


def test_the_names_of_the_stages_are_those_of_the_type():
    assert get_args(StageName) == tuple(BY_NAME)
    assert stages_until("train") == STAGES[: list(BY_NAME).index("train") + 1]
    assert stages_until("nope") == ()


def test_every_table_of_a_study_is_a_file_of_one_stage():
    files = [name for stage in STAGES for name in stage.files]
    assert len(set(files)) == len(files)
    assert set(SPECS) <= set(files)
    assert sorted(BY_NAME["analyze"].files) == sorted(f"{name}.tsv" for name in TABLES)
    assert "stage `tune`" in run_stage_of("thresholds.tsv")


def test_a_study_that_ran_has_its_excluded_scans_and_its_folder(tmp_path):
    config = read_study(make_cohort(tmp_path))
    (tmp_path / "cohort/derivatives/labels/sub-03/anat/sub-03_label-lesion_seg.nii.gz").unlink()
    outcome = run_study(config, until="split")
    assert isinstance(outcome, StudyOutcome)
    assert list(outcome) == ["sub-03"]
    assert dict(outcome) == outcome.excluded == outcome
    assert outcome.folder == config.output
    with pytest.raises(CordlesionError, match="Run the study's stage"):
        outcome.results()
    with pytest.warns(DeprecationWarning, match="by name"):
        assert run_study(config, "split", None, "local") == outcome
    with warnings.catch_warnings(), pytest.raises(CordlesionError, match="'nope' is no stage; one of split, preproc"):
        run_study(config, until="nope")
