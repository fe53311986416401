import math
from dataclasses import replace

import pandas as pd
import pytest
from scipy import stats

from cordlesion.report.sections.scores import SCAN_METRICS, SUBJECT_METRICS, scores_table, summarize_runs
from cordlesion.report.table import Cell, Table
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import Run, of_run

PAPER_COLUMNS = (
    *("L-sensitivity", "L-precision", "L-F1", "V-sensitivity", "V-precision", "V-F1"),
    *("P-sensitivity", "P-specificity"),
)


@pytest.fixture(scope="session")
def summary(results: StudyResults) -> pd.DataFrame:
    return summarize_runs(results)


def scans_of(results: StudyResults, run: Run, set_name: str, threshold: float) -> pd.DataFrame:
    table = results.evaluation
    seed = table["seed"].isna() if run.seed is None else table["seed"] == run.seed
    rows = table[(table["loss"] == run.loss) & seed & (table["set"] == set_name)]
    return rows[rows["threshold"] == threshold].set_index("scan_id").sort_index()


def test_medians_means_and_deviations(results: StudyResults, summary: pd.DataFrame) -> None:
    assert len(summary) == 4 * 2 * 2 * 8
    for run in results.runs:
        for tuned, threshold in ((False, 0.5), (True, results.tuned[run])):
            for set_name in ("threshold", "test"):
                scans = scans_of(results, run, set_name, threshold)
                for metric in SCAN_METRICS:
                    (row,) = of_run(summary, run, set=set_name, tuned=tuned, metric=metric).to_dict("records")
                    values = scans[metric].dropna()
                    assert row["n"] == len(values) == (scans["n_reference_lesions"] > 0).sum()
                    assert row["value"] == pytest.approx(values.median())
                    assert row["mean"] == pytest.approx(values.mean())
                    assert row["std"] == pytest.approx(values.std())
                    assert row["low"] <= row["value"] <= row["high"]


def test_subject_level_shares(results: StudyResults, summary: pd.DataFrame) -> None:
    for run in results.runs:
        scans = scans_of(results, run, "test", 0.5)
        bearing, free = scans[scans["reference_volume_mm3"] > 0], scans[scans["reference_volume_mm3"] == 0]
        expected = ((bearing["n_detected_lesions"] > 0), (free["n_predicted_lesions"] == 0))
        for metric, good in zip(SUBJECT_METRICS, expected, strict=True):
            (row,) = of_run(summary, run, set="test", tuned=False, metric=metric).to_dict("records")
            assert (row["count"], row["n"]) == (good.sum(), len(good))
            assert row["value"] == pytest.approx(good.mean())
            exact = stats.binomtest(int(good.sum()), len(good)).proportion_ci()
            assert (row["low"], row["high"]) == pytest.approx((exact.low, exact.high))


def test_specificity_is_undefined_without_lesion_free_scans(summary: pd.DataFrame) -> None:
    rows = summary[(summary["set"] == "threshold") & (summary["metric"] == "subject_specificity")]
    assert rows["value"].isna().all()
    assert (rows["n"] == 0).all()


def test_p_values_compare_the_tuned_threshold_with_a_half(results: StudyResults, summary: pd.DataFrame) -> None:
    tested = summary[summary["p_value"].notna()]
    assert set(tested["metric"]) == set(SCAN_METRICS)
    assert tested["tuned"].all()
    moved = [run for run in results.runs if results.tuned[run] != 0.5]
    assert len(tested) == len(moved) * 2 * 6
    for run in moved:
        default, tuned = (scans_of(results, run, "test", t) for t in (0.5, results.tuned[run]))
        difference = (tuned["voxel_f1"] - default["voxel_f1"]).dropna()
        expected = stats.wilcoxon(difference[difference != 0], method="exact").pvalue
        (row,) = of_run(summary, run, set="test", tuned=True, metric="voxel_f1").to_dict("records")
        assert row["p_value"] == pytest.approx(expected, abs=1e-6)


def test_holm_correction_is_over_the_whole_table(summary: pd.DataFrame) -> None:
    tested = summary.dropna(subset="p_value").sort_values("p_value")
    m, running = len(tested), 0.0
    for rank, (_, row) in enumerate(tested.iterrows()):
        running = max(running, min(1, (m - rank) * row["p_value"]))
        assert row["p_holm"] == pytest.approx(running)


def cell(table: Table, group: str, set_name: str, column: str) -> Cell:
    (rows,) = (g.rows for g in table.groups if g.name == group)
    (row,) = (row for row in rows if row[0].main == set_name)
    return row[table.columns.index(column) - 1]


