"""What is removed when a study names a method no longer, and what stays."""

from pathlib import Path

import pytest

from cordlesion.config import StudyConfig, study_yaml
from cordlesion.io.progress import shown
from cordlesion.io.reading import read_json
from cordlesion.study.outdated import kept_models, remove_orphaned_results
from cordlesion.study.status import study_status
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.manifest import write_manifest

MADE = (
    *("sweep.tsv", "sweep_test.tsv", "rules.tsv", "calibration.tsv"),
    *("history.tsv", "bundle/model.json", "curves/events.out"),
)


def make_study(root: Path, **changes: object) -> StudyConfig:
    values = {"losses": ["bce", "dice"], "comparators": [{"name": "soft", "maps": "/maps"}], "seeds": (0, 1)}
    return StudyConfig.model_validate({"name": "x", "dataset": "/a", "output": root, **values, **changes})


def write_results(config: StudyConfig, folder: StudyFolder) -> None:
    """Leave what a whole study leaves of one scan."""
    for method in config.methods:
        n_tables = len(MADE) if method in config.runs else 4
        for name in MADE[:n_tables]:
            touch(folder.run(method.name) / name)
        path = folder.probability("sub-01", method.maps_name)
        touch(path)
        for mask in (path, folder.probability("sub-01", method.name)):
            touch(Path(str(mask).replace("_probseg.nii.gz", "_mask.nii.gz")))
            touch(Path(str(mask).replace("_probseg.nii.gz", "_mask.json")))
        sweeps = (f"sweep/{method.name}_{part}" for part in ("threshold", "test"))
        done = (f"predict/{method.maps_name}/sub-01", f"masks/{method.name}", f"analyze/{method.name}", *sweeps)
        for key in (*done, *([f"train/{method.name}"] if method in config.runs else [])):
            with folder.stage(key, "mark"):
                pass


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.name)


def files(folder: StudyFolder) -> set[str]:
    return {path.relative_to(folder.root).as_posix() for path in folder.root.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path / "study")


def test_of_methods_that_are_named_nothing_is_removed(folder):
    config = make_study(folder.root, split={"folds": 2})
    write_results(config, folder)
    before = files(folder)
    remove_orphaned_results(config, folder)
    assert files(folder) == before


@pytest.mark.parametrize("folds", [1, 2])
@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"comparators": []}, "bce dice bce_ensemble dice_ensemble"),
        ({"losses": ["bce"]}, "bce bce_ensemble soft"),
        ({"seeds": (1,)}, "bce dice soft"),
        ({"ensembles": "none"}, "bce dice soft"),
    ],
)
def test_what_is_left_is_what_a_smaller_study_makes_and_the_trained_models(folder, tmp_path, folds, changes, left):
    whole = make_study(folder.root, split={"folds": folds})
    write_results(whole, folder)
    smaller, alone = make_study(folder.root, split={"folds": folds}, **changes), StudyFolder(tmp_path / "alone")
    write_results(smaller, alone)
    remove_orphaned_results(smaller, folder)
    kept = {name for name in files(folder) if name not in files(alone)}
    gone = {run.name for run in whole.runs} - {run.name for run in smaller.runs}
    trained = {f"runs/{run}/{name}" for run in gone for name in MADE[4:]} | {f".done/train/{run}.json" for run in gone}
    assert files(alone) <= files(folder)
    assert kept == trained
    assert kept_models(smaller, folder) == sorted(gone)
    assert {method.columns["loss"] for method in smaller.methods} == set(left.split())


def test_what_others_have_put_there_stays(folder):
    whole = make_study(folder.root)
    write_results(whole, folder)
    mine = [
        folder.run("soft") / "notes.txt",
        folder.probability("sub-01", "edited"),
        folder.probability("sub-01", "soft2"),
    ]
    for path in mine:
        touch(path)
    remove_orphaned_results(make_study(folder.root, comparators=[]), folder)
    assert all(path.is_file() for path in mine)
    assert not folder.probability("sub-01", "soft").exists()


def test_files_of_a_method_that_was_given_another_name_are_its_own(folder):
    write_results(make_study(folder.root, comparators=[{"name": "so_ft", "maps": "/maps"}]), folder)
    remove_orphaned_results(make_study(folder.root), folder)
    assert folder.probability("sub-01", "soft").is_file()
    assert folder.units("masks") == [
        *("bce_ensemble", "bce_seed-0", "bce_seed-1"),
        *("dice_ensemble", "dice_seed-0", "dice_seed-1"),
    ]


def test_what_is_removed_and_what_is_kept_is_said_and_listed(folder, capsys):
    write_results(make_study(folder.root), folder)
    smaller = make_study(folder.root, losses=["bce"], seeds=(0,), comparators=[])
    with shown():
        remove_orphaned_results(smaller, folder)
    printed = " ".join(capsys.readouterr().out.split())
    gone = "bce_ensemble, bce_seed-1, dice_ensemble, dice_seed-0, dice_seed-1, soft"
    assert f"maps, masks and tables were removed: {gone}" in printed
    assert "kept: the trained models of bce_seed-1, dice_seed-0, dice_seed-1 in " in printed
    with shown():
        remove_orphaned_results(smaller, folder)
    assert capsys.readouterr().out == ""
    folder.configuration.write_text(study_yaml(smaller))
    rows = [row for row in study_status(folder.root) if row[0] in ("train", "comparator")]
    kept = [("train", name, "kept, not in the study") for name in ("bce_seed-1", "dice_seed-0", "dice_seed-1")]
    assert rows == [("train", "bce_seed-0", "done"), *kept]
    write_manifest(folder, smaller, {}, {}, {})
    trained = [stage for stage in read_json(folder.manifest)["seconds"] if stage.startswith("train/")]
    assert trained == ["train/bce_seed-0"]
