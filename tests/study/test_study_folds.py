"""A study with several folds whose minimum lesion volume is tuned too: each scan is tested once, by its own fold."""

import json
import shutil
import signal
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cordlesion.config import read_study
from cordlesion.errors import CordlesionError
from cordlesion.explorer.catalog import Catalog
from cordlesion.explorer.scan_data import ScanData
from cordlesion.io.tables import read_table
from cordlesion.metrics import evaluate
from cordlesion.model.bundle import read_card
from cordlesion.report.sections.thresholds.stability import summarize_stability
from cordlesion.scan.segment import segment
from cordlesion.statistics import MIN_SUBJECTS
from cordlesion.study.run import run_study
from cordlesion.study.status import study_status
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.results import read_results
from cordlesion.threshold import FINE_THRESHOLDS, choose_threshold
from oracles.postprocess_oracle import naive_removal
from support.declared import declared, written_tables
from support.forked import run_forked
from support.tiny import KILLER, make_cohort

FOLDS = (1, 2)
VOLUMES = (0.0, 1.5, 4.0)


def make_study(folder):
    file = make_cohort(folder, subjects=12)
    text = file.read_text().replace("[bce, tversky]", "[tversky]").replace("test: 3}}", "test: 3}, folds: 2}")
    file.write_text(text + f"threshold: {{grid: fine, minimum_volumes_mm3: {list(VOLUMES)}}}\n")
    return file


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    file = make_study(tmp_path_factory.mktemp("folds"))
    assert run_study(read_study(file), until="analyze") == {}
    return file


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished.parent, tmp_path / "copy")
    return tmp_path / "copy" / "study.yaml"


def test_every_table_has_its_declared_columns_in_order(finished):
    tables = written_tables(finished.parent / "study")
    assert len(tables) >= 15
    for path, (columns, spec) in tables.items():
        assert columns == declared(spec, *({"repeat"} & set(spec.names))), path


def run_name(fold):
    return f"tversky_seed-0_fold-{fold}"


def test_each_scan_is_tested_once_by_a_network_that_never_saw_its_subject(finished):
    folder = StudyFolder(finished.parent / "study")
    splits, evaluation = read_table(folder.splits), read_table(folder.evaluation)
    thresholds = read_table(folder.thresholds).set_index("fold")["threshold"]
    tested = evaluation[evaluation["set"] == "test"]
    tuned = tested[tested["threshold"] == tested["fold"].map(thresholds)]
    assert sorted(tuned["scan_id"]) == [f"sub-{n:02d}" for n in range(1, 13)]
    for fold in FOLDS:
        seen = splits[(splits["fold"] == fold) & (splits["set"] != "test")]
        assert set(tested.loc[tested["fold"] == fold, "subject"]).isdisjoint(seen["subject"])
        assert not (seen["reference_volume_mm3"] == 0).any()


def test_stacks_are_cut_once_and_every_fold_has_runs_of_its_own(finished):
    folder = StudyFolder(finished.parent / "study")
    assert len(list((folder.root / "stacks").iterdir())) == 12
    assert sorted(path.name for path in (folder.root / "runs").iterdir()) == [run_name(fold) for fold in FOLDS]
    states = {(stage, unit): state for stage, unit, state in study_status(folder.root)}
    assert states[("split", "2 folds")] == states[("preprocess", "12 of 12 scans")] == "done"
    assert states[("train", run_name(2))] == states[("analyze", "calibration.tsv")] == "done"
    assert states[("report", "report.html")] == "left"


def test_threshold_and_minimum_volume_are_the_best_of_their_folds_threshold_set(finished):
    folder = StudyFolder(finished.parent / "study")
    for row in read_table(folder.thresholds).itertuples():
        sweep = read_table(folder.run_sweep(run_name(row.fold), "threshold"))
        assert set(sweep["threshold"]) == set(FINE_THRESHOLDS)
        assert set(sweep["minimum_volume_mm3"]) == set(VOLUMES)
        assert set(sweep["set"]) == {"threshold"}
        means = sweep.groupby(["minimum_volume_mm3", "threshold"])["voxel_f1"].mean()
        assert row.score == pytest.approx(means.max())
        choice = choose_threshold(sweep, "mean_voxel_f1")
        assert (row.threshold, row.minimum_volume_mm3) == (choice.value, choice.minimum_volume_mm3)
        assert (row.loss_below, row.area) == pytest.approx((choice.stability.loss_below, choice.stability.area))
        assert (row.n_lesion_free, row.n_left_out) == (0, 0)
        assert row.n_subjects < MIN_SUBJECTS
        assert np.isnan([row.interval_low, row.interval_high, row.volume_interval_low, row.volume_interval_high]).all()


