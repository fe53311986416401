import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cordlesion.report.subgroups import SUBGROUPS, summarize_subgroups
from cordlesion.report.tables.layout import Cell, Table
from cordlesion.report.tables.subgroups import subgroup_name, subgroup_tables
from cordlesion.study_folder.results import StudyResults, read_results


@pytest.fixture(scope="module")
def tables(results: StudyResults) -> dict[str, Table]:
    return subgroup_tables(results, summarize_subgroups(results))


def rows_of(table: Table, group: str) -> dict[str, tuple[Cell, ...]]:
    (rows,) = (g.rows for g in table.groups if g.name == group)
    return {row[0].main: row for row in rows}


def test_one_table_for_each_way_of_grouping(tables: dict[str, Table]) -> None:
    assert list(tables) == ["by_site", "by_manufacturer", "by_scanner", "by_orientation", "by_slice_spacing"]
    assert [table.label for table in tables.values()] == [f"Table 12{letter}." for letter in "abcde"]
    for table in tables.values():
        assert table.columns[1:] == ("Metric", "Scans", "Subjects", "BCE", "Dice", "Tversky", "SCT")
        assert table.groups[-1].name == "all"


def test_a_column_for_each_loss_a_row_for_each_metric(results: StudyResults, tables: dict[str, Table]) -> None:
    rows = rows_of(tables["by_orientation"], "sagittal")
    assert list(rows) == ["V-F1", "L-F1"]
    scans = results.evaluated(results.runs[1], "test", results.tuned[results.runs[1]])
    facts = results.splits.set_index("scan_id")["orientation"]
    f1 = scans.loc[facts[scans.index] == "sagittal", "voxel_f1"].dropna()
    assert rows["V-F1"][1].text == str(len(f1))
    dice = rows["V-F1"][4]
    assert f"{dice.main} {dice.detail}" == f"{f1.median():.2f} ({f1.mean():.2f} ± {f1.std():.2f})"
    low, high = (float(end) for end in dice.interval.strip("[]").split(", "))
    assert low <= f1.median() <= high + 0.005


def test_too_few_subjects_are_said_to_be(results: StudyResults) -> None:
    splits = results.splits.copy()
    splits["orientation"] = ["coronal" if name == "sub-018_ses-01_acq-sag" else "axial" for name in splits["scan_id"]]
    changed = replace(results, splits=splits)
    table = subgroup_tables(changed, summarize_subgroups(changed))["by_orientation"]
    assert rows_of(table, "axial")["V-F1"][2].text == "8"
    alone = rows_of(table, "coronal")["V-F1"]
    assert alone[2].text == "1 too few"
    assert {cell.detail for cell in alone[3:]} == {"(one scan)"}
    assert {cell.interval for cell in alone[3:]} == {""}


def test_a_subgroup_without_any_defined_value(results: StudyResults) -> None:
    changed = replace(results, evaluation=results.evaluation.assign(lesion_f1=math.nan))
    table = subgroup_tables(changed, summarize_subgroups(changed))["by_site"]
    assert [cell.text for cell in rows_of(table, "all")["L-F1"][3:]] == ["–"] * 4


def test_a_split_that_tells_nothing_of_the_acquisition(study_copy: Path) -> None:
    path = study_copy / "splits.tsv"
    splits = pd.read_csv(path, sep="\t", keep_default_na=False)
    splits.drop(columns=list(SUBGROUPS)[1:]).to_csv(path, sep="\t", index=False)
    results = read_results(study_copy)
    tables = subgroup_tables(results, summarize_subgroups(results))
    filled = {name for name, table in tables.items() if table.groups}
    assert filled == {subgroup_name("site")}


def test_seeds_are_mentioned_where_there_are_several(results: StudyResults, tables: dict[str, Table]) -> None:
    assert not any("seeds" in table.note for table in tables.values())
    summary = summarize_subgroups(results).assign(n_seeds=3)
    assert all("a scan’s value is their mean" in table.note for table in subgroup_tables(results, summary).values())