def test_layout_is_that_of_the_paper(results: StudyResults, summary: pd.DataFrame) -> None:
    first, second = (scores_table(results, summary, tuned=tuned) for tuned in (False, True))
    assert first.columns == ("Loss", "Set", "Scans", *PAPER_COLUMNS)
    assert second.columns == ("Loss", "Set", "Optimal threshold", "Scans", *PAPER_COLUMNS)
    for table in (first, second):
        assert [group.name for group in table.groups] == ["BCE", "Dice", "Tversky", "SCT"]
        assert all([row[0].main for row in group.rows] == ["threshold", "test"] for group in table.groups)


def test_cells_are_median_mean_and_deviation(results: StudyResults, summary: pd.DataFrame) -> None:
    scans = results.evaluation
    scans = scans[(scans["loss"] == "dice") & (scans["set"] == "test") & (scans["threshold"] == 0.5)]
    f1 = scans["voxel_f1"].dropna()
    expected = f"{f1.median():.2f} ({f1.mean():.2f} ± {f1.std():.2f})"
    assert cell(scores_table(results, summary, tuned=False), "Dice", "test", "V-F1").text == expected


def test_counts_of_scans(results: StudyResults, summary: pd.DataFrame) -> None:
    table = scores_table(results, summary, tuned=False)
    assert cell(table, "Dice", "test", "Scans").text == "9 + 6 without"
    assert cell(table, "Dice", "threshold", "Scans").text == "7"
    assert cell(table, "Dice", "threshold", "P-specificity").text == "–"
    scans = results.evaluated(results.runs[1], "test", 0.5)
    n_clean = (scans.loc[scans["n_reference_lesions"] == 0, "n_predicted_lesions"] == 0).sum()
    assert cell(table, "Dice", "test", "P-specificity").text == f"{n_clean / 6:.2f} ({n_clean}/6)"


def test_a_score_defined_on_fewer_scans_says_so(results: StudyResults) -> None:
    evaluation = results.evaluation.copy()
    scan = results.evaluated(results.runs[0], "test", 0.5).query("n_reference_lesions > 0").index[0]
    evaluation.loc[evaluation["scan_id"] == scan, "lesion_f1"] = math.nan
    changed = replace(results, evaluation=evaluation)
    table = scores_table(changed, summarize_runs(changed), tuned=False)
    assert cell(table, "Dice", "test", "L-F1").text.endswith(", n = 8")
    assert "n =" not in cell(table, "Dice", "test", "V-F1").text


def test_bold_and_dagger_follow_the_p_values(results: StudyResults, summary: pd.DataFrame) -> None:
    changed = summary.copy()
    row = (changed["loss"] == "bce") & changed["tuned"] & (changed["set"] == "test")
    for metric, p, p_holm in (("voxel_f1", 0.05, 0.05), ("lesion_f1", 0.05, 0.051), ("voxel_precision", 0.0501, 1.0)):
        changed.loc[row & (changed["metric"] == metric), ["p_value", "p_holm"]] = p, p_holm
    table = scores_table(results, changed, tuned=True)
    marks = {name: cell(table, "BCE", "test", name) for name in ("V-F1", "L-F1", "V-precision")}
    assert {name: (c.bold, c.mark) for name, c in marks.items()} == {
        "V-F1": (True, "†"),
        "L-F1": (True, ""),
        "V-precision": (False, ""),
    }


def test_nothing_is_bold_at_a_half(results: StudyResults, summary: pd.DataFrame) -> None:
    table = scores_table(results, summary, tuned=False)
    assert not any(c.bold or c.mark for group in table.groups for row in group.rows for c in row)


def test_the_best_of_each_column_and_set_is_marked(results: StudyResults, summary: pd.DataFrame) -> None:
    table = scores_table(results, summary, tuned=True)
    for set_name in ("threshold", "test"):
        for column in PAPER_COLUMNS:
            cells = [cell(table, group.name, set_name, column) for group in table.groups]
            values = [float(c.main) for c in cells if c.main != "–"]
            best = [float(c.main) for c in cells if c.best]
            assert all(value == max(values) for value in best)
            assert bool(best) == bool(values)


def test_where_all_are_equal_none_is_best(results: StudyResults, summary: pd.DataFrame) -> None:
    equal = summary.copy()
    equal.loc[equal["metric"] == "voxel_f1", "value"] = 0.0
    table = scores_table(results, equal, tuned=True)
    assert not any(cell(table, group.name, "test", "V-F1").best for group in table.groups)


def test_captions_say_how_to_read_the_table(results: StudyResults, summary: pd.DataFrame) -> None:
    first, second = (scores_table(results, summary, tuned=tuned) for tuned in (False, True))
    assert "Decision threshold 0.5." in first.lead
    assert "Tuned decision threshold." in second.lead
    assert "values and tests are optimistic" in second.note
    assert first.bold == ""
    n_tests = 12 * sum(t != 0.5 for t in results.tuned.values())
    assert f"over the {n_tests} comparisons" in second.bold