def test_every_table_of_runs_has_the_fold(finished):
    folder = StudyFolder(finished.parent / "study")
    for name in ("sweep", "thresholds", "evaluation", "rules", "strata", "froc", "calibration", "reliability"):
        assert set(read_table(folder.table(name))["fold"]) == set(FOLDS), name


def test_tables_and_masks_are_those_of_the_tuned_minimum_volume(finished):
    folder = StudyFolder(finished.parent / "study")
    sweep = read_table(folder.sweep)
    for row in read_table(folder.thresholds).itertuples():
        mine = sweep[sweep["fold"] == row.fold]
        assert set(mine["minimum_volume_mm3"]) == {row.minimum_volume_mm3}
        assert set(mine["set"]) == {"threshold", "test"}
        scan = mine.loc[mine["set"] == "test", "scan_id"].iloc[0]
        labels = finished.parent / f"cohort/derivatives/labels/{scan}/anat"
        reference = np.asarray(nib.load(labels / f"{scan}_label-lesion_seg.nii.gz").dataobj) > 0
        path = folder.probability(scan, run_name(row.fold))
        p = nib.load(path).get_fdata(dtype=np.float32)
        expected = naive_removal(p >= np.float32(row.threshold), (0.6,) * 3, row.minimum_volume_mm3)
        measured = mine[(mine["scan_id"] == scan) & (mine["threshold"] == row.threshold)].iloc[0]
        assert measured["voxel_f1"] == pytest.approx(evaluate(reference, expected, (0.6,) * 3).voxel_f1, nan_ok=True)
        mask = nib.load(str(path).replace("_probseg", "_mask"))
        np.testing.assert_array_equal(np.asarray(mask.dataobj) > 0, expected)
        bundle = folder.bundle(run_name(row.fold))
        assert read_card(bundle).postprocess.minimum_volume_mm3 == row.minimum_volume_mm3
        image = finished.parent / f"cohort/{scan}/anat/{scan}_T2w.nii.gz"
        curve = labels / f"{scan}_label-centerline_seg.nii.gz"
        np.testing.assert_array_equal(segment(image, bundle, centerline=curve).mask, expected)


def test_the_sweep_of_each_minimum_volume_is_that_of_maps_without_smaller_components(finished):
    folder = StudyFolder(finished.parent / "study")
    sweep = read_table(folder.run_sweep(run_name(1), "threshold"))
    scan = sweep["scan_id"].iloc[0]
    labels = finished.parent / f"cohort/derivatives/labels/{scan}/anat"
    reference = np.asarray(nib.load(labels / f"{scan}_label-lesion_seg.nii.gz").dataobj) > 0
    p = nib.load(folder.probability(scan, run_name(1))).get_fdata(dtype=np.float32)
    removed = 0
    for row in sweep[(sweep["scan_id"] == scan) & sweep["threshold"].between(0.3, 0.7)].itertuples():
        cut = p >= np.float32(row.threshold)
        kept = naive_removal(cut, (0.6,) * 3, row.minimum_volume_mm3)
        removed += (cut & ~kept).sum()
        metrics = evaluate(reference, kept, (0.6,) * 3)
        assert row.n_predicted_lesions == metrics.n_predicted_lesions
        assert row.predicted_volume_mm3 == pytest.approx(metrics.predicted_volume_mm3)
        assert row.voxel_f1 == pytest.approx(metrics.voxel_f1)
    assert removed > 0


