"""A finished study to which comparators are added: a refused one touches nothing, a good one no threshold of a run."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cordlesion.config import read_study
from cordlesion.errors import CordlesionError
from cordlesion.io.fingerprints import file_hash
from cordlesion.model.bundle import read_card
from cordlesion.study.run import run_study
from cordlesion.study_folder.folder import StudyFolder
from support.comparator_files import save, write_comparators
from support.plain_report import without_pictures
from support.tiny import make_cohort

FINISHED = "comparators:\n  - {name: soft, maps: maps}\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study file of a finished tiny study with one comparator, and files of others beside it."""
    folder = tmp_path_factory.mktemp("finished")
    file = make_cohort(folder)
    write_comparators(folder)
    file.write_text(file.read_text().replace("[bce, tversky]", "[bce]") + FINISHED)
    with without_pictures():
        assert run_study(read_study(file)) == {}
    return file


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished.parent, tmp_path / "copy")
    return tmp_path / "copy" / "study.yaml"


def contents(file: Path) -> dict[str, str]:
    files = [path for path in (file.parent / "study").rglob("*") if path.is_file()]
    return {str(path): file_hash(path) for path in files}


def copy_references(folder: Path) -> None:
    for path in (folder / "cohort").rglob("*_label-lesion_seg.nii.gz"):
        image, name = nib.load(path), path.name.replace("_label-lesion_seg", "_lesionseg")
        save(folder / "copies" / name, np.asarray(image.dataobj).astype(np.float32), image.affine)


@pytest.mark.parametrize("until", ["split", "report"])
@pytest.mark.parametrize(
    ("added", "spoil", "sentence"),
    [
        ("npz: npz", lambda folder: (folder / "npz/sub-13.npz").unlink(), r"no file for 1 of 8 scans .*\(sub-13\)"),
        ("npz: npz, lesion_class: 2", lambda _: None, r"npz/sub-\d\d\.npz and 7 more: has 2 classes, .* no class 2"),
        ("npz: npz", lambda folder: (folder / "npz/sub-13.npz").write_text("no archive"), "sub-13.npz: no readable"),
        ("maps: masks", lambda _: None, "every file holds 0 and one other value"),
        ("masks: copies", copy_references, "its lesions are those of the references"),
        (
            "npz: npz",
            lambda folder: shutil.copy(folder / "npz/sub-13.npz", folder / "npz/sub-13_desc-2.npz"),
            r"is of the same scan as .* Narrow them to one per scan by `files:` of the comparator 'added'",
        ),
        ("bundle: maps", lambda _: None, "no bundle"),
        ("bundle: theirs", lambda folder: (folder / "theirs/model.safetensors").write_bytes(b"cut"), "model.safetens"),
    ],
    ids=["missing", "class", "damaged", "masks as maps", "references", "two of a scan", "no bundle", "weights"],
)
def test_a_refused_comparator_leaves_a_finished_study_as_it_was(copy, until, added, spoil, sentence):
    before = contents(copy)
    spoil(copy.parent)
    copy.write_text(copy.read_text() + f"  - {{name: added, {added}}}\n")
    with pytest.raises(CordlesionError, match=sentence):
        run_study(read_study(copy), until=until)
    assert contents(copy) == before


def test_missing_files_are_reported_with_those_that_match_no_scan(copy):
    (copy.parent / "npz/sub-13.npz").rename(copy.parent / "npz/sub-013.npz")
    copy.write_text(copy.read_text() + "  - {name: added, npz: npz}\n")
    with pytest.raises(CordlesionError, match=r"\(sub-13\); .* Of its files, 1 match no scan \(sub-013\)\."):
        run_study(read_study(copy))


@pytest.mark.parametrize("comparators", [FINISHED + "  - {name: added, npz: npz}\n", ""], ids=["added", "taken out"])
def test_tuned_thresholds_of_runs_do_not_depend_on_comparators(copy, comparators):
    folder = StudyFolder(copy.parent / "study")
    card, rows = folder.bundle("bce_seed-0") / "model.json", folder.thresholds.read_text().splitlines()
    before = card.read_bytes()
    assert read_card(folder.bundle("bce_seed-0")).threshold is not None
    copy.write_text(copy.read_text().replace(FINISHED, comparators))
    run_study(read_study(copy), until="split")
    assert not folder.evaluation.exists()
    assert card.read_bytes() == before
    run_study(read_study(copy), until="evaluate")
    assert card.read_bytes() == before
    assert folder.thresholds.read_text().splitlines()[:2] == rows[:2]


def test_tuned_thresholds_are_forgotten_when_the_study_itself_is_another(copy):
    text = copy.read_text().replace(FINISHED, FINISHED + "  - {name: added, npz: npz}\n")
    copy.write_text(text + "threshold: {objective: median_voxel_f1}\n")
    run_study(read_study(copy), until="split")
    assert read_card(StudyFolder(copy.parent / "study").bundle("bce_seed-0")).threshold is None
