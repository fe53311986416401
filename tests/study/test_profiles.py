"""The profiles that a study writes into its models."""

import shutil

import pytest

from cordlesion.config import read_study
from cordlesion.guard.profile import FILE, choose_scans, read_profile
from cordlesion.io.tables import read_table
from cordlesion.preprocess.stack_file import read_stack
from cordlesion.study.run import run_study
from cordlesion.study_folder.folder import StudyFolder
from support.tiny import make_cohort


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    file = make_cohort(tmp_path_factory.mktemp("trained"))
    run_study(read_study(file), until="train")
    return file


def bundles(file):
    return [StudyFolder(file.parent / "study").bundle(f"{loss}_seed-0") for loss in ("bce", "tversky")]


def test_each_model_has_the_profile_of_all_sets_but_the_test_set(trained):
    first, second = map(read_profile, bundles(trained))
    assert first == second
    splits = read_table(trained.parent / "study" / "splits.tsv")
    learning = splits[splits["set"] != "test"]
    assert first.n_subjects == learning["subject"].nunique() == len(learning)
    chosen = choose_scans(dict(zip(learning["scan_id"], learning["subject"], strict=True)))
    stack = read_stack(StudyFolder(trained.parent / "study").stack(next(iter(chosen.values()))[0]))
    assert first.voxels_mm[0] == pytest.approx([0.5 / step for step in stack.geometry.step], abs=1e-3)


def test_a_model_without_a_profile_gets_one_without_training(trained, tmp_path):
    """As models of earlier versions; profiles that are there are not made again."""
    shutil.copytree(trained.parent, tmp_path / "copy")
    file = tmp_path / "copy" / "study.yaml"
    bce, tversky = bundles(file)
    before = {path: path.stat().st_mtime_ns for path in file.parent.rglob("*.safetensors")}
    kept, written = (tversky / FILE).stat().st_mtime_ns, (bce / FILE).read_bytes()
    (bce / FILE).unlink()
    run_study(read_study(file), until="train")
    assert (bce / FILE).read_bytes() == written
    assert (tversky / FILE).stat().st_mtime_ns == kept
    assert {path: path.stat().st_mtime_ns for path in file.parent.rglob("*.safetensors")} == before


@pytest.mark.parametrize("change", [('"made_from": "', '"made_from": "other'), ("features", "damaged")])
def test_a_profile_of_other_scans_and_a_damaged_one_are_replaced(trained, tmp_path, change):
    shutil.copytree(trained.parent, tmp_path / "copy")
    file = tmp_path / "copy" / "study.yaml"
    bce, _ = bundles(file)
    right = (bce / FILE).read_text()
    (bce / FILE).write_text(right.replace(*change))
    run_study(read_study(file), until="train")
    assert (bce / FILE).read_text() == right
