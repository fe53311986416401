import csv
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cordlesion.report.numbers import Numbers, compute_numbers
from cordlesion.report.summaries import summarize_runs
from cordlesion.report.tables import ANSWERS, TABLES, write_tables
from cordlesion.report.tables.cohort import cohort_table
from cordlesion.report.tables.layout import EMPTY_REFERENCE, Table
from cordlesion.report.tables.lesion_free import lesion_free_table
from cordlesion.report.tables.thresholds import thresholds_table
from cordlesion.study_folder.results import StudyResults, read_results


@pytest.fixture(scope="module")
def summary(results: StudyResults) -> pd.DataFrame:
    return summarize_runs(results)


@pytest.fixture(scope="module")
def numbers(results: StudyResults) -> Numbers:
    return compute_numbers(results)


def read_rows(path: Path, delimiter: str) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.reader(stream, delimiter=delimiter))


def test_threshold_table(results: StudyResults, summary: pd.DataFrame) -> None:
    table = thresholds_table(results, summary)
    row = results.thresholds.set_index("loss").loc["bce"]
    texts = [c.text for c in table.groups[0].rows[0]]
    assert texts[0] == f"{row['threshold']:.2f}"
    assert texts[1] == f"[{row['interval_low']:.2f}, {row['interval_high']:.2f}]"
    assert texts[3] == f"{row['plateau_high'] - row['plateau_low']:.2f}"
    assert "Basis: 7 scans of 7 subjects." in table.note
    assert [group.rows[0][4].best for group in table.groups] == [run == results.best for run in results.tuned]
    assert "Score: median voxel F1 over the threshold set." in table.note


def test_threshold_table_of_tuned_minimum_volumes(results: StudyResults, summary: pd.DataFrame) -> None:
    sizes = {"minimum_volume_mm3": 5.0, "volume_interval_low": 0.0, "volume_interval_high": 10.0}
    written = results.written_thresholds.assign(**sizes)
    written.loc[1, ["volume_interval_low", "volume_interval_high"]] = math.nan
    table = thresholds_table(replace(results, written_thresholds=written), summary)
    assert table.columns[-2:] == ("Tuned minimum volume (mm³)", "95 % interval (mm³)")
    assert [[cell.text for cell in group.rows[0][-2:]] for group in table.groups[:2]] == [["5", "[0, 10]"], ["5", "–"]]
    assert "removed from the prediction; tuned together with t." in table.note


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


def test_no_rows_about_lesion_free_scans_where_there_are_none(study_copy: Path) -> None:
    evaluation = pd.read_csv(study_copy / "evaluation.tsv", sep="\t", na_values="n/a")
    bearing = evaluation[evaluation["reference_volume_mm3"] > 0]
    bearing.to_csv(study_copy / "evaluation.tsv", sep="\t", index=False, na_rep="n/a")
    assert lesion_free_table(read_results(study_copy), pd.DataFrame()).groups == ()


def test_files(study_copy: Path, summary: pd.DataFrame, numbers: Numbers) -> None:
    tables = write_tables(read_results(study_copy), summary, numbers)
    assert set(TABLES) | set(ANSWERS) < set(tables)
    for name, table in tables.items():
        rows = read_rows(study_copy / "tables" / f"{name}.tsv", "\t")
        assert rows == read_rows(study_copy / "tables" / f"{name}.csv", ",")
        assert tuple(rows[0]) == table.columns
        assert len(rows) == 1 + sum(len(group.rows) for group in table.groups)
        assert all(len(row) == len(table.columns) for row in rows)
        tex = (study_copy / "tables" / f"{name}.tex").read_text()
        assert rf"\label{{tab:{name}}}" in tex
        assert tex.isascii()
    written = pd.read_csv(study_copy / "tables" / "summary.tsv", sep="\t", na_values="n/a")
    assert written["value"].to_numpy() == pytest.approx(summary["value"].to_numpy(), nan_ok=True)


def test_every_table_of_scores_tells_what_an_empty_reference_means(
    study_copy: Path, summary: pd.DataFrame, numbers: Numbers
) -> None:
    tables = write_tables(read_results(study_copy), summary, numbers)
    captions = (study_copy / "tables" / "captions.md").read_text()
    for name, table in tables.items():
        assert f"## {name}\n\n{table.label} {table.note}" in captions
        told = "Empty references: " in table.note or "empty reference" in table.note
        assert told == (name != "cohort")
        in_other_words = ("cohort", "lesion_free", "strata", "calibration", "operation", "changes")
        assert (EMPTY_REFERENCE in table.note) == (name not in in_other_words)


def test_an_asterisk_is_explained_where_there_is_one(study_copy: Path, summary: pd.DataFrame, numbers: Numbers) -> None:
    for table in write_tables(read_results(study_copy), summary, numbers).values():
        assert has_bold(table) <= ("Asterisk: " in table.caption(bold="Asterisk"))


def has_bold(table: Table) -> bool:
    return any(c.bold for group in table.groups for row in group.rows for c in row)
