import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cordlesion.config import read_study
from cordlesion.errors import CordlesionError
from cordlesion.io.tables import read_table, write_table
from cordlesion.io.writing import folder_lock
from cordlesion.model.bundle import read_card
from cordlesion.study.analysis import analyze
from cordlesion.study.cohort import open_study
from cordlesion.study.evaluate import evaluate_test
from cordlesion.study.fingerprints import sweep_fingerprint
from cordlesion.study.preprocess import preprocess
from cordlesion.study.run import EXECUTORS, run_study
from cordlesion.study.setup import read_study_to_run
from cordlesion.study.status import study_status
from cordlesion.study.train import train_runs
from cordlesion.study_folder.folder import StudyFolder
from support.forked import run_forked
from support.tiny import KILLER, make_cohort, write_scan


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study file of a tiny study that was never interrupted."""
    file = make_cohort(tmp_path_factory.mktemp("finished"))
    assert run_study(read_study(file), until="evaluate") == {}
    return file


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished.parent, tmp_path / "copy")
    return tmp_path / "copy" / "study.yaml"


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("stacks/*.safetensors", 5),
        ("runs/tversky_seed-0/checkpoint-*", 2),
        ("anat/*_probseg.nii.gz", 4),
        ("thresholds.tsv", 1),
    ],
)
def test_a_killed_study_ends_with_the_same_bytes(finished, tmp_path, pattern, count):
    shutil.copytree(finished.parent / "cohort", tmp_path / "cohort")
    file = Path(shutil.copy(finished, tmp_path))
    killed = run_forked("-c", KILLER, file, pattern, count)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "study" / "evaluation.tsv").exists()
    run_study(read_study(file), until="evaluate")
    for name in ("splits.tsv", "sweep.tsv", "thresholds.tsv", "evaluation.tsv"):
        assert (tmp_path / "study" / name).read_bytes() == (finished.parent / "study" / name).read_bytes()
    assert not list((tmp_path / "study").rglob(".part-*"))


def test_what_is_done_is_not_done_again(copy):
    before = {p: p.stat().st_mtime_ns for p in (copy.parent / "study").rglob("*.safetensors")}
    run_study(read_study(copy), until="evaluate")
    assert before == {p: p.stat().st_mtime_ns for p in (copy.parent / "study").rglob("*.safetensors")}


def test_another_loss_is_added_without_training_the_others_again(copy):
    bundle = copy.parent / "study/runs/bce_seed-0/bundle/model.safetensors"
    before = bundle.stat().st_mtime_ns
    copy.write_text(copy.read_text().replace("[bce, tversky]", "[bce, tversky, dice]"))
    run_study(read_study(copy), until="evaluate")
    assert bundle.stat().st_mtime_ns == before
    assert set(read_table(copy.parent / "study/evaluation.tsv")["loss"]) == {"bce", "tversky", "dice"}


def test_a_changed_training_is_done_again(copy):
    weights = copy.parent / "study/runs/bce_seed-0/bundle/model.safetensors"
    before = weights.read_bytes()
    copy.write_text(copy.read_text().replace("epochs: 3", "epochs: 2"))
    run_study(read_study(copy), until="train")
    assert weights.read_bytes() != before


def test_a_split_edited_by_hand_redoes_all_that_depends_on_it(copy):
    run_study(read_study(copy), until="analyze")
    folder = StudyFolder(copy.parent / "study")
    splits = read_table(folder.splits)
    tested = splits[(splits["set"] == "test") & (splits["reference_volume_mm3"] > 0)]["subject"].unique()
    splits.loc[splits["subject"] == tested[0], "set"] = "threshold"
    write_table(folder.splits, splits)
    run_study(read_study(copy), until="split")
    assert not folder.thresholds.exists()
    assert not folder.evaluation.exists()
    assert read_card(folder.bundle("bce_seed-0")).threshold is None
    run_study(read_study(copy), until="analyze")
    assert read_card(folder.bundle("bce_seed-0")).threshold is not None
    members = set(splits[splits["set"] == "test"]["scan_id"])
    for table in (folder.table("rules"), folder.table("strata"), folder.evaluation):
        rows = read_table(table)
        assert set(rows[rows["set"] == "test"]["scan_id"]) == members


def test_a_split_written_by_hand_after_ours_holds_for_another_split_section_too(copy):
    folder = StudyFolder(copy.parent / "study")
    run_study(read_study(copy), until="split")
    copy.write_text(copy.read_text().replace("split: {", "split: {seed: 5, "))
    with pytest.raises(CordlesionError, match=r"splits\.tsv: was written for other scans or another `split` section"):
        run_study(read_study(copy), until="split")
    splits = read_table(folder.splits)
    tested = splits[splits["set"] == "test"]["subject"].iloc[0]
    splits.loc[splits["subject"] == tested, "set"] = "train"
    write_table(folder.splits, splits)
    run_study(read_study(copy), until="split")
    assert read_table(folder.splits)["set"].tolist() == splits["set"].tolist()


def test_what_a_sweep_names_is_part_of_its_fingerprint(copy):
    config = read_study(copy)
    study = preprocess(open_study(config, StudyFolder(config.output)))
    scans, run = study.in_set("threshold"), config.runs[0]
    renamed = [replace(scan, subject="sub-99") for scan in scans]
    assert sweep_fingerprint(study, run, renamed) != sweep_fingerprint(study, run, scans)


def test_evaluation_holds_the_rows_of_half_and_of_the_tuned_threshold(finished):
    folder = StudyFolder(finished.parent / "study")
    evaluation, sweep, tuned = (read_table(p) for p in (folder.evaluation, folder.sweep, folder.thresholds))
    for run in tuned.itertuples():
        rows = evaluation[(evaluation["loss"] == run.loss) & (evaluation["seed"] == run.seed)]
        assert set(rows["threshold"]) == {0.5, run.threshold}
        curve = (
            sweep[(sweep["loss"] == run.loss) & (sweep["set"] == "threshold")].groupby("threshold")["voxel_f1"].mean()
        )
        assert run.score == pytest.approx(curve.max()) == pytest.approx(curve[run.threshold])
    assert set(evaluation["set"]) == {"threshold", "test"}
    merged = evaluation.merge(sweep, how="left", indicator=True)
    assert (merged["_merge"] == "both").all()


def test_lesion_free_scans_have_undefined_scores_and_count_for_specificity(finished):
    evaluation = read_table(finished.parent / "study/evaluation.tsv")
    healthy = evaluation[evaluation["reference_volume_mm3"] == 0]
    assert len(healthy) > 0
    assert healthy["voxel_f1"].isna().all()
    assert healthy["n_predicted_lesions"].notna().all()


def test_bundles_carry_the_tuned_threshold_and_their_maps_lie_on_the_scans_grid(finished):
    import nibabel as nib

    folder = StudyFolder(finished.parent / "study")
    for run in read_table(folder.thresholds).itertuples():
        card = json.loads((folder.bundle(f"{run.loss}_seed-{run.seed}") / "model.json").read_text())
        assert card["threshold"]["value"] == run.threshold
    for path in folder.derivatives.rglob("*_probseg.nii.gz"):
        subject = path.name.split("_")[0]
        scan = nib.load(finished.parent / "cohort" / subject / "anat" / f"{subject}_T2w.nii.gz")
        np.testing.assert_array_equal(nib.load(path).affine, scan.affine)


def test_the_manifest_states_versions_inputs_hardware_and_times(finished):
    manifest = json.loads((finished.parent / "study/manifest.json").read_text())
    assert {"cordlesion", "python", "packages", "hardware", "seeds", "scans", "excluded", "seconds"} <= manifest.keys()
    assert manifest["packages"]["torch"]
    scan = manifest["scans"]["sub-01"]
    assert len(scan["sha256"]["image"]) == 64
    assert scan["reference"].endswith("sub-01_label-lesion_seg.nii.gz")
    assert manifest["seconds"]["train/bce_seed-0"] > 0


def test_the_test_set_stays_closed_until_thresholds_are_written(copy):
    config = read_study(copy)
    folder = StudyFolder(config.output)
    folder.thresholds.unlink()
    study = train_runs(preprocess(open_study(config, folder)))
    with pytest.raises(CordlesionError, match="test set stays closed"):
        evaluate_test(study)


def test_scans_of_the_test_set_are_not_predicted_while_tuning(tmp_path):
    file = make_cohort(tmp_path)
    run_study(read_study(file), until="tune")
    splits = read_table(tmp_path / "study/splits.tsv").set_index("scan_id")["set"]
    predicted = {p.name.split("_")[0] for p in (tmp_path / "study/derivatives").rglob("*_probseg.nii.gz")}
    assert {splits[name] for name in predicted} == {"threshold"}


def test_a_second_process_is_refused(copy):
    with folder_lock(copy.parent / "study"), pytest.raises(CordlesionError, match="another cordlesion process"):
        run_study(read_study(copy))


def test_a_subject_in_two_sets_is_refused(copy):
    """A split written by hand, which gives the second scan of sub-01 another subject's name."""
    cohort, path = copy.parent / "cohort", copy.parent / "study/splits.tsv"
    write_scan(cohort, "sub-90", seed=90, lesions=1)
    for file in list(cohort.rglob("sub-90_*")):
        file.rename(file.parent.parent.parent / "sub-01/anat" / file.name.replace("sub-90", "sub-01_run-2"))
    table = pd.read_csv(path, sep="\t")
    second = table[table["scan_id"] == "sub-01"].assign(scan_id="sub-01_run-2", subject="sub-90")
    second["set"] = second["set"].map(lambda name: "train" if name != "train" else "test")
    pd.concat([table, second]).to_csv(path, sep="\t", index=False)
    (copy.parent / "study/.done/split.json").unlink()
    with pytest.raises(CordlesionError, match=r"one subject in two sets: sub-01 .*sub-01_run-2"):
        run_study(read_study(copy))


