from pathlib import Path

import pytest

from cordlesion.config import read_study, study_yaml
from cordlesion.errors import CordlesionError

SOUND = """\
name: tiny
dataset: cohort
output: study
losses: [bce, {name: dice, label: my_dice}]
seeds: [0, 1]
comparators:
  - {name: ours_v1, bundle: ../v1}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text)
    return path


def test_paths_are_relative_to_the_file_and_survive_being_written(tmp_path):
    text = (
        SOUND
        + "  - {name: nnunet, npz: out, lesion_class: 2, files: '*a.npz'}\n  - {name: sct, maps: m, threshold: 0.1}\n"
    )
    study = read_study(write(tmp_path, text))
    assert [one.path for one in study.comparators] == [tmp_path / "../v1", tmp_path / "out", tmp_path / "m"]
    assert [one.kind for one in study.comparators] == ["bundle", "npz", "maps"]
    assert [one.is_tuned for one in study.comparators] == [True, True, False]
    (tmp_path / "elsewhere").mkdir()
    assert read_study(write(tmp_path / "elsewhere", study_yaml(study))) == study


def test_a_study_without_comparators_depends_on_what_it_always_did(tmp_path):
    study = read_study(write(tmp_path, SOUND))
    assert study.decisive == read_study(write(tmp_path, SOUND.split("comparators")[0])).decisive


def test_every_fold_has_every_comparator(tmp_path):
    study = read_study(write(tmp_path, SOUND + "split: {folds: 2}\n"))
    assert [run.name for run in study.comparator_runs] == ["ours_v1_fold-1", "ours_v1_fold-2"]
    assert {run.maps_name for run in study.comparator_runs} == {"ours_v1"}
    assert study.comparator_runs[1].columns == {"loss": "ours_v1", "seed": None, "fold": 2}
    assert study.methods == [*study.own_methods, *study.comparator_runs]


PLAIN = "letters, digits and _ are needed, since folders and files are named by it, found"


@pytest.mark.parametrize(
    ("entry", "place", "sentence"),
    [
        ("{name: x}", "8:5", "comparators.1: exactly one of bundle, maps, masks, npz is needed, found none"),
        ("{name: x, maps: a, masks: b}", "8:24", "comparators.1.masks: exactly one of bundle, maps, masks, npz is nee"),
        ("{name: x y, maps: a}", "8:6", f"comparators.1.name: {PLAIN} 'x y'"),
        ("{name: x/../y, maps: a}", "8:6", f"comparators.1.name: {PLAIN} 'x/../y'"),
        ("{name: '', maps: a}", "8:6", f"comparators.1.name: {PLAIN} ''"),
        ("maps", "8:5", "comparators.1: a section with keys is needed, found 'maps'"),
        ("{maps: a}", "8:5", "comparators.1.name: is missing"),
        ("{name: x, map: a}", "8:15", "unknown key"),
        ("{name: x, maps: a, lesion_class: 1}", "8:24", "lesion_class: means nothing to a comparator that is given as"),
        ("{name: x, masks: a, threshold: 0.5}", "8:25", "threshold: means nothing to a comparator that is given as ma"),
        ("{name: x, bundle: a, files: b*}", "8:26", "files: means nothing to a comparator that is given as bundle"),
        ("{name: x, maps: a, threshold: 0}", "8:24", "a number above 0 is needed, found 0"),
        ("{name: x, npz: a, lesion_class: -1}", "8:23", "a number of at least 0 is needed"),
        ("{name: bce, maps: a}", "8:6", "comparators.1.name: bce is taken by losses.0"),
        ("{name: BCE, maps: a}", "8:6", "comparators.1.name: BCE is taken by losses.0 (bce)"),
        ("{name: my_dice, maps: a}", "8:6", "comparators.1.name: my_dice is taken by losses.1"),
        ("{maps: a, name: bceseed1}", "8:15", "bceseed1 is taken by losses.0 (bce): file names ignore case"),
        ("{name: oursv_1, maps: a}", "8:6", "comparators.1.name: oursv_1 is taken by comparators.0 (ours_v1)"),
    ],
)  # fmt: skip
def test_a_fault_is_reported_with_its_place(tmp_path, entry, place, sentence):
    path = write(tmp_path, SOUND + f"  - {entry}\n")
    with pytest.raises(CordlesionError) as caught:
        read_study(path)
    assert str(caught.value).startswith(f"{path}:{place} ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("name", ["ours_v1_fold1", "Ours_V1_fold_2", "bce_seed_0_fold_2", "my_dice_seed1fold1"])
def test_a_name_that_another_has_in_a_fold_is_refused(tmp_path, name):
    entry = f"  - {{name: {name}, masks: a}}\n"
    with pytest.raises(CordlesionError, match=rf"study\.yaml:8:6 comparators\.1\.name: {name} is taken by "):
        read_study(write(tmp_path, SOUND + entry + "split: {folds: 2}\n"))
    if name.lower().startswith("ours"):
        assert len(read_study(write(tmp_path, SOUND + entry)).comparators) == 2


def test_names_that_only_look_alike_are_no_fault(tmp_path):
    entries = "".join(
        f"  - {{name: {name}, maps: a}}\n" for name in ("ours_v11", "bceseed11", "dice", "seed_0", "fold_1")
    )
    assert len(read_study(write(tmp_path, SOUND + entries + "split: {folds: 2}\n")).comparators) == 6
