import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cordlesion.report.sections.subgroups import SUBGROUPS, subgroup_name, subgroup_table, summarize_subgroups
from cordlesion.report.table import Cell, Table
from cordlesion.statistics import MIN_SUBJECTS
from cordlesion.study_folder.results import StudyResults, read_results


@pytest.fixture(scope="module")
def summary(results: StudyResults) -> pd.DataFrame:
    return summarize_subgroups(results)


def scans_of(results: StudyResults, loss: str) -> pd.DataFrame:
    """Test scans with lesions at the tuned threshold, with what splits.tsv tells of them."""
    tuned = results.thresholds.set_index("loss")["threshold"]
    rows = results.evaluation[(results.evaluation["loss"] == loss) & (results.evaluation["set"] == "test")]
    rows = rows[(rows["threshold"] == tuned[loss]) & (rows["n_reference_lesions"] > 0)]
    return rows.merge(results.splits[["scan_id", *SUBGROUPS]], on="scan_id")


@pytest.mark.parametrize("loss", ["bce", "sct"])
def test_scores_by_orientation(results: StudyResults, summary: pd.DataFrame, loss: str) -> None:
    expected = scans_of(results, loss).groupby("orientation")["voxel_f1"].agg(["median", "mean", "std", "count"])
    shown = summary.query("by == 'orientation' and metric == 'voxel_f1' and loss == @loss").set_index("value")
    assert list(shown.index) == ["axial", "sagittal", "all"]
    np.testing.assert_allclose(shown.loc[expected.index, ["median", "mean", "std", "n"]], expected)
    assert shown.loc["all", "n"] == expected["count"].sum()


def test_scans_about_which_nothing_is_known_are_listed_as_such(summary: pd.DataFrame) -> None:
    shown = summary.query("by == 'scanner' and metric == 'lesion_f1' and loss == 'dice'")
    assert list(shown["value"]) == ["GE Signa 3T", "Philips Achieva 1.5T", "not recorded", "all"]
    assert list(shown["n"]) == [3, 3, 3, 9]


def test_sites_in_natural_order_and_spacings_in_millimetres(results: StudyResults) -> None:
    splits = results.splits.copy()
    splits["site"] = splits["site"].replace("Site 2", "Site 10")
    splits["slice_spacing_mm"] = splits["slice_spacing_mm"].replace(3.3, 2.9999999)
    summary = summarize_subgroups(replace(results, splits=splits))
    names = {by: list(dict.fromkeys(rows["value"])) for by, rows in summary.groupby("by")}
    assert names["site"] == [*sorted(set(names["site"]) - {"Site 10", "all"}), "Site 10", "all"]
    assert names["slice_spacing_mm"] == ["2 to 3 mm", "3 to 4 mm", "all"]


def test_few_subjects_have_no_interval(summary: pd.DataFrame) -> None:
    few = summary["n_subjects"] < MIN_SUBJECTS
    assert few.any()
    assert summary.loc[few, ["low", "high"]].isna().all().all()
    assert not few.all()
    enough = summary[~few]
    assert ((enough["low"] <= enough["median"]) & (enough["median"] <= enough["high"])).all()


def test_subjects_are_counted_once(results: StudyResults) -> None:
    splits = results.splits.copy()
    test = splits["set"] == "test"
    splits.loc[test, "subject"] = "sub-one"
    summary = summarize_subgroups(replace(results, splits=splits))
    assert set(summary["n_subjects"]) == {1}
    assert summary["low"].isna().all()


def test_seeds_are_averaged_per_scan(results: StudyResults) -> None:
    tables = {}
    for name in ("thresholds", "evaluation", "sweep"):
        table = getattr(results, name)
        tables[name] = pd.concat([table, table[table["loss"] == "dice"].assign(seed=1)], ignore_index=True)
    again = tables["evaluation"]["seed"].eq(1).fillna(False).astype(bool)
    tables["evaluation"].loc[again, "voxel_f1"] *= 0.5
    one, two = (
        summarize_subgroups(study).query("by == 'site' and metric == 'voxel_f1' and loss == 'dice'")
        for study in (results, replace(results, **tables))
    )
    assert set(two["n_seeds"]) == {2}
    np.testing.assert_allclose(two[["median", "mean"]], 0.75 * one[["median", "mean"]])
    assert list(two["n"]) == list(one["n"])


def test_nothing_recorded_gives_no_rows(results: StudyResults) -> None:
    blank = results.splits.assign(**dict.fromkeys(SUBGROUPS, "") | {"slice_spacing_mm": math.nan})
    assert summarize_subgroups(replace(results, splits=blank)).empty


def tables_of(results: StudyResults, summary: pd.DataFrame) -> dict[str, Table]:
    return {subgroup_name(column): subgroup_table(results, summary, column) for column in SUBGROUPS}


@pytest.fixture(scope="module")
def tables(results: StudyResults) -> dict[str, Table]:
    return tables_of(results, summarize_subgroups(results))


def rows_of(table: Table, group: str) -> dict[str, tuple[Cell, ...]]:
    (rows,) = (g.rows for g in table.groups if g.name == group)
    return {row[0].main: row for row in rows}


def test_one_table_for_each_way_of_grouping(tables: dict[str, Table]) -> None:
    assert list(tables) == ["by_site", "by_manufacturer", "by_scanner", "by_orientation", "by_slice_spacing"]
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
    table = tables_of(changed, summarize_subgroups(changed))["by_orientation"]
    assert rows_of(table, "axial")["V-F1"][2].text == "8"
    alone = rows_of(table, "coronal")["V-F1"]
    assert alone[2].text == "1 too few"
    assert {cell.detail for cell in alone[3:]} == {"(one scan)"}
    assert {cell.interval for cell in alone[3:]} == {""}


def test_a_subgroup_without_any_defined_value(results: StudyResults) -> None:
    changed = replace(results, evaluation=results.evaluation.assign(lesion_f1=math.nan))
    table = tables_of(changed, summarize_subgroups(changed))["by_site"]
    assert [cell.text for cell in rows_of(table, "all")["L-F1"][3:]] == ["–"] * 4


def test_a_split_that_tells_nothing_of_the_acquisition(study_copy: Path) -> None:
    path = study_copy / "splits.tsv"
    splits = pd.read_csv(path, sep="\t", keep_default_na=False)
    splits.drop(columns=list(SUBGROUPS)[1:]).to_csv(path, sep="\t", index=False)
    results = read_results(study_copy)
    tables = tables_of(results, summarize_subgroups(results))
    filled = {name for name, table in tables.items() if table.groups}
    assert filled == {subgroup_name("site")}


def test_seeds_are_mentioned_where_there_are_several(results: StudyResults, tables: dict[str, Table]) -> None:
    assert not any("seeds" in table.note for table in tables.values())
    summary = summarize_subgroups(results).assign(n_seeds=3)
    assert all("a scan’s value is their mean" in table.note for table in tables_of(results, summary).values())
