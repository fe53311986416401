"""The scores of a study next to Tables 1 and 2 of Hussein et al., for the losses that both have."""

from functools import cache
from pathlib import Path

import pandas as pd

from cordlesion.io.formats import MISSING, format_number
from cordlesion.pictures.style import METRIC_NAMES, SET_NAMES, loss_name
from cordlesion.report.section import ReportTable, Section
from cordlesion.report.sections.scores import SCAN_METRICS, SUBJECT_METRICS, score_rows
from cordlesion.report.table import Cell, Group, Table
from cordlesion.study_folder.results import REPORTED_SETS, StudyResults
from cordlesion.study_folder.runs import Run

PRINTED = {tuned: Path(__file__).parent / f"hussein2023_table{2 if tuned else 1}.tsv" for tuned in (False, True)}
"""Tables 1 (t = 0.5) and 2 (tuned) of Hussein et al. (ISBI 2023), cell by cell as printed; the first lines name the
source."""

_N_SCANS = {"threshold": Cell("14"), "test": Cell("26", "+ 46 without")}
"""From the caption of the paper's Figure 1."""

_LEAD = (
    "Table {} of Hussein et al. (2023) as printed, {}, next to this study. Median (mean ± standard deviation). Their "
    "data are other scans (161, clinical, of 108 patients from 13 sites), so neither row validates the other."
)
_OF_TABLE_1 = (
    "The paper’s rows were read from the text of its PDF, which has lost the lines of the table: P-specificities "
    "cannot be assigned to losses, and L-sensitivity and L-precision of the Focal Tversky loss on the threshold set "
    "may be exchanged."
)
_OF_TABLE_2 = (
    "The paper gives one P-specificity per loss; its threshold set has no scan without lesions, so that value stands "
    "with the test set. Its text gives the Dice loss gains by tuning of “V-F1 +20 %, L-F1 +37 %” on the threshold set: "
    "those of BCE, copied. By its own tables they are +0.02 and +0.09."
)

_SAME = {"sct_soft": "sct", "sct": "sct"}
"""Our names of what the paper compared: SCT's network with overlapping patches and a tuned threshold."""


@cache
def printed_table(*, tuned: bool = True) -> pd.DataFrame:
    """Return the paper's Table 2 as numbers, or its Table 1.

    Args:
        tuned: Table 2, at the tuned thresholds; else Table 1, at t = 0.5, whose P-specificities are NaN.

    Returns:
        A row per loss and set: ``loss set threshold``, for each scan metric ``<metric>_median``, ``_mean`` and
        ``_std``, and the subject metrics.
    """
    printed = pd.read_csv(PRINTED[tuned], sep="\t", comment="#", na_values=["n/a"])
    numbers = printed.drop(columns=list(SCAN_METRICS))
    for metric in SCAN_METRICS:
        parts = printed[metric].str.extract(r"^(\S+) \((\S+)±(\S+)\)$").astype(float)
        numbers[[f"{metric}_{name}" for name in ("median", "mean", "std")]] = parts
    return numbers


def paper_table(results: StudyResults, runs: pd.DataFrame, *, tuned: bool = True) -> Table:
    """Lay out the study's scores below those printed in the paper; no rows where no loss is in both.

    Args:
        results: The study.
        runs: Their scores, from :func:`summarize_runs`.
        tuned: At the tuned thresholds (the paper's Table 2), or at t = 0.5 (its Table 1).
    """
    printed = printed_table(tuned=tuned)
    mine = {loss: [run for run in results.runs if _in_paper(results, run) == loss] for loss in printed["loss"].unique()}
    shown = runs[runs["tuned"] == tuned]
    groups = tuple(
        Group(loss_name(loss), _rows(shown, printed[printed["loss"] == loss], ours, tuned=tuned))
        for loss, ours in mine.items()
        if ours
    )
    threshold = ("Optimal threshold",) if tuned else ()
    columns = ("Loss", "Set", "Source", *threshold, "Scans", *METRIC_NAMES.values())
    note = _OF_TABLE_2 if tuned else _OF_TABLE_1
    about = _LEAD.format(*((2, "tuned decision thresholds") if tuned else (1, "decision threshold t = 0.5")))
    absent = [loss_name(loss) for loss, ours in mine.items() if not ours]
    left_out = f" In the paper only: {', '.join(absent)}." if absent else ""
    return Table(columns, groups, n_words=3, lead=about, note=f"{note}{left_out}")


def _in_paper(results: StudyResults, run: Run) -> str | None:
    """Return what the paper calls a run; a comparator with the name of a loss is none, nor are masks what it tuned."""
    if run.seed is not None:
        return run.loss
    return _SAME.get(run.loss) if run in results.tuned else None


def _rows(
    summary: pd.DataFrame, printed: pd.DataFrame, runs: list[Run], *, tuned: bool
) -> tuple[tuple[Cell, ...], ...]:
    """Set by set: the paper's row, then one for each of the study's runs of the loss."""
    shown = summary.assign(best=False, p_value=float("nan"), p_holm=float("nan"))
    mine = {run: score_rows(shown, run, tuned=tuned) for run in runs}
    rows = []
    for number, name in enumerate(REPORTED_SETS):
        rows.append(_printed_row(printed[printed["set"] == name].iloc[0], name, tuned=tuned))
        for run in runs:
            which = loss_name(run.loss) if run.seed is None else f"seed {run.seed}"
            source = "this study" if len(runs) == 1 else f"this study, {which}"
            set_cell, *cells = mine[run][number]
            rows.append((set_cell, Cell(source), *cells))
    return tuple(rows)


def _printed_row(row: pd.Series, set_name: str, *, tuned: bool) -> tuple[Cell, ...]:
    scores = (
        Cell(format_number(row[f"{m}_median"]), f"({row[f'{m}_mean']:.2f} ± {row[f'{m}_std']:.2f})")
        for m in SCAN_METRICS
    )
    shares = [Cell(format_number(row[metric])) for metric in SUBJECT_METRICS]
    if set_name == "threshold":
        shares[1] = Cell(MISSING)
    threshold = (Cell(format_number(row["threshold"])),) if tuned else ()
    return (Cell(SET_NAMES[set_name]), Cell("paper"), *threshold, _N_SCANS[set_name], *scores, *shares)


SECTION = Section(
    key="paper",
    title="Compared with the paper",
    tables=(
        ReportTable("paper_untuned", lambda of: paper_table(of.results, of.frames["runs"], tuned=False), group="paper"),
        ReportTable("paper", lambda of: paper_table(of.results, of.frames["runs"]), group="paper"),
    ),
    is_shown=lambda tables: bool(tables["paper"].groups),
)
