"""Who is in which set."""

import pandas as pd

from cordlesion.config import SETS
from cordlesion.report.formats import MISSING
from cordlesion.report.results import StudyResults, lesion_bearing
from cordlesion.report.style import SET_NAMES
from cordlesion.report.tables.layout import Cell, Group, Table

_COLUMNS = (
    *("Set", "Scans", "with lesions", "without", "Subjects", "Sites"),
    *("Lesions", "Lesions per scan", "mm³ per scan"),
)


def cohort_table(results: StudyResults, _: pd.DataFrame) -> Table:
    """Lay out who is in which set: scans, subjects, sites, lesions."""
    splits = results.splits
    groups = [Group(SET_NAMES[name], (_row(splits[splits["set"] == name]),)) for name in SETS]
    return Table(
        columns=_COLUMNS,
        groups=(*groups, Group("all", (_row(splits.drop_duplicates("scan_id")),))),
        label="Cohort by set.",
        note=f"{_sets(results)} Lesions and volumes: median [quartiles] per scan with lesions.",
    )


def _sets(results: StudyResults) -> str:
    if "fold" in results.written_thresholds:
        return "Every subject is in one set of each fold only, and counts once in every set that it is in."
    return "Every subject is in one set only."


def _row(scans: pd.DataFrame) -> tuple[Cell, ...]:
    bearing = lesion_bearing(scans)
    sites = scans.loc[scans["site"] != "", "site"].nunique()
    return (
        *(Cell(str(n)) for n in (len(scans), len(bearing), len(scans) - len(bearing), scans["subject"].nunique())),
        Cell(str(sites) if sites else MISSING),
        Cell(str(int(scans["n_reference_lesions"].sum()))),
        _quartiles(bearing["n_reference_lesions"]),
        _quartiles(bearing["reference_volume_mm3"]),
    )


def _quartiles(values: pd.Series) -> Cell:
    if values.empty:
        return Cell(MISSING)
    low, middle, high = (f"{value:.0f}" for value in values.quantile([0.25, 0.5, 0.75]))
    return Cell(middle, f"[{low}, {high}]")
