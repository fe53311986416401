import csv
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cordlesion.report.results import StudyResults, read_results
from cordlesion.report.summaries import summarize_runs
from cordlesion.report.tables import (
    Cell,
    Group,
    Table,
    cohort_table,
    format_interval,
    format_number,
    format_p,
    scores_table,
    thresholds_table,
    write_tables,
)

PAPER_COLUMNS = (
    *("L-sensitivity", "L-precision", "L-F1", "V-sensitivity", "V-precision", "V-F1"),
    *("P-sensitivity", "P-specificity"),
)


@pytest.fixture(scope="module")
def summary(results: StudyResults) -> pd.DataFrame:
    return summarize_runs(results)


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


def test_threshold_table(results: StudyResults, summary: pd.DataFrame) -> None:
    table = thresholds_table(results, summary)
    row = results.thresholds.set_index("loss").loc["bce"]
    texts = [c.text for c in table.groups[0].rows[0]]
    assert texts[0] == f"{row['threshold']:.2f}"
    assert texts[1] == f"[{row['interval_low']:.2f}, {row['interval_high']:.2f}]"
    assert texts[4:] == ["7", "7"]
    assert [group.rows[0][3].best for group in table.groups] == [run == results.best for run in results.tuned]


def test_cohort_table(results: StudyResults, summary: pd.DataFrame) -> None:
    table = cohort_table(results, summary)
    rows = {group.name: dict(zip(table.columns[1:], group.rows[0], strict=True)) for group in table.groups}
    assert list(rows) == ["training", "validation", "threshold", "test", "all"]
    test = results.splits[results.splits["set"] == "test"]
    bearing = test[test["n_reference_lesions"] > 0]
    assert [rows["test"][name].main for name in ("Scans", "with lesions", "without")] == ["15", "9", "6"]
    assert rows["test"]["Lesions"].main == str(test["n_reference_lesions"].sum())
    assert rows["test"]["mm³ per scan"].main == f"{bearing['reference_volume_mm3'].median():.0f}"
    assert rows["training"]["Subjects"].main == "4"
    assert rows["all"]["Sites"].main == "5"


def test_unknown_sites(study_copy: Path) -> None:
    splits = pd.read_csv(study_copy / "splits.tsv", sep="\t").assign(site="n/a")
    splits.to_csv(study_copy / "splits.tsv", sep="\t", index=False)
    table = cohort_table(read_results(study_copy), pd.DataFrame())
    assert {group.rows[0][table.columns.index("Sites") - 1].main for group in table.groups} == {"–"}


def test_files(study_copy: Path, summary: pd.DataFrame) -> None:
    tables = write_tables(read_results(study_copy), summary)
    for name, table in tables.items():
        with (study_copy / "tables" / f"{name}.tsv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream, delimiter="\t"))
        assert tuple(rows[0]) == table.columns
        assert len(rows) == 1 + sum(len(group.rows) for group in table.groups)
        assert all(len(row) == len(table.columns) for row in rows)
    written = pd.read_csv(study_copy / "tables" / "summary.tsv", sep="\t", na_values="n/a")
    assert written["value"].to_numpy() == pytest.approx(summary["value"].to_numpy(), nan_ok=True)


def test_tsv_keeps_its_columns_whatever_the_names() -> None:
    table = Table(("Loss", "x"), (Group("a\tb\nc", ((Cell("1", "(2)", bold=True, mark="†"),),)),))
    assert table.tsv() == "Loss\tx\na b c\t1*† (2)\n"


@pytest.mark.parametrize(("p", "text"), [(0.0004, "< 0.001"), (0.001, "0.001"), (1.0, "1.000"), (math.nan, "–")])
def test_format_p(p: float, text: str) -> None:
    assert format_p(p) == text


def test_numbers_have_a_real_minus_sign() -> None:
    assert format_number(-0.256, signed=True) == "−0.26"
    assert format_interval(-0.1, 0.2, signed=True) == "[−0.10, +0.20]"
    assert format_interval(math.nan, 0.2) == "[–, 0.20]"
