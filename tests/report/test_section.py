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
    "thresholds": "Table 3",
    "tuning": "Table 4a",
    "stability": "Table 4b",
    "calibration": "Table 5",
    "ranks": "Ranks",
    "pairs": "Table 6",
    "seeds": "Table 7",
    "strata": "Table 8",
    "rules": "Table 9",
    "lesion_free": "Table 10",
    "statements": "Statements of the paper",
    "paper_untuned": "Table 11a",
    "paper": "Table 11b",
    "by_site": "Table 12a",
    "by_manufacturer": "Table 12b",
    "by_scanner": "Table 12c",
    "by_orientation": "Table 12d",
    "by_slice_spacing": "Table 12e",
    "uncertainty": "Table 13",
    "own_metrics": "Own metrics",
    "figure1_cohort": "Figure 1",
    "figure2_thresholds": "Figure 2",
    "figure3_example": "Figure 3",
    "figure2_thresholds_test": "Figure 2, test set",
    "figure4_reliability": "Figure 4",
    "figure5_froc": "Figure 5",
    "figure6_training": "Figure 6",
    "figure7_uncertainty": "Figure 7",
}
"""The numbers by which users and documents cite the tables and figures."""


def no_table(_: Findings) -> Table:
    return Table(("a",), ())


def no_figure(_: StudyResults) -> Figure:
    return Figure()


def test_numbers_are_those_that_are_cited() -> None:
    assert number_all(SECTIONS) == CONTRACT


def test_numbers_follow_the_order_of_appearance() -> None:
    figures = (ReportFigure("paper", no_figure, number=1), ReportFigure("other", no_figure, variant="other set"))
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
        "free": "Figure 2",
        "paper": "Figure 1",
        "other": "Figure 1, other set",
    }
    assert number_all((second, first))["one"] == "Table 3"


def test_files_of_two_tables_cannot_have_one_name() -> None:
    first = Section("first", "First", tables=(ReportTable("one", no_table),))
    with pytest.raises(ValueError, match="are named one"):
        number_all((first, replace(first, key="second")))


def test_sections_have_addresses_of_their_own() -> None:
    assert len({section.key for section in SECTIONS}) == len(SECTIONS)
    assert all(section.link for section in SECTIONS)