def test_one_image_under_two_names_is_refused(copy):
    path = copy.parent / "study/splits.tsv"
    for subject in ("sub-01", "sub-02"):
        write_scan(copy.parent / "cohort", subject, seed=2, lesions=3)
    table = pd.read_csv(path, sep="\t").set_index("scan_id")
    table.loc["sub-01", "set"], table.loc["sub-02", "set"] = "train", "test"
    table.to_csv(path, sep="\t")
    (copy.parent / "study/.done/split.json").unlink()
    with pytest.raises(CordlesionError, match="one image content in two sets"):
        run_study(read_study(copy))


def test_a_bad_scan_is_listed_and_does_not_stop_the_others(tmp_path):
    file = make_cohort(tmp_path)
    bad = tmp_path / "cohort/sub-03/anat/sub-03_T2w.nii.gz"
    bad.write_bytes(bad.read_bytes()[:2000])
    lost = tmp_path / "cohort/derivatives/labels/sub-77/anat/sub-77_label-lesion_seg.nii.gz"
    lost.parent.mkdir(parents=True)
    shutil.copy(tmp_path / "cohort/derivatives/labels/sub-01/anat/sub-01_label-lesion_seg.nii.gz", lost)
    no_curve = tmp_path / "cohort/derivatives/labels/sub-05/anat/sub-05_label-centerline_seg.nii.gz"
    no_curve.unlink()
    excluded = run_study(read_study(file), until="preprocess")
    assert sorted(excluded) == sorted(["sub-03", str(lost), "sub-05"])
    assert "truncated" in excluded["sub-03"]
    assert "no centerline" in excluded["sub-05"]
    listed = json.loads((tmp_path / "study/manifest.json").read_text())["excluded"]
    cohort = f"{tmp_path / 'cohort'}/"
    assert listed == {name.replace(cohort, ""): reason.replace(cohort, "") for name, reason in excluded.items()}