@pytest.mark.parametrize(
    ("pattern", "count"),
    [(f"runs/{run_name(2)}/checkpoint-*", 2), (f"runs/{run_name(1)}/sweep.tsv", 1), ("thresholds.tsv", 1)],
)
def test_a_killed_study_of_several_folds_ends_with_the_same_bytes(finished, tmp_path, pattern, count):
    shutil.copytree(finished.parent / "cohort", tmp_path / "cohort")
    file = Path(shutil.copy(finished, tmp_path))
    killed = run_forked("-c", KILLER, file, pattern, count)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "study" / "evaluation.tsv").exists()
    run_study(read_study(file), until="evaluate")
    names = ["splits.tsv", "sweep.tsv", "thresholds.tsv", "evaluation.tsv"]
    for name in [*names, *(f"runs/{run_name(fold)}/bundle/model.safetensors" for fold in FOLDS)]:
        assert (tmp_path / "study" / name).read_bytes() == (finished.parent / "study" / name).read_bytes()


def test_a_finished_study_keeps_its_thresholds_when_it_runs_again(copy):
    card = copy.parent / f"study/runs/{run_name(1)}/bundle/model.json"
    before = json.loads(card.read_text())
    assert before["threshold"]
    run_study(read_study(copy), until="train")
    assert json.loads(card.read_text()) == before


def test_another_number_of_folds_is_refused(copy):
    (copy.parent / "study/.done/split.json").unlink()
    copy.write_text(copy.read_text().replace("folds: 2", "folds: 3"))
    with pytest.raises(CordlesionError, match="has 2 folds; the study asks for 3"):
        run_study(read_study(copy), until="split")


def test_a_scan_in_two_test_sets_is_refused(copy):
    path = copy.parent / "study/splits.tsv"
    table = pd.read_csv(path, sep="\t")
    tested = table.loc[(table["fold"] == 1) & (table["set"] == "test"), "scan_id"].iloc[0]
    table.loc[table["scan_id"] == tested, "set"] = "test"
    table.to_csv(path, sep="\t", index=False)
    (copy.parent / "study/.done/split.json").unlink()
    with pytest.raises(CordlesionError, match=f"{tested} in the test sets of two folds"):
        run_study(read_study(copy), until="split")


def test_the_test_set_of_a_fold_stays_closed_without_its_threshold(copy):
    """A table of thresholds from which a hand has taken those of fold 2."""
    from cordlesion.study.cohort import open_study
    from cordlesion.study.evaluate import evaluate_test
    from cordlesion.study.preprocess import preprocess

    config = read_study(copy)
    folder = StudyFolder(config.output)
    table = read_table(folder.thresholds)
    table[table["fold"] == 1].to_csv(folder.thresholds, sep="\t", index=False)
    study = preprocess(open_study(config, folder))
    assert study.in_set("test", 1)
    with pytest.raises(CordlesionError, match=f"no threshold of {run_name(2)}; the test set stays closed"):
        evaluate_test(study)


@pytest.fixture(scope="module")
def reported(finished, tmp_path_factory):
    """A copy of the study with its report."""
    copy = Path(shutil.copytree(finished.parent, tmp_path_factory.mktemp("reported") / "copy"))
    run_study(read_study(copy / "study.yaml"))
    return copy / "study"


def test_the_report_pools_the_folds(reported):
    results = read_results(reported)
    (run,) = results.runs
    tuned = results.evaluated(run, "test", results.tuned[run])
    evaluation = read_table(results.folder.evaluation)
    for fold, t in read_table(results.folder.thresholds).set_index("fold")["threshold"].items():
        rows = evaluation[(evaluation["set"] == "test") & (evaluation["fold"] == fold)]
        own = rows[rows["threshold"] == t].set_index("scan_id")["voxel_f1"]
        pd.testing.assert_series_equal(tuned["voxel_f1"][own.index], own)
        training, chosen = results.tested_by(run, own.index[0])
        assert (training.name, chosen["threshold"]) == (run_name(fold), t)
    assert sorted(tuned.index) == [f"sub-{n:02d}" for n in range(1, 13)]
    assert "12 scans" in (reported / "report.html").read_text()


