"""What every run finds in a scan, and what it marks falsely: the recommendation's numbers for all runs."""

import math

import pandas as pd

from cordlesion.io.formats import MISSING, format_interval, format_number
from cordlesion.report.numbers import Numbers
from cordlesion.report.tables.layout import Cell, Group, Table
from cordlesion.study_folder.results import StudyResults, of_run

_COLUMNS = ("Loss", "Cut", "t", "Lesions found", "False lesions per scan")
_FREE_COLUMNS = ("Clean scans without lesions", "False lesions per scan without lesions")


def operation_table(results: StudyResults, numbers: Numbers) -> Table:
    """Lay out lesions found and false lesions per scan of every run, at its tuned threshold and at 0.5."""
    has_free = bool((numbers.operation["n_free"] > 0).any())
    rows = {
        run: tuple(_row(row, has_free=has_free) for _, row in of_run(numbers.operation, run)[::-1].iterrows())
        for run in results.runs
    }
    return Table(
        columns=(*_COLUMNS, *(_FREE_COLUMNS if has_free else ())),
        groups=tuple(Group(results.label(run), mine) for run, mine in rows.items()),
        n_words=2,
        label="At a glance.",
        note=(
            "Test set. Lesions found: share of the lesions of all scans together. False lesions per scan: predicted "
            "lesions that are none, mean over all scans, scans without lesions included. 95 % intervals with subjects "
            "as units, that of false lesions approximate. "
            "Clean: scans without lesions in which none is predicted. Empty references: scans without a "
            "lesion add none to be found; what is predicted in them counts as false."
        ),
    )


def _row(row: pd.Series, *, has_free: bool) -> tuple[Cell, ...]:
    given = math.isnan(row["threshold"])
    cut = "as given" if given else "tuned" if row["tuned"] else "usual"
    counted = f"({row['n_found']}/{row['n_lesions']})"
    found = Cell(format_number(row["found"]), counted, _interval(row["found_low"], row["found_high"]))
    false = Cell(format_number(row["false"]), interval=_interval(row["false_low"], row["false_high"]))
    free = (Cell(f"{row['n_clean']}/{row['n_free']}"), Cell(format_number(row["false_free"]))) if has_free else ()
    return (Cell(cut), Cell(MISSING if given else format_number(row["threshold"])), found, false, *free)


def _interval(low: float, high: float) -> str:
    return "" if math.isnan(low) else format_interval(low, high)
