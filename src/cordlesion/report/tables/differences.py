"""How the best run differs from every other."""

import pandas as pd

from cordlesion.report.results import StudyResults, of_run
from cordlesion.report.summaries import compare_with_best
from cordlesion.report.tables.layout import (
    EMPTY_REFERENCE,
    METRIC_NAMES,
    SIGNIFICANT,
    Cell,
    Group,
    Table,
    format_interval,
    format_number,
    format_p,
)

_COLUMNS = ("Against", "Metric", "Scans", "Difference", "95 % interval", "Effect", "p", "p (Holm)")


def differences_table(results: StudyResults, _: pd.DataFrame) -> Table:
    """Lay out how the best run differs from every other on the test set; no rows where there is no other."""
    differences = compare_with_best(results)
    groups = []
    for run in (run for run in results.runs if run != results.best):
        rows = tuple(_row(row) for _, row in of_run(differences, run).iterrows())
        groups.append(Group(results.label(run), rows))
    return Table(
        columns=_COLUMNS,
        groups=tuple(groups),
        n_words=2,
        label="Table 4.",
        note=(
            f"Test set, tuned thresholds: {results.label(results.best)} against every other run. Difference: median "
            "over scans of (best − other), with its 95 % bootstrap interval over subjects. Wilcoxon signed-rank test; "
            "Holm’s correction over the rows of this table. Effect: matched-pairs rank-biserial correlation, from −1 "
            f"to 1. {EMPTY_REFERENCE}"
        ),
        bold=f"p ≤ {SIGNIFICANT:g} after Holm’s correction",
    )


def _row(row: pd.Series) -> tuple[Cell, ...]:
    return (
        Cell(METRIC_NAMES[row["metric"]]),
        Cell(str(row["n"])),
        Cell(format_number(row["difference"], signed=True)),
        Cell(format_interval(row["low"], row["high"], signed=True)),
        Cell(format_number(row["effect"], signed=True)),
        Cell(format_p(row["p_value"])),
        Cell(format_p(row["p_holm"]), bold=bool(row["p_holm"] <= SIGNIFICANT)),
    )
