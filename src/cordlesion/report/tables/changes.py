"""What the tuned threshold of every run changes against 0.5, in lesions found, false lesions and scans."""

import pandas as pd

from cordlesion.io.formats import format_interval, format_number, format_p
from cordlesion.report.changes import MEASURES
from cordlesion.report.numbers import Numbers
from cordlesion.report.tables.layout import SIGNIFICANT, Cell, Group, Table
from cordlesion.study_folder.results import StudyResults, of_run

_COLUMNS = ("Loss", "Metric", "t = 0.5", "Tuned t", "Difference", "95 % interval", "p", "p (Holm)", "Scans", "Subjects")


def changes_table(results: StudyResults, numbers: Numbers) -> Table:
    """Lay out the paired differences between the tuned threshold and 0.5; no rows where every tuned one is 0.5."""
    shown = numbers.changes[numbers.changes["n_scans"] > 0]
    rows = {run: tuple(_row(row) for _, row in of_run(shown, run).iterrows()) for run in results.runs}
    return Table(
        columns=_COLUMNS,
        groups=tuple(Group(results.label(run), mine) for run, mine in rows.items() if mine),
        n_words=2,
        label="Tuned against 0.5.",
        note=(
            "Test set, the same scans at both thresholds. Lesions found: share of the lesions of all scans. "
            "P-sensitivity: share of scans with lesions in which one is found; P-specificity: share of scans without "
            "lesions in which none is predicted. Intervals are approximate. p: the sign of each subject’s difference "
            "is flipped (for shares of scans McNemar’s exact test, where each subject has one scan); Holm’s correction "
            "over the runs of a metric. Scans and subjects: those that the metric counts. Empty "
            "references: they count in P-specificity and false lesions only."
        ),
        bold=f"p ≤ {SIGNIFICANT:g} after Holm’s correction",
    )


def _row(row: pd.Series) -> tuple[Cell, ...]:
    return (
        Cell(MEASURES[row["measure"]]),
        Cell(format_number(row["default"])),
        Cell(format_number(row["tuned"])),
        Cell(format_number(row["difference"], signed=True)),
        Cell(format_interval(row["low"], row["high"], signed=True)),
        Cell(format_p(row["p_value"])),
        Cell(format_p(row["p_holm"]), bold=bool(row["p_holm"] <= SIGNIFICANT)),
        Cell(str(row["n_scans"])),
        Cell(str(row["n_subjects"])),
    )