def test_status_lists_what_is_left(tmp_path):
    file = make_cohort(tmp_path)
    run_study(read_study(file), until="train")
    states = {(stage, unit): state for stage, unit, state in study_status(tmp_path / "study")}
    assert states[("train", "bce_seed-0")] == "done"
    assert states[("tune", "thresholds.tsv")] == "left"


def test_the_derivatives_are_valid_bids(finished):
    folder = finished.parent / "study/derivatives/cordlesion"
    assert json.loads((folder / "dataset_description.json").read_text())["Name"]
    validator = Path(sys.executable).with_name("bids-validator-deno")
    checked = subprocess.run([validator, folder, "--json"], capture_output=True, text=True, check=False)
    issues = json.loads(checked.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert checked.returncode == 0


def test_every_derivative_names_its_source_from_the_folder_of_the_dataset(finished):
    derivatives = finished.parent / "study/derivatives/cordlesion"
    links = json.loads((derivatives / "dataset_description.json").read_text())["DatasetLinks"]
    assert (derivatives / links["raw"]).resolve() == (finished.parent / "cohort").resolve()
    sidecars = [*derivatives.rglob("*_probseg.json"), *derivatives.rglob("*_mask.json")]
    assert sidecars
    for sidecar in sidecars:
        (source,) = json.loads(sidecar.read_text())["Sources"]
        _, name, path = source.split(":", 2)
        assert (derivatives / links.get(name, ".") / path).is_file()


def test_masks_are_the_maps_cut_at_the_tuned_threshold(finished):
    import nibabel as nib

    folder = StudyFolder(finished.parent / "study")
    run = read_table(folder.thresholds).iloc[0]
    path = folder.probability("sub-13", f"{run['loss']}_seed-{run['seed']}")
    p = nib.load(path).get_fdata(dtype=np.float32)
    mask = nib.load(str(path).replace("probseg", "mask"))
    np.testing.assert_array_equal(np.asarray(mask.dataobj).astype(bool), p >= np.float32(run["threshold"]))


def test_a_scan_without_reference_is_not_taken_for_lesion_free(tmp_path):
    file = make_cohort(tmp_path)
    (tmp_path / "cohort/derivatives/labels/sub-03/anat/sub-03_label-lesion_seg.nii.gz").unlink()
    excluded = run_study(read_study(file), until="split")
    assert "no reference found" in excluded["sub-03"]
    assert "sub-03" not in set(read_table(tmp_path / "study/splits.tsv")["scan_id"])


def test_deleted_maps_are_made_again(copy):
    evaluation = (copy.parent / "study/evaluation.tsv").read_bytes()
    shutil.rmtree(copy.parent / "study/derivatives")
    run_study(read_study(copy), until="evaluate")
    assert (copy.parent / "study/evaluation.tsv").read_bytes() == evaluation
    assert list((copy.parent / "study/derivatives").rglob("*_probseg.nii.gz"))


def test_a_refused_run_leaves_the_configuration_as_it_ran(copy):
    before = (copy.parent / "study/study.yaml").read_bytes()
    copy.write_text(copy.read_text().replace("train: 4", "train: 5"))
    with pytest.raises(CordlesionError, match="another `split` section"):
        run_study(read_study(copy))
    assert (copy.parent / "study/study.yaml").read_bytes() == before


def test_a_scan_that_breaks_later_is_named(copy):
    image = copy.parent / "cohort/sub-02/anat/sub-02_T2w.nii.gz"
    image.write_bytes(image.read_bytes()[:2000])
    with pytest.raises(CordlesionError, match=r"only one of the two: sub-02\).*truncated"):
        run_study(read_study(copy))


def test_results_of_another_configuration_are_removed(copy):
    copy.write_text(copy.read_text().replace("epochs: 3", "epochs: 2"))
    run_study(read_study(copy), until="preprocess")
    states = {(stage, unit): state for stage, unit, state in study_status(copy.parent / "study")}
    assert states[("train", "bce_seed-0")] == states[("tune", "thresholds.tsv")] == "left"
    assert not (copy.parent / "study/evaluation.tsv").exists()


def test_the_study_file_itself_is_never_overwritten(copy):
    copy.write_text(copy.read_text().replace("output: study", "output: ."))
    with pytest.raises(CordlesionError, match="would be overwritten"):
        read_study_to_run(copy)


def test_the_complete_configuration_of_a_study_runs_again(copy):
    written = copy.parent / "study/study.yaml"
    before = written.read_bytes()
    run_study(read_study_to_run(written), until="split")
    assert written.read_bytes() == before


def test_one_failing_loss_does_not_stop_the_others(tmp_path, monkeypatch):
    import cordlesion.training

    def fail_bce(run, *arguments):
        if run.loss.name == "bce":
            raise CordlesionError("the loss became NaN")
        return train_run(run, *arguments)

    train_run = cordlesion.training.train_run
    monkeypatch.setattr(cordlesion.training, "train_run", fail_bce)
    file = make_cohort(tmp_path)
    with pytest.raises(CordlesionError, match=r"bce_seed-0: the loss became NaN"):
        run_study(read_study(file), until="train")
    assert ("train", "bce_seed-0", "failed: the loss became NaN") in study_status(tmp_path / "study")
    assert ("train", "tversky_seed-0", "done") in study_status(tmp_path / "study")
    assert (tmp_path / "study/runs/tversky_seed-0/bundle/model.json").is_file()


@pytest.mark.parametrize("stage", [evaluate_test, analyze])
def test_no_stage_that_looks_at_the_test_set_runs_before_tuning(tmp_path, stage):
    config = read_study(make_cohort(tmp_path))
    study = preprocess(open_study(config, StudyFolder(config.output)))
    with pytest.raises(CordlesionError, match="test set stays closed"):
        stage(study)
    assert not list((tmp_path / "study").rglob("*_probseg.nii.gz"))


def test_every_executor_of_the_command_line_exists(cli):
    assert list(EXECUTORS) == ["local", "slurm"]
    assert "[choices: local, slurm]" in cli("study", "run", "--help").output
