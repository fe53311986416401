"""The primary comparison: declared in the study, hashed before the test set is opened, and no part of any result."""

import json

import pytest

from cordlesion.config import read_study, study_yaml
from cordlesion.errors import CordlesionError
from cordlesion.io.reading import read_json
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.manifest import (
    AFTER,
    BEFORE,
    declared_before,
    read_manifest,
    record_opening,
    write_manifest,
)
from cordlesion.study_folder.primary import Primary, read_primary

STUDY = """\
name: primary
dataset: .
output: study
losses: [bce, dice, {name: tversky, label: ours}]
comparators:
- {name: sct, masks: masks}
"""
PRIMARY = "evaluation: {{primary: {{metric: {}, first: {}, second: {}}}}}\n"


@pytest.fixture
def study(tmp_path):
    def make(*primary):
        path = tmp_path / "study.yaml"
        path.write_text(STUDY + (PRIMARY.format(*primary) if primary else ""))
        return read_study(path)

    return make


def write(study):
    folder = StudyFolder(study.output)
    (folder.root / ".done").mkdir(parents=True, exist_ok=True)
    write_manifest(folder, study, {}, {}, {})
    return folder, read_json(folder.manifest)


@pytest.mark.parametrize(
    ("primary", "reason"),
    [
        (("voxel_f1", "bce", "tversky"), "evaluation.primary.second: tversky is no method of this study"),
        (
            ("voxel_f1", "soft", "bce"),
            "evaluation.primary.first: soft is no method of this study; one of bce",
        ),
        (("voxel_f1", "bce", "bce"), "two different methods are needed"),
        (("accuracy", "bce", "dice"), "evaluation.primary.metric"),
    ],
)
def test_a_primary_comparison_that_the_study_cannot_make_is_refused(study, primary, reason):
    with pytest.raises(CordlesionError) as error:
        study(*primary)
    assert reason in str(error.value)


def test_declaring_one_changes_no_result(study, tmp_path):
    plain, declared = study(), study("lesion_f1", "sct", "ours")
    assert plain.evaluation.primary is None
    assert plain.decisive == declared.decisive
    assert "primary" not in json.dumps(plain.decisive)
    (tmp_path / "again.yaml").write_text(study_yaml(declared))
    assert read_study(tmp_path / "again.yaml").evaluation == declared.evaluation


def test_the_manifest_shows_what_was_declared_when_the_test_set_was_opened(study):
    first, other = study("voxel_f1", "bce", "ours"), study("voxel_f1", "dice", "ours")
    folder, manifest = write(first)
    assert manifest["test_set_opened"] is None
    assert manifest["primary"]["declared"] == BEFORE
    folder, manifest = write(other)  # nothing was seen yet, so it may be changed
    record_opening(folder, other)
    record_opening(folder, first)  # there is one first time only
    assert read_primary(other, write(other)[1]) == Primary("voxel_f1", "dice", "ours", in_time=True)
    changed = write(first)[1]
    assert changed["primary"]["declared"] == AFTER
    assert read_primary(first, changed) == Primary("voxel_f1", "bce", "ours", in_time=False)
    assert write(study())[1]["primary"] is None
    assert declared_before(other.evaluation.primary, write(other)[1])


def test_a_study_evaluated_earlier_shows_no_declaration(study):
    declared = study("voxel_f1", "bce", "ours")
    folder, _ = write(declared)
    folder.evaluation.write_text("")
    assert write(declared)[1]["primary"]["declared"] == AFTER
    folder.manifest.write_text("{")
    assert write(declared)[1]["primary"]["declared"] == AFTER
    assert not declared_before(declared.evaluation.primary, {})


@pytest.mark.parametrize("damage", [{"test_set_opened": {}}, {"test_set_opened": [1]}, {"primary": "bce"}])
def test_a_damaged_record_of_the_opening_shows_no_declaration(study, damage):
    declared = study("voxel_f1", "bce", "ours")
    folder, manifest = write(declared)
    folder.evaluation.write_text("")
    folder.manifest.write_text(json.dumps(manifest | damage))
    with pytest.raises(CordlesionError, match="is no manifest of a study"):
        read_manifest(folder.manifest, declared.dataset)
    assert write(declared)[1]["primary"]["declared"] == AFTER


def test_the_margin_is_recorded_when_the_test_set_is_opened(study):
    from cordlesion.study_folder.manifest import margin_before

    config = study()
    folder, _ = write(config)
    record_opening(folder, config)
    _, manifest = write(config)
    assert manifest["test_set_opened"]["equivalence_margin"] == 0.05
    wider = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"equivalence_margin": 0.1})})
    record_opening(folder, wider)
    _, manifest = write(wider)
    assert manifest["test_set_opened"]["equivalence_margin"] == 0.05
    assert margin_before(config, manifest)
    assert not margin_before(wider, manifest)
    assert margin_before(config, {})
    assert not margin_before(wider, {"test_set_opened": {"primary_sha256": None}})
