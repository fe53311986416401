"""A small study with two losses and five comparators, run to its report and checked against plain computations."""

import itertools
import shutil
import signal
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cordlesion.config import read_study
from cordlesion.cord.centerline import read_centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.volume import read_scan
from cordlesion.maps.compare import compare_files
from cordlesion.model.bundle import load_bundle, read_card
from cordlesion.prediction import predict_scan
from cordlesion.study.run import run_study
from cordlesion.study.sets import ClosedTest
from cordlesion.study.status import study_status
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.tables import SPECS
from cordlesion.threshold import VOLUME
from support.comparator_files import COMPARATORS, save, write_comparators
from support.declared import declared, written_tables
from support.forked import run_forked
from support.plain_report import without_pictures
from support.tiny import KILLER, make_cohort

TUNED = ("bce", "tversky", "theirs", "soft", "nnunet")
GIVEN = ("hard", "shipped")
METHODS = (*TUNED[:4], "hard", "nnunet", "shipped")
SHAPE = (24, 24, 40)
OF_METHODS = ("figure2_thresholds", "figure2_thresholds_test", "figure4_reliability", "figure5_froc")
NAMES = {"bce": "BCE", "tversky": "Tversky"}


def make_study(folder: Path) -> Path:
    file = make_cohort(folder)
    write_comparators(folder)
    file.write_text(file.read_text() + COMPARATORS)
    return file


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = make_study(tmp_path_factory.mktemp("comparators"))
    with without_pictures(draws=lambda figure: figure.name in OF_METHODS):
        assert run_study(read_study(file)) == {}
    return file


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished.parent, tmp_path / "copy")
    return tmp_path / "copy" / "study.yaml"


def test_every_table_has_its_declared_columns_in_order(finished: Path) -> None:
    """One fold and no tuned volume: neither has columns. Without ensembles, further rules and rescans, none of their
    tables."""
    tables = written_tables(finished.parent / "study")
    assert {path for path in tables if "/" not in path} == set(SPECS) - {
        "history.tsv",
        "repeatability.tsv",
        "retention.tsv",
        "rule_choices.tsv",
        "threshold_rules.tsv",
        "uncertainty.tsv",
    }
    for path, (columns, spec) in tables.items():
        lacking = {"fold", VOLUME, "volume_interval_low", "volume_interval_high", "repeat"} & set(spec.names)
        assert columns == declared(spec, *lacking), path


