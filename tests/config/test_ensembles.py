"""Ensembles in the configuration of a study."""

from pathlib import Path

import pytest

from cordlesion.config import StudyConfig, read_study, study_yaml
from cordlesion.errors import CordlesionError

BASE = {"name": "s", "dataset": "d", "output": "o", "losses": [{"name": "dice"}, {"name": "bce"}]}


def study(**changes: object) -> StudyConfig:
    return StudyConfig.model_validate(BASE | changes)


def test_by_default_several_seeds_make_an_ensemble_of_each_loss_and_one_seed_makes_none():
    assert study().ensemble_runs == []
    several = study(seeds=(3, 1))
    assert [run.name for run in several.ensemble_runs] == ["dice_ensemble", "bce_ensemble"]
    assert [member.name for member in several.ensemble_runs[0].members] == ["dice_seed-3", "dice_seed-1"]
    assert study(seeds=(3, 1), ensembles="none").ensemble_runs == []


@pytest.mark.parametrize(
    "other",
    [
        {"comparators": [{"name": "dice_ensemble", "maps": "m"}]},
        {"losses": [{"name": "dice"}, {"name": "bce"}, {"name": "dice", "label": "Dice_Ensemble"}]},
    ],
)
def test_by_default_a_method_of_that_name_stays_what_it_is(other):
    """A study that was finished before there were ensembles can still be read."""
    found = [one.name for one in study(seeds=(0, 1), **other).ensemble_configs]
    assert "dice_ensemble" not in found
    assert "bce_ensemble" in found


def test_ensembles_stand_between_trainings_and_comparators():
    mixed = study(seeds=(0, 1), comparators=[{"name": "other", "maps": "m"}])
    assert [run.name for run in mixed.methods][-3:] == ["dice_ensemble", "bce_ensemble", "other"]


def test_members_are_of_the_same_fold_and_every_fold_has_maps_of_its_own():
    runs = study(seeds=(0, 1), split={"folds": 2}).ensemble_runs
    assert len(runs) == 4
    for run in runs:
        assert {member.fold for member in run.members} == {run.fold}
        assert run.maps_name == run.name
    assert len({run.maps_name for run in runs}) == 4


def test_a_list_names_the_losses_of_each_ensemble():
    (both,) = study(ensembles=[{"name": "both", "losses": ["bce", "dice"]}]).ensemble_runs
    assert [member.name for member in both.members] == ["bce_seed-0", "dice_seed-0"]
    assert both.columns == {"loss": "both", "seed": None}


@pytest.mark.parametrize("ensembles", ["per_loss", "none", [{"name": "both", "losses": ["bce", "dice"]}]])
def test_no_training_depends_on_ensembles(ensembles):
    one, other = study(seeds=(0, 1)), study(seeds=(0, 1), ensembles=ensembles)
    assert one.decisive == other.decisive
    assert [run.learned_from for run in one.runs] == [run.learned_from for run in other.runs]


def test_the_complete_configuration_has_the_same_ensembles(tmp_path: Path):
    for ensembles in ("none", [{"name": "both", "losses": ["bce", "dice"]}]):
        file = tmp_path / "study.yaml"
        file.write_text(study_yaml(study(seeds=(0, 1), ensembles=ensembles)))
        assert read_study(file).ensemble_configs == study(seeds=(0, 1), ensembles=ensembles).ensemble_configs


@pytest.mark.parametrize(
    ("lines", "place", "reason"),
    [
        ("ensembles: some", "7:1 ensembles", "per_loss or none or a list of ensembles is needed"),
        ("ensembles: [{name: a b, losses: [dice]}]", "7:14 ensembles.0.name", "letters, digits and _"),
        ("ensembles: [{name: a, losses: [dice, foo]}]", "7:23 ensembles.0.losses", "foo is no loss of this study"),
        ("ensembles: [{name: a, losses: [dice]}]", "7:23 ensembles.0.losses", "one loss with one seed is one training"),
        ("ensembles: [{name: a, losses: [dice, dice]}]", "7:23 ensembles.0.losses", "one loss is listed twice"),
        ("ensembles: [{name: Dice, losses: [dice, bce]}]", "7:14 ensembles.0.name", "Dice is taken by losses.0 (dice)"),
        (
            "ensembles: [{name: both, losses: [dice, bce]}]\ncomparators: [{name: Both, maps: m}]",
            "8:16 comparators.0.name",
            "Both is taken by ensembles.0 (both)",
        ),
    ],
)
def test_a_fault_is_reported_with_its_place(tmp_path: Path, lines, place, reason):
    file = tmp_path / "study.yaml"
    file.write_text(f"name: s\ndataset: d\noutput: o\nlosses:\n  - dice\n  - bce\n{lines}\n")
    with pytest.raises(CordlesionError) as error:
        read_study(file)
    assert f"{place}: " in str(error.value)
    assert reason in str(error.value)


def test_an_ensemble_may_be_part_of_the_primary_comparison():
    primary = {"metric": "voxel_f1", "first": "bce", "second": "dice_ensemble"}
    assert study(seeds=(0, 1), evaluation={"primary": primary}).evaluation.primary is not None
    with pytest.raises(ValueError, match="dice_ensemble is no method of this study"):
        study(evaluation={"primary": primary})