def test_every_fold_is_reported_at_its_own_threshold(reported):
    results = read_results(reported)
    page = (reported / "report.html").read_text()
    written = read_table(reported / "thresholds.tsv")
    sweep = read_table(reported / "sweep.tsv")
    (run,) = results.tuned
    changes = []
    for choice in written.itertuples():
        rows = sweep[(sweep["set"] == "test") & (sweep["fold"] == choice.fold) & (sweep["reference_volume_mm3"] > 0)]
        for _, scan in rows.groupby("scan_id"):
            t, f1 = scan["threshold"].to_numpy(), scan["voxel_f1"].to_numpy()
            moved = [round(choice.threshold + shift, 9) for shift in (-0.05, 0.05)]
            near = np.interp([each for each in moved if 0 <= each <= 1], t, f1)
            changes.append(np.abs(near - np.interp(choice.threshold, t, f1)).mean())
    assert summarize_stability(results)["change"].item() == pytest.approx(np.median(changes))
    assert results.threshold_text(run) == ", ".join(dict.fromkeys(f"{t:.2f}" for t in written["threshold"]))
    several = "s" if written["threshold"].nunique() > 1 else ""
    assert f"at threshold{several} <strong>{results.threshold_text(run)}</strong>" in page
    assert "Every subject is in one set of each fold only" in page
    assert "in components larger than a volume tuned together with t" in page


def test_folds_of_nnunet_become_a_study(tmp_path, cli):
    """nnU-Net's folds in, as splits.tsv of a study; the study's folds out."""
    file = make_study(tmp_path)
    names = [f"sub-{n:02d}" for n in range(1, 13)]
    folds = [{"train": names[4:], "val": names[:4]}, {"train": names[:4] + names[8:], "val": names[4:8]}]
    (tmp_path / "splits_final.json").write_text(json.dumps(folds))
    splits = tmp_path / "study/splits.tsv"
    split = cli("split", tmp_path / "cohort", "--nnunet", tmp_path / "splits_final.json", "-o", splits, "-q")
    assert (split.status, split.error) == (0, "")
    assert cli("study", "run", file, "--until", "split", "-q").status == 0
    table = read_table(splits)
    for fold, sides in enumerate(folds, start=1):
        assert set(table.loc[(table["fold"] == fold) & (table["set"] == "test"), "scan_id"]) == set(sides["val"])
    assert cli("export-split", splits, "-o", tmp_path / "out.json").status == 0
    out = json.loads((tmp_path / "out.json").read_text())
    for fold, sides in enumerate(out, start=1):
        mine = table[table["fold"] == fold].groupby("set")["scan_id"].agg(sorted)
        assert sides == {"train": mine["train"], "val": mine["validation"]}


def test_folds_from_the_command_line(tmp_path, cli):
    make_cohort(tmp_path, subjects=12)
    assert cli("split", tmp_path / "cohort", "--folds", "3", "-o", tmp_path / "splits.tsv", "-q").status == 0
    tested = read_table(tmp_path / "splits.tsv").query("set == 'test'")
    assert sorted(tested["scan_id"]) == [f"sub-{n:02d}" for n in range(1, 13)]
    assert set(tested["fold"]) == {1, 2, 3}
    assert cli("split", tmp_path / "cohort", "--folds", "0").status == 2


def test_the_explorer_shows_each_scan_as_its_own_fold_measured_it(finished):
    """It refuses to show other numbers than those of the tables."""
    catalog = Catalog(read_results(finished.parent / "study"))
    evaluation = read_table(finished.parent / "study" / "evaluation.tsv")
    shown = [scan for scan in catalog.scans if scan.set_name == "test"]
    assert len(shown) == 12
    for scan in shown:
        page = ScanData.read(catalog, scan).describe_model(catalog.models[0])
        rows = evaluation[(evaluation["scan_id"] == scan.scan_id) & (evaluation["set"] == "test")]
        assert page["training"] == run_name(rows["fold"].iloc[0])
        volume = page["metrics"]["predicted_volume_mm3"][catalog.level(page["threshold"])]
        assert volume == pytest.approx(rows["predicted_volume_mm3"][rows["threshold"] == page["threshold"]].iloc[0])
