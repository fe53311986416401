"""The study's Table 2 beside the one printed in the paper."""

from functools import cache
from pathlib import Path

import pandas as pd

from cordlesion.report.formats import MISSING, format_number
from cordlesion.report.results import REPORTED_SETS, Run, StudyResults
from cordlesion.report.style import SET_NAMES, loss_name
from cordlesion.report.summaries import SCAN_METRICS, SUBJECT_METRICS
from cordlesion.report.tables.layout import EMPTY_REFERENCE, METRIC_NAMES, Cell, Group, Table
from cordlesion.report.tables.scores import score_rows

PRINTED = Path(__file__).parent / "hussein2023_table2.tsv"
"""Table 2 of Hussein et al. (ISBI 2023), cell by cell as printed; its first line names the source."""

_N_SCANS = {"threshold": Cell("14"), "test": Cell("26", "+ 46 without")}
"""From the caption of the paper's Figure 1."""

_NOTE = (
    "This study beside Table 2 as printed by Hussein et al. (2023), tuned decision thresholds, for the losses that "
    "both have. Median (mean ± standard deviation). The data are not the same: theirs are 161 clinical scans of 108 "
    "patients from 13 sites; this study’s, clinical or simulated, are those of its cohort table, and its training is "
    "that of its configuration. So a difference between the rows is not an error of either, and equal values do not "
    "validate one by the other. The paper gives one P-specificity per loss; its threshold set has no scan without "
    "lesions, so that value stands with the test set."
)


_SAME = {"sct_soft": "sct", "sct": "sct"}
"""Our names of what the paper compared: SCT's network with overlapping patches and a tuned threshold."""


@cache
def printed_table() -> pd.DataFrame:
    """Return the paper's Table 2 as numbers.

    Returns:
        A row per loss and set: ``loss set threshold``, for each scan metric ``<metric>_median``, ``_mean`` and
        ``_std``, and the subject metrics.
    """
    printed = pd.read_csv(PRINTED, sep="\t", comment="#")
    numbers = printed.drop(columns=list(SCAN_METRICS))
    for metric in SCAN_METRICS:
        parts = printed[metric].str.extract(r"^(\S+) \((\S+)±(\S+)\)$").astype(float)
        numbers[[f"{metric}_{name}" for name in ("median", "mean", "std")]] = parts
    return numbers


def paper_table(results: StudyResults, summary: pd.DataFrame) -> Table:
    """Lay out the study's tuned scores below those printed in the paper; no rows where no loss is in both."""
    printed = printed_table()
    mine = {loss: [run for run in results.runs if _in_paper(results, run) == loss] for loss in printed["loss"].unique()}
    groups = tuple(
        Group(loss_name(loss), _rows(summary, printed[printed["loss"] == loss], runs))
        for loss, runs in mine.items()
        if runs
    )
    columns = ("Loss", "Set", "Source", "Optimal threshold", "Scans", *METRIC_NAMES.values())
    absent = [loss_name(loss) for loss, runs in mine.items() if not runs]
    left_out = f" In the paper only: {', '.join(absent)}." if absent else ""
    note = f"{_NOTE} {EMPTY_REFERENCE}{left_out}"
    return Table(columns, groups, n_words=3, label="Table 11.", note=note)


def _in_paper(results: StudyResults, run: Run) -> str | None:
    """Return what the paper calls a run; a comparator with the name of a loss is none, nor are masks what it tuned."""
    if run.seed is not None:
        return run.loss
    return _SAME.get(run.loss) if run in results.tuned else None


def _rows(summary: pd.DataFrame, printed: pd.DataFrame, runs: list[Run]) -> tuple[tuple[Cell, ...], ...]:
    """Set by set: the paper's row, then one for each of the study's runs of the loss."""
    shown = summary[summary["tuned"]].assign(best=False, p_value=float("nan"), p_holm=float("nan"))
    mine = {run: score_rows(shown, run, tuned=True) for run in runs}
    rows = []
    for number, name in enumerate(REPORTED_SETS):
        rows.append(_printed_row(printed[printed["set"] == name].iloc[0], name))
        for run in runs:
            which = loss_name(run.loss) if run.seed is None else f"seed {run.seed}"
            source = "this study" if len(runs) == 1 else f"this study, {which}"
            set_cell, *cells = mine[run][number]
            rows.append((set_cell, Cell(source), *cells))
    return tuple(rows)


def _printed_row(row: pd.Series, set_name: str) -> tuple[Cell, ...]:
    scores = (
        Cell(format_number(row[f"{m}_median"]), f"({row[f'{m}_mean']:.2f} ± {row[f'{m}_std']:.2f})")
        for m in SCAN_METRICS
    )
    shares = [Cell(format_number(row[metric])) for metric in SUBJECT_METRICS]
    if set_name == "threshold":
        shares[1] = Cell(MISSING)
    threshold = Cell(format_number(row["threshold"]))
    return (Cell(SET_NAMES[set_name]), Cell("paper"), threshold, _N_SCANS[set_name], *scores, *shares)
