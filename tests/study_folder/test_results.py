from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.study_folder import checked_tables, run_rows
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.results import StudyResults, read_results
from cordlesion.study_folder.runs import Run, lesion_bearing, lesion_free, of_run
from cordlesion.study_folder.tables import OF_SOME


def rewrite(path: Path, change: object) -> None:
    table = pd.read_csv(path, sep="\t", keep_default_na=False, dtype=str)
    change(table).to_csv(path, sep="\t", index=False)


def test_runs_in_the_order_of_the_evaluation(results: StudyResults) -> None:
    assert [run.name for run in results.runs] == ["bce_seed-0", "dice_seed-0", "tversky_seed-0", "sct"]
    assert results.label(results.runs[2]) == "Tversky"
    assert results.name == "Losses and thresholds, simulated cohort"


def test_best_run_has_the_highest_score(results: StudyResults) -> None:
    scores = dict(zip(results.tuned, results.thresholds["score"], strict=True))
    assert scores[results.best] == max(scores.values())
    assert [scores[run] for run in results.ranked] == sorted(scores.values(), reverse=True)


def test_comparators_need_no_history(results: StudyResults) -> None:
    assert {run.loss for run in results.histories} == {"bce", "dice", "tversky"}


def test_seeds_are_reported_where_a_loss_has_several(study_copy: Path) -> None:
    for name in ("evaluation.tsv", "thresholds.tsv", "sweep.tsv"):
        rewrite(study_copy / name, lambda t: pd.concat([t, t[t["loss"] == "dice"].assign(seed="1")]))
    run = study_copy / "runs" / "dice_seed-1"
    run.mkdir()
    (run / "history.tsv").write_bytes((study_copy / "runs" / "dice_seed-0" / "history.tsv").read_bytes())
    results = read_results(study_copy)
    assert [results.label(run) for run in results.runs] == ["BCE", "Dice, seed 0", "Dice, seed 1", "Tversky", "SCT"]


def test_evaluated_selects_run_set_and_threshold(results: StudyResults) -> None:
    table = results.evaluation
    for t in (0.5, 0.15):
        expected = table[(table["loss"] == "bce") & (table["set"] == "test") & (table["threshold"] == t)]
        ours = results.evaluated(Run("bce", 0), "test", t + 1e-9)
        assert sorted(ours.index) == sorted(expected["scan_id"])
        assert ours["voxel_f1"].sum() == pytest.approx(expected["voxel_f1"].sum())


def test_masks_without_a_threshold_stand_for_every_threshold(study_copy: Path) -> None:
    def without_threshold(table: pd.DataFrame) -> pd.DataFrame:
        masks = table[(table["loss"] == "sct") & (table["threshold"] == "0.5")].assign(threshold="n/a", loss="masks")
        return pd.concat([table, masks])

    rewrite(study_copy / "evaluation.tsv", without_threshold)
    results = read_results(study_copy)
    masks = Run("masks", None)
    assert masks in results.runs
    assert masks not in results.tuned
    pd.testing.assert_frame_equal(results.evaluated(masks, "test", 0.5), results.evaluated(masks, "test", None))
    assert len(results.evaluated(masks, "test", None)) == 15


def test_scans_with_and_without_lesions(results: StudyResults) -> None:
    scans = results.evaluated(results.best, "test", 0.5)
    assert len(lesion_bearing(scans)) == 9
    assert len(lesion_free(scans)) == 6
    assert np.isfinite(lesion_bearing(scans)["voxel_f1"]).all()


def test_of_run_distinguishes_comparators_from_runs(results: StudyResults) -> None:
    assert set(of_run(results.thresholds, Run("sct", None))["loss"]) == {"sct"}
    assert of_run(results.thresholds, Run("sct", 0)).empty
    assert of_run(results.thresholds, Run("bce", None)).empty
    assert len(of_run(results.thresholds, Run("bce", 0), objective="median_voxel_f1")) == 1


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("study.yaml", "split"),
        ("manifest.json", "split"),
        ("splits.tsv", "split"),
        ("runs/dice_seed-0/history.tsv", "train"),
        ("thresholds.tsv", "tune"),
        ("sweep.tsv", "evaluate"),
        ("evaluation.tsv", "evaluate"),
    ],
)
def test_a_missing_artifact_names_its_stage(study_copy: Path, name: str, stage: str) -> None:
    (study_copy / name).unlink()
    with pytest.raises(CordlesionError, match=f"{Path(name).name}: no such file.*stage `{stage}`"):
        read_results(study_copy)