def table(file: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(file.parent / "study" / f"{name}.tsv", sep="\t", na_values="n/a", keep_default_na=False)


def printed(file: Path, name: str) -> list[list[str]]:
    lines = (file.parent / "study" / "tables" / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines]


def data(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def spread(values: pd.Series) -> str:
    return f"{values.median():.2f} ({values.mean():.2f} ± {values.std():.2f})"


def tuned_threshold(file: Path, method: str) -> float:
    return table(file, "thresholds").set_index("loss")["threshold"][method]


def their_mask(file: Path, method: str, scan: str) -> np.ndarray:
    """A comparator's mask from its own files, without the study."""
    folder = file.parent
    if method == "hard":
        return data(folder / "masks" / f"{scan}_T2w_lesionseg.nii.gz") > 0
    if method == "nnunet":
        p = np.load(folder / "npz" / f"{scan}.npz")["probabilities"][1].astype(np.float32).transpose(2, 1, 0)
    elif method == "theirs":
        image = read_scan(folder / "cohort" / scan / "anat" / f"{scan}_T2w.nii.gz")
        labels = folder / "cohort/derivatives/labels" / scan / "anat"
        curve = read_centerline(labels / f"{scan}_label-centerline_seg.nii.gz", image)
        p = predict_scan(load_bundle(folder / "theirs"), image, curve)
    else:
        p = data(folder / "maps" / f"{scan}_probseg.nii.gz")
    return p >= np.float32(0.2 if method == "shipped" else tuned_threshold(file, method))


def test_every_method_is_measured_on_the_same_scans(finished):
    evaluation = table(finished, "evaluation")
    assert tuple(evaluation["loss"].unique()) == METHODS
    scans = evaluation.groupby(["loss", "set"])["scan_id"].agg(lambda names: tuple(sorted(set(names))))
    assert scans.groupby("set").nunique().tolist() == [1, 1]
    trained = evaluation["loss"].isin(("bce", "tversky"))
    assert evaluation["seed"].isna().equals(~trained)
    assert evaluation["threshold"].isna().equals(evaluation["loss"].isin(GIVEN))
    text = (finished.parent / "study" / "evaluation.tsv").read_text()
    assert "\tbce\t0\t" in text
    assert "\thard\tn/a\tn/a\t" in text


@pytest.mark.parametrize("method", ["theirs", "soft", "hard", "nnunet", "shipped"])
def test_scores_are_those_of_the_comparators_own_files(finished, method):
    rows = table(finished, "evaluation")
    rows = rows[(rows["loss"] == method) & (rows["threshold"] != 0.5)].set_index("scan_id")
    assert len(rows) == 8
    for scan, row in rows.iterrows():
        mask = their_mask(finished, method, str(scan))
        labels = finished.parent / "cohort/derivatives/labels" / str(scan) / "anat"
        reference = data(labels / f"{scan}_label-lesion_seg.nii.gz") > 0
        assert row["predicted_volume_mm3"] == pytest.approx(mask.sum() * 0.6**3, rel=1e-5)
        if reference.any():
            common = (mask & reference).sum()
            assert row["voxel_sensitivity"] == pytest.approx(common / reference.sum())
            assert row["voxel_f1"] == pytest.approx(2 * common / (mask.sum() + reference.sum()))


def test_a_comparators_threshold_is_tuned_on_the_threshold_set_like_a_runs(finished):
    sweep, thresholds = table(finished, "sweep"), table(finished, "thresholds")
    assert tuple(thresholds["loss"]) == TUNED
    assert thresholds["seed"].isna().tolist() == [False, False, True, True, True]
    for _, row in thresholds.iterrows():
        tuning = sweep[(sweep["loss"] == row["loss"]) & (sweep["set"] == "threshold")]
        curve = tuning.groupby("threshold")["voxel_f1"].mean()
        assert len(curve) == 21
        assert curve[row["threshold"]] == pytest.approx(curve.max()) == row["score"]


def test_a_foreign_bundle_is_left_as_it_is(finished):
    assert read_card(finished.parent / "theirs").threshold.value == 0.35


def test_masks_have_the_scans_geometry_and_say_where_they_come_from(finished):
    folder = StudyFolder(finished.parent / "study")
    for method, scan in itertools.product(("soft", "hard", "nnunet", "shipped"), ("sub-13", "sub-14")):
        path = folder.derivatives / scan / "anat" / f"{scan}_label-lesion_desc-{method}_mask.nii.gz"
        np.testing.assert_array_equal(data(path) > 0, their_mask(finished, method, scan))
        image = nib.load(finished.parent / "cohort" / scan / "anat" / f"{scan}_T2w.nii.gz")
        np.testing.assert_array_equal(nib.load(path).affine, image.affine)
    sidecar = folder.derivatives / "sub-13" / "anat" / "sub-13_label-lesion_desc-hard_mask.json"
    assert "comparator hard, not trained in this study" in sidecar.read_text()
    assert not list(folder.derivatives.rglob("*desc-hard_probseg*"))


@pytest.mark.parametrize(("name", "tuned"), [("table1", False), ("table2", True)])
def test_tables_of_scores_follow_from_the_evaluation(finished, name, tuned):
    evaluation, (head, *rows) = table(finished, "evaluation"), printed(finished, name)
    columns = [head.index(title) for title in ("L-F1", "V-sensitivity", "V-precision", "V-F1")]
    expected = []
    for method, set_name in itertools.product(METHODS, ("threshold", "test")):
        own = 0.5 if not tuned else tuned_threshold(finished, method) if method in TUNED else None
        mine = evaluation[(evaluation["loss"] == method) & (evaluation["set"] == set_name)]
        mine = mine[mine["threshold"].isna() | (mine["threshold"] == own)].query("reference_volume_mm3 > 0")
        scores = [spread(mine[name]) for name in ("lesion_f1", "voxel_sensitivity", "voxel_precision", "voxel_f1")]
        t = ([f"{own:.2f}" if own else "–"]) if tuned else []
        expected.append([NAMES.get(method, method), set_name, *t, *scores])
    assert [[*row[: 3 if tuned else 2], *(row[column] for column in columns)] for row in rows] == expected


def signed(value):
    """A difference as it is printed; nothing that is printed as 0 has a sign."""
    printed = f"{value:+.2f}".replace("-", "−")
    return "0.00" if printed[1:] == "0.00" else printed


def test_what_tuning_changed_follows_from_the_evaluation(finished):
    evaluation, expected = table(finished, "evaluation"), []
    tested = evaluation[(evaluation["set"] == "test") & (evaluation["reference_volume_mm3"] > 0)]
    for method, (metric, title) in itertools.product(TUNED, {"voxel_f1": "V-F1", "lesion_f1": "L-F1"}.items()):
        scans = tested[tested["loss"] == method].pivot(index="scan_id", columns="threshold", values=metric)
        half, own = scans[0.5], scans[tuned_threshold(finished, method)]
        numbers = [f"{half.median():.2f}", f"{own.median():.2f}", signed((own - half).median())]
        expected.append([NAMES.get(method, method), title, str(len(scans)), *numbers])
    assert [row[:6] for row in printed(finished, "tuning")[1:]] == expected


def test_lesion_free_scans_and_rules_are_counted_for_masks_too(finished):
    evaluation = table(finished, "evaluation")
    free = evaluation[(evaluation["set"] == "test") & (evaluation["reference_volume_mm3"] == 0)]
    shown = {(row[0], row[1].split()[0]): row[3] for row in printed(finished, "lesion_free")[1:]}
    assert len(shown) == 2 * len(TUNED) + len(GIVEN)
    for (method, t), rows in free.groupby(["loss", "threshold"], dropna=False):
        clean = (rows["n_predicted_lesions"] == 0).sum()
        place = (NAMES.get(method, method), "–" if np.isnan(t) else f"{t:.2f}")
        assert shown[place] == f"{clean / len(rows):.2f} ({clean}/{len(rows)})"
    by_rule = table(finished, "rules").query("rule == 'iou50' and reference_volume_mm3 > 0")
    row = next(row for row in printed(finished, "rules")[1:] if row[0] == "iou50")
    expected = [spread(by_rule[by_rule["loss"] == method]["lesion_f1"]) for method in METHODS]
    assert [cell.removesuffix(" –") for cell in row[1:]] == expected


def test_two_comparators_are_compared_from_the_command_line_too(finished):
    path, own = finished.parent / "study" / "evaluation.tsv", tuned_threshold(finished, "soft")
    runs = ("set=test,loss=hard,seed=n/a,threshold=n/a", f"set=test,loss=soft,threshold={own}")
    compared = compare_files(path, path, first_run=runs[0], second_run=runs[1]).table.set_index("metric")
    tested = table(finished, "evaluation").query("set == 'test' and reference_volume_mm3 > 0")
    hard = tested[tested["loss"] == "hard"]["voxel_f1"].median()
    assert compared.loc["voxel_f1", ["n_pairs", "median_first"]].tolist() == [3, pytest.approx(hard)]
    with pytest.raises(CordlesionError, match=r"has rows of several runs or sets .* seed: 0, n/a; threshold: "):
        compare_files(path, path, first_run=runs[0], second_run="set=test")


def test_the_status_counts_what_was_imported(finished):
    rows = study_status(finished.parent / "study")
    assert [(unit, state) for stage, unit, state in rows if stage == "comparator"] == [
        (f"{name}: 8 of 8 scans", "done") for name in ("theirs", "soft", "hard", "nnunet", "shipped")
    ]


def test_pairs_are_compared_on_their_common_scans(finished):
    evaluation, rows = table(finished, "evaluation"), printed(finished, "pairs")[1:]
    own = {method: tuned_threshold(finished, method) for method in TUNED}
    tested = evaluation[(evaluation["set"] == "test") & (evaluation["reference_volume_mm3"] > 0)]
    tested = tested[tested["threshold"].isna() | (tested["threshold"] == tested["loss"].map(own))]
    wide = tested.pivot(index=["subject", "scan_id"], columns="loss", values="voxel_f1")
    mean = wide.groupby("subject").mean().mean()
    expected = {
        (NAMES.get(b, b), NAMES.get(a, a)): (signed(mean[b] - mean[a]), str(len(wide)))
        for a, b in itertools.combinations(METHODS, 2)
    }
    assert {(row[1], row[2]): (row[5], row[4]) for row in rows if row[0] == "V-F1"} == expected


def test_only_what_has_a_map_is_tuned_calibrated_and_drawn_over_thresholds(finished):
    for name in ("sweep", "froc", "calibration", "reliability"):
        assert set(table(finished, name)["loss"]) == set(TUNED), name
    for name in ("rules", "strata"):
        assert set(table(finished, name)["loss"]) == set(METHODS), name
    shown = {NAMES.get(method, method) for method in TUNED}
    for name in ("tuning", "stability", "calibration", "thresholds"):
        assert {row[0] for row in printed(finished, name)[1:]} == shown, name
    froc = {(row[0], row[-1]) for row in printed(finished, "strata")[1:] if row[1] == "sensitivity"}
    assert {name for name, score in froc if score == "–"} == set(GIVEN)
    assert [row[1] for row in printed(finished, "lesion_free")[1:] if row[0] in GIVEN] == ["–", "–"]


def test_figures_and_page_show_the_comparators(finished):
    figures = finished.parent / "study" / "figures"
    for name in OF_METHODS:
        text = (figures / f"{name}.svg").read_text(encoding="utf-8")
        assert all(f">{method}<" in text for method in ("theirs", "soft", "nnunet")), name
        assert not any(f">{method}<" in text for method in GIVEN), name
    page = (finished.parent / "study" / "report.html").read_text(encoding="utf-8")
    assert "Not trained here, with maps of their own, cut and tuned likewise: theirs, soft, nnunet." in page
    assert "Not trained here, masks taken as they are: hard, shipped." in page


def test_what_became_of_each_file_is_listed(finished):
    listed = table(finished, "comparators")
    counts = listed.groupby(["comparator", "state"]).size().to_dict()
    assert counts[("theirs", "used")] == 1
    for method, name in itertools.product(("soft", "hard", "nnunet", "shipped"), ("used", "not needed")):
        assert counts[(method, name)] == {"used": 8, "not needed": 6}[name]
    assert listed[listed["state"] == "no such scan"]["scan_id"].tolist() == ["sub-99", "sub-99"]
    assert listed[listed["state"] == "used"]["sha256"].str.fullmatch("[0-9a-f]{64}").all()


def test_a_changed_map_is_measured_again_and_nothing_else(copy):
    folder = StudyFolder(copy.parent / "study")
    before = table(copy, "evaluation")
    others = [folder.run_sweep(name, "test") for name in ("bce_seed-0", "theirs", "hard", "nnunet")]
    times = [path.stat().st_mtime_ns for path in others]
    path = copy.parent / "maps" / "sub-13_probseg.nii.gz"
    save(path, np.ones_like(data(path)), nib.load(path).affine)
    run_study(read_study(copy), until="split")
    assert not folder.evaluation.exists()
    assert not folder.thresholds.exists()
    assert not [path for part in ("tables", "figures") for path in (folder.root / part).iterdir()]
    run_study(read_study(copy), until="evaluate")
    assert times == [path.stat().st_mtime_ns for path in others]
    after = table(copy, "evaluation")
    changed = before.compare(after).index
    assert set(before.loc[changed, "scan_id"]) == {"sub-13"}
    assert set(before.loc[changed, "loss"]) == {"soft", "shipped"}
    mask = folder.derivatives / "sub-13/anat/sub-13_label-lesion_desc-shipped_mask.nii.gz"
    assert data(mask).all()


def test_a_comparator_that_is_taken_out_leaves_no_row(copy):
    copy.write_text(copy.read_text().replace(COMPARATORS, ""))
    run_study(read_study(copy), until="evaluate")
    assert set(table(copy, "evaluation")["loss"]) == {"bce", "tversky"}
    folder = copy.parent / "study"
    assert not (folder / "comparators.tsv").exists()
    assert {path.name for path in (folder / "runs").iterdir()} == {"bce_seed-0", "tversky_seed-0"}
    left = [path for path in [*(folder / "derivatives").rglob("*"), *(folder / ".done").rglob("*")] if path.is_file()]
    assert not [path for path in left if any(name in str(path.relative_to(folder)) for name in METHODS[2:])]


def test_a_comparator_that_is_added_again_is_imported_again(copy):
    whole, before = copy.read_text(), table(copy, "evaluation")
    copy.write_text(whole.replace(COMPARATORS, ""))
    run_study(read_study(copy), until="split")
    copy.write_text(whole)
    run_study(read_study(copy), until="evaluate")
    pd.testing.assert_frame_equal(table(copy, "evaluation"), before)


def test_a_loss_that_is_taken_out_leaves_its_model_and_nothing_to_be_taken_for_a_result(copy):
    folder, whole = StudyFolder(copy.parent / "study"), copy.read_text()
    before, weights = folder.evaluation.read_bytes(), folder.bundle("tversky_seed-0") / "model.safetensors"
    trained = weights.stat().st_mtime_ns
    copy.write_text(whole.replace("[bce, tversky]", "[bce]"))
    run_study(read_study(copy), until="evaluate")
    assert "tversky" not in set(table(copy, "evaluation")["loss"])
    assert not list(folder.derivatives.rglob("*desc-tversky*"))
    assert not folder.run_sweep("tversky_seed-0", "test").exists()
    assert ("train", "tversky_seed-0", "kept, not in the study") in study_status(folder.root)
    copy.write_text(whole)
    run_study(read_study(copy), until="evaluate")
    assert folder.evaluation.read_bytes() == before
    assert weights.stat().st_mtime_ns == trained


def test_the_test_set_stays_closed_until_the_comparators_thresholds_are_written(copy):
    config = read_study(copy)
    tuned = [method for method in config.methods if method.is_tuned]
    path = StudyFolder(config.output).thresholds
    assert set(ClosedTest([]).open(path, tuned).thresholds) == {method.name for method in tuned}
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join(row for row in rows if not row.startswith("soft")))
    with pytest.raises(CordlesionError, match="has no threshold of soft; the test set stays closed"):
        ClosedTest([]).open(path, tuned)


@pytest.mark.parametrize(
    ("pattern", "count"),
    [("anat/*desc-nnunet_probseg.nii.gz", 3), ("anat/*desc-theirs_probseg.nii.gz", 2), ("runs/hard/sweep.tsv", 1)],
)
def test_a_killed_study_ends_with_the_same_bytes(finished, tmp_path, pattern, count):
    for name in ("cohort", "theirs", "maps", "masks", "npz"):
        shutil.copytree(finished.parent / name, tmp_path / name)
    file = Path(shutil.copy(finished, tmp_path))
    killed = run_forked("-c", KILLER, file, pattern, count)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "study" / "evaluation.tsv").exists()
    run_study(read_study(file), until="evaluate")
    for name in ("sweep.tsv", "thresholds.tsv", "evaluation.tsv"):
        assert (tmp_path / "study" / name).read_bytes() == (finished.parent / "study" / name).read_bytes()
