from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from cordlesion.report.section import Findings, ReportFigure, ReportTable, Section, number_all
from cordlesion.report.sections import SECTIONS
from cordlesion.report.table import Table
from cordlesion.study_folder.results import StudyResults

CONTRACT = {
    "operation": "At a glance",
    "changes": "Tuned against 0.5",
    "cohort": "Cohort by set",
    "table1": "Table 1",
    "table2": "Table 2",
    "ranks": "Ranks",
    "pairs": "Table 3",
    "seeds": "Table 4",
    "lesion_free": "Table 5",
    "by_site": "Table 6a",
    "by_manufacturer": "Table 6b",
    "by_scanner": "Table 6c",
    "by_orientation": "Table 6d",
    "by_slice_spacing": "Table 6e",
    "own_metrics": "Own metrics",
    "thresholds": "Table 7",
    "tuning": "Table 8a",
    "stability": "Table 8b",
    "threshold_rules": "Threshold rules",
    "calibration": "Table 9",
    "strata": "Table 10",
    "rules": "Table 11",
    "uncertainty": "Table 12",
    "statements": "Statements of the paper",
    "paper_untuned": "Table 13a",
    "paper": "Table 13b",
    "recommendation": "the file recommendation",
    "figure1_cohort": "Figure 1",
    "figure2_thresholds": "Figure 2",
    "figure2_thresholds_test": "Figure 2, test set",
    "figure3_example": "Figure 3",
    "figure4_reliability": "Figure 4",
    "figure5_froc": "Figure 5",
    "figure6_training": "Figure 6",
    "figure7_uncertainty": "Figure 7",
}
"""The numbers in a report that prints everything."""


def no_table(_: Findings) -> Table:
    return Table(("a",), ())


def no_figure(_: StudyResults) -> Figure:
    return Figure()


def test_numbers_are_those_that_are_cited() -> None:
    assert number_all(SECTIONS) == CONTRACT


def test_numbers_follow_the_order_of_appearance() -> None:
    figures = (ReportFigure("curve", no_figure), ReportFigure("other", no_figure, variant="other set"))
    first = Section(
        "first", "First", tables=(ReportTable("one", no_table),), figures=(ReportFigure("free", no_figure),)
    )
    grouped = tuple(ReportTable(name, no_table, group="ab") for name in ("a", "b"))
    second = Section("second", "Second", tables=(*grouped, ReportTable("last", no_table)), figures=figures)
    assert number_all((first, second)) == {
        "one": "Table 1",
        "a": "Table 2a",
        "b": "Table 2b",
        "last": "Table 3",
        "free": "Figure 1",
        "curve": "Figure 2",
        "other": "Figure 2, other set",
    }
    assert number_all((second, first))["one"] == "Table 3"


def test_what_is_not_printed_takes_no_number() -> None:
    tables = tuple(ReportTable(name, no_table) for name in ("first", "second", "third"))
    figures = tuple(ReportFigure(name, no_figure) for name in ("one", "two"))
    section = Section("all", "All", tables=tables, figures=figures)
    refs = number_all((section,), lambda name: name not in ("second", "one"))
    assert refs == {
        "first": "Table 1",
        "second": "the file second",
        "third": "Table 2",
        "one": "the file one",
        "two": "Figure 1",
    }


def test_figures_are_numbered_as_their_files_are_named() -> None:
    names = [name for name in CONTRACT if name.startswith("figure")]
    assert all(CONTRACT[name].startswith(f"Figure {name[len('figure')]}") for name in names)


def test_files_of_two_tables_cannot_have_one_name() -> None:
    first = Section("first", "First", tables=(ReportTable("one", no_table),))
    with pytest.raises(ValueError, match="are named one"):
        number_all((first, replace(first, key="second")))


def test_sections_have_addresses_of_their_own() -> None:
    assert len({section.key for section in SECTIONS}) == len(SECTIONS)