@pytest.mark.parametrize("name", OF_SOME)
def test_a_table_that_the_study_had_is_missed_and_one_that_it_never_had_is_not(study_copy: Path, name: str) -> None:
    """Studies of earlier versions state nothing of the tables that only some have."""
    study, path = StudyFolder(study_copy), study_copy / f"{name}.tsv"
    stage = "tune" if name == "rule_choices" else "analyze"
    written = path.read_bytes() if path.is_file() else None
    path.unlink(missing_ok=True)
    assert len(getattr(read_results(study_copy), name)) == 0
    checked_tables.record_rare_tables(study)
    assert len(getattr(read_results(study_copy), name)) == 0
    path.write_bytes(b"" if written is None else written)
    checked_tables.record_rare_tables(study)
    assert path in (study.list_of("tables") or [])
    path.unlink()
    with pytest.raises(CordlesionError, match=f"{name}.tsv: no such file.*stage `{stage}`"):
        read_results(study_copy)


def test_the_rows_of_all_runs_are_found_in_one_look_at_a_table(
    results: StudyResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, looks = results.sweep, []
    again = replace(results)
    groupby = pd.DataFrame.groupby
    monkeypatch.setattr(pd.DataFrame, "groupby", lambda *a, **named: looks.append(a) or groupby(*a, **named))
    for run in results.runs:
        for set_name in ("threshold", "test"):
            same = table["seed"].isna() if run.seed is None else table["seed"] == run.seed
            expected = table[(table["loss"] == run.loss) & same.fillna(False) & (table["set"] == set_name)]
            pd.testing.assert_frame_equal(again.rows("sweep", run, set=set_name), expected)
            pd.testing.assert_frame_equal(of_run(table, run, set=set_name), expected)
    assert len(looks) == 1
    # Other tables have other rows.
    for n_rows in range(5):
        assert len(replace(results, sweep=table.iloc[:n_rows]).rows("sweep", results.runs[0])) == n_rows
    assert results.rows("sweep", Run("no loss", 0)).empty


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(CordlesionError, match="no such folder"):
        read_results(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["splits.tsv", "sweep.tsv", "evaluation.tsv", "thresholds.tsv"])
def test_damaged_tables(study_copy: Path, name: str) -> None:
    path = study_copy / name
    whole = path.read_text()
    path.write_text(whole.splitlines()[0] + "\n")
    with pytest.raises(CordlesionError, match="no rows"):
        read_results(study_copy)
    numeric = "reference_volume_mm3" if name != "thresholds.tsv" else "score"
    rewrite_from = whole.splitlines()
    path.write_text("\n".join([rewrite_from[0].replace(numeric, "renamed"), *rewrite_from[1:]]))
    with pytest.raises(CordlesionError, match=numeric):
        read_results(study_copy)
    path.write_text(whole)
    rewrite(path, lambda table: table.assign(**{numeric: "much"}))
    with pytest.raises(CordlesionError, match=f"{numeric} holds text"):
        read_results(study_copy)


def test_a_run_that_was_not_evaluated_at_its_tuned_threshold(study_copy: Path) -> None:
    rewrite(study_copy / "evaluation.tsv", lambda t: t[(t["loss"] != "bce") | (t["threshold"] == "0.5")])
    with pytest.raises(CordlesionError, match=r"set threshold for bce_seed-0 at its tuned threshold.*stage `evaluate`"):
        read_results(study_copy)


def test_two_threads_may_ask_for_the_rows_of_one_table(results: StudyResults) -> None:
    again, run = replace(results), results.runs[0]
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(again.rows, ["evaluation"] * 2, [run] * 2)
    pd.testing.assert_frame_equal(one, other)
    pd.testing.assert_frame_equal(one, of_run(results.evaluation, run))


def same_row_twice(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.iloc[[0]]])


