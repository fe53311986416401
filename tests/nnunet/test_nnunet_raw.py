"""The raw dataset of nnU-Net, written from a study by its command."""

import gzip
import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from cordlesion.io.tables import read_table
from support.images import assert_same_geometry, truncate
from support.tiny import STUDY, make_cohort


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A study that has its split, with a scan that is not compressed, masks of 255 and a scan with a fourth axis."""
    folder = tmp_path_factory.mktemp("original")
    make_cohort(folder)
    anat = folder / "cohort/sub-01/anat"
    (anat / "sub-01_T2w.nii").write_bytes(gzip.decompress((anat / "sub-01_T2w.nii.gz").read_bytes()))
    (anat / "sub-01_T2w.nii.gz").unlink()
    for mask in folder.rglob("*_label-lesion_seg.nii.gz"):
        rewrite(mask, lambda data: data * np.uint8(255))
    rewrite(folder / "cohort/sub-03/anat/sub-03_T2w.nii.gz", lambda data: data[..., None])
    return folder


def rewrite(path, change):
    image = nib.load(path)
    nib.save(nib.Nifti1Image(change(np.asarray(image.dataobj)), image.affine), path)


@pytest.fixture
def study(original, tmp_path, cli):
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    assert cli("study", "run", tmp_path / "study.yaml", "--until", "split", "-q").status == 0
    return tmp_path


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_it_says_what_is_next(study, cli):
    said = cli("export", "nnunet", study / "study", "-o", study / "Dataset501_Tiny").output.replace("\n", " ")
    assert "Dataset501_Tiny: a raw dataset of nnU-Net. Next: `nnUNetv2_plan_and_preprocess -d 501`" in said


def test_the_dataset_holds_what_may_be_learned_from_and_the_images_of_the_rest(study, cli):
    output = study / "Dataset501_Tiny"
    ended = cli("export", "nnunet", study / "study", "-o", output, "-q")
    assert (ended.status, ended.output, ended.error) == (0, "", "")
    table = read_table(study / "study/splits.tsv")
    sets = {name: sorted(table.loc[table["set"] == name, "scan_id"]) for name in set(table["set"])}
    learning, unseen = sorted(sets["train"] + sets["validation"]), sorted(sets["threshold"] + sets["test"])
    assert names_in(output) == ["dataset.json", "imagesTr", "imagesTs", "labelsTr", "splits_final.json"]
    assert names_in(output / "imagesTr") == [f"{name}_0000.nii.gz" for name in learning]
    assert names_in(output / "labelsTr") == [f"{name}.nii.gz" for name in learning]
    assert names_in(output / "imagesTs") == [f"{name}_0000.nii.gz" for name in unseen]
    assert json.loads((output / "splits_final.json").read_text()) == [
        {"train": sets["train"], "val": sets["validation"]}
    ]
    described = json.loads((output / "dataset.json").read_text())
    assert described["channel_names"] == {"0": "T2w"}
    assert described["labels"] == {"background": 0, "lesion": 1}
    assert (described["numTraining"], described["file_ending"]) == (len(learning), ".nii.gz")


def test_images_and_labels_are_those_of_the_cohort_on_one_grid(study, cli):
    output = study / "Dataset501_Tiny"
    assert cli("export", "nnunet", study / "study", "-o", output, "-q").status == 0
    for part in ("imagesTr", "imagesTs"):
        for path in (output / part).iterdir():
            subject = path.name.removesuffix("_0000.nii.gz")
            (source,) = (study / "cohort" / subject / "anat").iterdir()
            image, expected = nib.load(path), nib.load(source)
            assert image.shape == (24, 24, 40)
            np.testing.assert_array_equal(image.get_fdata(), expected.get_fdata().reshape(24, 24, 40))
            assert_same_geometry(image.header, expected.header)
    for path in (output / "labelsTr").iterdir():
        subject = path.name.removesuffix(".nii.gz")
        source = study / f"cohort/derivatives/labels/{subject}/anat/{subject}_label-lesion_seg.nii.gz"
        label = nib.load(path)
        np.testing.assert_array_equal(label.get_fdata(), nib.load(source).get_fdata() > 0)
        assert_same_geometry(label.header, nib.load(output / "imagesTr" / f"{subject}_0000.nii.gz").header)


def test_with_folds_each_has_its_own_unseen_scans(study, cli):
    (study / "folds.yaml").write_text(
        STUDY.replace("output: study", "output: folds").replace("split: {", "split: {folds: 2, ")
    )
    assert cli("study", "run", study / "folds.yaml", "--until", "split", "-q").status == 0
    output = study / "Dataset502_Folds"
    assert cli("export", "nnunet", study / "folds", "-o", output, "-q").status == 0
    table = read_table(study / "folds/splits.tsv")
    splits = json.loads((output / "splits_final.json").read_text())
    assert len(splits) == 2
    for number, fold in enumerate(splits, start=1):
        unseen = {name.removesuffix("_0000.nii.gz") for name in names_in(output / f"imagesTs_fold-{number}")}
        rows = table[table["fold"] == number]
        assert unseen == set(rows.loc[rows["set"].isin(["threshold", "test"]), "scan_id"])
        assert unseen.isdisjoint({*fold["train"], *fold["val"]})
    cases = {name.removesuffix(".nii.gz") for name in names_in(output / "labelsTr")}
    assert cases == {name for fold in splits for side in fold.values() for name in side}


def test_a_scan_that_is_damaged_meanwhile_is_left_out_everywhere(study, cli):
    table = read_table(study / "study/splits.tsv")
    name = sorted(table.loc[table["set"] == "train", "scan_id"])[-1]
    truncate(study / f"cohort/{name}/anat/{name}_T2w.nii.gz")
    output = study / "Dataset501_Tiny"
    ended = cli("export", "nnunet", study / "study", "-o", output, "-q")
    assert ended.status == 2
    assert f"left out: {study}/cohort/{name}/anat/{name}_T2w.nii.gz: the file is truncated" in ended.error
    (split,) = json.loads((output / "splits_final.json").read_text())
    assert name not in split["train"]
    assert json.loads((output / "dataset.json").read_text())["numTraining"] == len(names_in(output / "labelsTr"))
    assert f"{name}.nii.gz" not in names_in(output / "labelsTr")


def fill(study):
    (study / "Dataset501_Tiny").mkdir()
    (study / "Dataset501_Tiny" / "notes.txt").touch()
    return "Dataset501_Tiny"


def remove_a_scan(study):
    shutil.rmtree(study / "cohort/sub-04")
    return "Dataset501_Tiny"


def test_an_export_that_was_stopped_is_completed_by_the_same_command(study, cli):
    output = study / "Dataset501_Tiny"
    output.mkdir()
    (output / ".unfinished").touch()
    (output / "imagesTr").mkdir()
    (output / "imagesTr" / ".part-abcdefgh-sub-01_0000.nii.gz").touch()
    assert cli("export", "nnunet", study / "study", "-o", output, "-q").status == 0
    assert not list(output.rglob(".*"))
    assert cli("export", "nnunet", study / "study", "-o", output, "-q").status == 2


@pytest.mark.parametrize(
    ("prepare", "fault"),
    [
        (lambda _: "Tiny", "asks for folders named like Dataset501_Cord"),
        (fill, "is not empty; a new folder is needed"),
        (remove_a_scan, "has no image of sub-04, which the study's split names"),
        (lambda study: (study / "study/splits.tsv").unlink() or "Dataset501_Tiny", r"splits\.tsv"),
        (lambda study: (study / "study/study.yaml").unlink() or "Dataset501_Tiny", "no study here"),
    ],
    ids=["name", "not empty", "scan missing", "no split", "no study"],
)
def test_what_cannot_become_a_dataset_gets_a_sentence(study, cli, prepare, fault):
    output = study / prepare(study)
    before = sorted(output.iterdir()) if output.exists() else []
    ended = cli("export", "nnunet", study / "study", "-o", output, "-q")
    assert ended.status == 2
    assert fault.replace("\\", "") in ended.error
    assert (sorted(output.iterdir()) if output.exists() else []) == before
