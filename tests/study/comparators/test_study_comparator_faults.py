"""What comparators' files may not be: reported once stacks are cut, before anything is trained."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cordlesion.config import read_study
from cordlesion.errors import CordlesionError
from cordlesion.io.progress import shown
from cordlesion.io.tables import read_table
from cordlesion.study.run import run_study
from cordlesion.study.status import study_status
from support.comparator_files import COMPARATORS, save, save_softmax, write_comparators
from support.tiny import make_cohort

SHAPE = (24, 24, 40)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study file of a tiny study whose stacks are cut, with five comparators."""
    folder = tmp_path_factory.mktemp("prepared")
    file = make_cohort(folder)
    write_comparators(folder)
    file.write_text(file.read_text() + COMPARATORS)
    assert run_study(read_study(file), until="preprocess") == {}
    return file


@pytest.fixture
def copy(prepared: Path, tmp_path: Path) -> Path:
    shutil.copytree(prepared.parent, tmp_path / "copy")
    return tmp_path / "copy" / "study.yaml"


def data(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def test_a_file_of_no_scan_is_reported(copy, capsys):
    with shown():
        run_study(read_study(copy), until="split")
    assert "comparator soft: 1 file matches no scan (sub-99)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "sentences"),
    [
        (
            lambda folder: save(folder / "maps/sub-13_probseg.nii.gz", np.ones((24, 24, 41), np.float32), np.eye(4)),
            ["comparator soft: ", "has shape (24, 24, 41)", "both must share one grid"],
        ),
        (
            lambda folder: save(folder / "maps/sub-13_probseg.nii.gz", np.ones(SHAPE, np.float32), np.eye(4)),
            ["comparator soft: ", "mm away from"],
        ),
        (
            lambda folder: save(
                folder / "maps/sub-14_probseg.nii.gz", np.full(SHAPE, 50, np.float32), np.diag([-0.6, 0.6, 0.6, 1])
            ),
            ["comparator soft: ", "values from 50 to 50 found; probabilities between 0 and 1 are needed"],
        ),
        (
            lambda folder: save(
                folder / "masks/sub-13_T2w_lesionseg.nii.gz",
                np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE),
                np.diag([-0.6, 0.6, 0.6, 1]),
            ),
            ["comparator hard: ", "a mask with 0 and one other value is needed"],
        ),
        (
            lambda folder: [save_softmax(folder / f"npz/sub-{n}.npz", np.zeros((24, 24, 41))) for n in (13, 14)],
            ["sub-13.npz: 'probabilities' has shape (2, 41, 24, 24)", "sub-14.npz: 'probabilities'"],
        ),
        (lambda folder: (folder / "npz/sub-13.npz").unlink(), ["comparator nnunet: no file for 1 of 8 scans"]),
        (lambda folder: (folder / "theirs/model.json").unlink(), ["theirs: no bundle"]),
        (lambda folder: shutil.rmtree(folder / "masks"), ["masks: no such folder; the comparator 'hard' needs it"]),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_reported_before_anything_is_trained(copy, spoil, sentences):
    spoil(copy.parent)
    with pytest.raises(CordlesionError) as caught:
        run_study(read_study(copy), until="preprocess")
    assert all(sentence in str(caught.value) for sentence in sentences), str(caught.value)


def test_the_references_themselves_are_no_comparator(copy):
    copy.write_text(copy.read_text().replace("masks: masks", "masks: cohort"))
    with pytest.raises(CordlesionError, match=r"_label-lesion_seg.nii.gz: is the reference of sub-.. itself; what the"):
        run_study(read_study(copy), until="split")


def test_copies_of_the_references_are_no_comparator_however_they_are_stored(copy):
    for path in (copy.parent / "cohort").rglob("*_label-lesion_seg.nii.gz"):
        name = path.name.replace("_label-lesion_seg.nii.gz", "_T2w_lesionseg.nii.gz")
        save(copy.parent / "masks" / name, data(path).astype(np.float32) * 255, nib.load(path).affine)
    with pytest.raises(CordlesionError, match="masks: its lesions are those of the references, voxel by voxel"):
        run_study(read_study(copy), until="preprocess")


def test_masks_given_as_maps_are_reported_before_anything_is_trained(copy):
    copy.write_text(copy.read_text().replace("{name: soft, maps: maps}", "{name: soft, maps: masks}"))
    with pytest.raises(CordlesionError, match=r"masks: every file holds 0 and .* Give them as `masks:`, or export"):
        run_study(read_study(copy), until="preprocess")
    with pytest.raises(CordlesionError, match="every file holds 0 and one other value"):
        run_study(read_study(copy), until="preprocess")


def test_a_scan_that_is_left_out_needs_no_file(copy):
    """A curve that is no curve leaves the scan out when its stack is cut, after files are matched."""
    (copy.parent / "npz/sub-13.npz").unlink()
    labels = copy.parent / "cohort/derivatives/labels/sub-13/anat"
    path = labels / "sub-13_label-centerline_seg.nii.gz"
    save(path, np.zeros(SHAPE, np.uint8), nib.load(path).affine)
    assert list(run_study(read_study(copy), until="preprocess")) == ["sub-13"]
    listed = (
        read_table(copy.parent / "study" / "comparators.tsv")
        .query("scan_id == 'sub-13'")
        .set_index("comparator")["state"]
    )
    assert listed.to_dict() == dict.fromkeys(("soft", "hard", "shipped"), "not needed")
    rows = {(stage, unit): state for stage, unit, state in study_status(copy.parent / "study")}
    assert rows["preprocess", "13 of 13 scans, 1 left out"] == "done"
    assert rows["comparator", "nnunet: 7 of 7 scans, 1 left out"] == "done"
    assert rows["comparator", "theirs: 0 of 7 scans, 1 left out"] == "left"