def with_first(column: str, value: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[0, column] = value
        return table

    return change


DAMAGES = {
    "doubled evaluation": ("evaluation.tsv", same_row_twice, "has two rows for scan_id sub-"),
    "doubled sweep": ("sweep.tsv", same_row_twice, "has two rows for scan_id sub-"),
    "doubled thresholds": ("thresholds.tsv", same_row_twice, "has two rows for loss bce"),
    "doubled split": ("splits.tsv", same_row_twice, "has two rows for scan_id sub-"),
    "cut evaluation": ("evaluation.tsv", lambda t: t.drop(t.index[t["set"] == "test"][0]), "lacks sub-.* every method"),
    "a scan in another set": (
        "splits.tsv",
        lambda t: t.assign(set=t["set"].mask(t["set"] == "test", "train")),
        "in the set test, which .*does not have there",
    ),
    "another scan": ("splits.tsv", lambda t: t[t["set"] != "test"], "has the scan .*does not have"),
    "half a seed": ("evaluation.tsv", with_first("seed", "0.5"), "seed holds parts of a whole"),
    "no threshold": ("thresholds.tsv", with_first("threshold", "n/a"), "threshold lacks a number"),
    "threshold of 7": ("thresholds.tsv", with_first("threshold", "7"), "threshold holds numbers outside of 0 to 1"),
    "infinite volume": ("evaluation.tsv", with_first("reference_volume_mm3", "inf"), "numbers outside of 0 to 1e"),
    "no lesion count": ("evaluation.tsv", with_first("n_reference_lesions", "n/a"), "lacks a number"),
    "long number": ("evaluation.tsv", with_first("n_reference_lesions", "9" * 5000), "n_reference_lesions holds"),
    "true": ("evaluation.tsv", lambda t: t.assign(voxel_f1="True"), "voxel_f1 holds text"),
}


@pytest.mark.parametrize("in_memory", [True, False], ids=["in memory", "on disk"])
@pytest.mark.parametrize(("name", "change", "fault"), DAMAGES.values(), ids=DAMAGES)
def test_tables_that_are_cut_or_doubled_or_of_another_type(
    study_copy: Path, name: str, change: object, fault: str, in_memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_memory:
        monkeypatch.setattr(run_rows, "IN_MEMORY_BYTES", 0)
    rewrite(study_copy / name, change)
    with pytest.raises(CordlesionError, match=fault) as error:
        read_results(study_copy)
    assert str(study_copy / "evaluation.tsv") in str(error.value) or name in str(error.value)


@pytest.mark.parametrize(
    "content",
    ["[]", "{", '{"scans": []}', '{"scans": {"a": 1}}', '{"excluded": [1]}', '{"hardware": {"training": 5}}'],
)
def test_a_damaged_manifest_is_named(study_copy: Path, content: str) -> None:
    (study_copy / "manifest.json").write_text(content)
    with pytest.raises(CordlesionError, match=r"manifest\.json: "):
        read_results(study_copy)


@pytest.mark.parametrize("name", ["rules", "strata", "froc", "calibration", "reliability"])
def test_a_table_of_the_analysis_with_an_unknown_method_is_refused(study_copy: Path, name: str) -> None:
    path = study_copy / f"{name}.tsv"
    rewrite(path, lambda t: pd.concat([t, t.tail(1).assign(loss="0x1F")]))
    with pytest.raises(CordlesionError, match=rf"{name}.tsv: has rows of 0x1F, which .*evaluation.tsv lacks"):
        read_results(study_copy)


@pytest.mark.parametrize(("name", "category"), [("strata", "stratum"), ("rules", "rule")])
@pytest.mark.parametrize("damage", ["renamed", "missing", "missing in one scan"])
def test_a_table_needs_every_category_of_every_scan(study_copy: Path, name: str, category: str, damage: str) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        if damage == "renamed":
            table.loc[0, category] = "9" * 3000
            return table
        if damage == "missing":
            return table.drop(index=0)
        # One row of each category is missing, but of different scans.
        first = table.groupby(category, sort=False).head(2).groupby(category, sort=False).nth
        return table.drop(index=[*first(0).index[:1], *first(1).index[1:]])

    rewrite(study_copy / f"{name}.tsv", change)
    with pytest.raises(CordlesionError, match=rf"{name}.tsv: (has|lacks) .{{0,200}}; one .*is needed"):
        read_results(study_copy)


def test_a_fold_that_is_no_number_is_refused(study_copy: Path) -> None:
    rewrite(study_copy / "splits.tsv", lambda t: t.assign(fold="axial"))
    with pytest.raises(CordlesionError, match=r"splits.tsv: the column fold holds text"):
        read_results(study_copy)


def test_a_column_of_ones_own_is_left_as_it_is(study_copy: Path) -> None:
    rewrite(study_copy / "splits.tsv", lambda t: t.assign(seed="axial"))
    assert (read_results(study_copy).splits["seed"] == "axial").all()
