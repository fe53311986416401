"""What is found where there is nothing to find."""

import pandas as pd

from cordlesion.io.formats import format_interval, format_number
from cordlesion.report.summaries import summarize_lesion_free
from cordlesion.report.tables.layout import Cell, Group, Table
from cordlesion.study_folder.results import StudyResults, of_run

_COLUMNS = ("Loss", "Threshold", "Scans", "Clean", "95 % interval", "False lesions", "False volume, mm³")


def lesion_free_table(results: StudyResults, _: pd.DataFrame) -> Table:
    """Lay out what each run finds in the test scans without lesions; no rows where there are no such scans."""
    found = summarize_lesion_free(results)
    found = found[found["n"] > 0]
    rows = {run: tuple(_row(row) for _, row in of_run(found, run).iterrows()) for run in results.runs}
    return Table(
        columns=_COLUMNS,
        groups=tuple(Group(results.label(run), mine) for run, mine in rows.items() if mine),
        label="Table 10.",
        note=(
            "Test scans with an empty reference. Clean: scans without any predicted lesion (P-specificity) with its "
            "95 % interval (Clopper and Pearson’s; where subjects have several scans, of the effective number of "
            "scans). False lesions and their volume: mean (largest) per scan."
        ),
    )


def _row(row: pd.Series) -> tuple[Cell, ...]:
    return (
        Cell(format_number(row["threshold"]), "tuned" if row["tuned"] and row["threshold"] >= 0 else ""),
        Cell(str(row["n"])),
        Cell(format_number(row["n_clean"] / row["n"]), f"({row['n_clean']}/{row['n']})"),
        Cell(format_interval(row["low"], row["high"])),
        Cell(format_number(row["lesions_mean"]), f"({row['lesions_max']:.0f})"),
        Cell(f"{row['volume_mean']:.0f}", f"({row['volume_max']:.0f})"),
    )
