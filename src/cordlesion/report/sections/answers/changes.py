"""What the tuned threshold of every run changes against 0.5, in lesions found, false positives and scans."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cordlesion.io.formats import format_interval, format_number, format_p
from cordlesion.report.sections.scores import SUBJECT_METRICS, subject_hits
from cordlesion.report.summary_tables import CHANGES
from cordlesion.report.table import SIGNIFICANT, Cell, Group, Table
from cordlesion.statistics import change_of_ratios, change_of_shares, holm, sign_flips
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, StudyResults
from cordlesion.study_folder.runs import Run, false_lesions, of_run

MEASURES = {
    "found": "Lesions found",
    "false": "False positives per scan",
    "subject_sensitivity": "P-sensitivity",
    "subject_specificity": "P-specificity",
}
"""What is compared, and how it is printed."""
_COLUMNS = ("Loss", "Metric", "t = 0.5", "Tuned t", "Difference", "95 % interval", "p", "p (Holm)", "Scans", "Subjects")


def summarize_changes(results: StudyResults) -> pd.DataFrame:
    """Compare each run's tuned threshold with t = 0.5 on the test set, in the same scans.

    Returns:
        A row per run that learned another threshold than 0.5 and measure (see :data:`MEASURES`): ``loss seed measure
        default tuned difference low high p_value p_holm n_scans n_subjects``. The approximate interval and the test
        take subjects as units: signs of subjects' sums are flipped, which is McNemar's exact test for shares
        of scans where each subject has one. ``p_holm`` is corrected over the runs of a measure.
    """
    rows = [
        {"loss": run.loss, "seed": run.seed, "measure": name, **_row(change)}
        for run, t in results.tuned.items()
        if t != DEFAULT_THRESHOLD and run not in results.unlearned
        for name, change in _changes(results, run, t)
    ]
    table = pd.DataFrame(rows, columns=list(CHANGES.names))
    corrected = table.groupby("measure", sort=False)["p_value"].transform(holm)
    return table.assign(p_holm=corrected.astype(float)).astype({"seed": "Int64"})


def changes_table(results: StudyResults, changes: pd.DataFrame) -> Table:
    """Lay out the paired differences between the tuned threshold and 0.5; no rows where every tuned one is 0.5."""
    shown = changes[changes["n_scans"] > 0]
    rows = {run: tuple(_cells(row) for _, row in of_run(shown, run).iterrows()) for run in results.runs}
    return Table(
        columns=_COLUMNS,
        groups=tuple(Group(results.label(run), mine) for run, mine in rows.items() if mine),
        n_words=2,
        lead="Test set, the same scans at both thresholds.",
        note=(
            "Lesions found: share of the lesions of all scans. P-sensitivity: share of scans with lesions in which one "
            "is found; P-specificity: share of lesion-free scans in which none is marked. Intervals are approximate. "
            "p: the sign of each subject’s difference is flipped (for shares of scans McNemar’s exact test, where each "
            "subject has one scan); Holm’s correction over the runs of a metric. Scans and subjects: those that the "
            "metric counts."
        ),
        bold=f"p ≤ {SIGNIFICANT:g} after Holm’s correction",
    )


@dataclass(frozen=True, eq=False)
class _Change:
    """Counts of the same scans at both thresholds, and what they are counted out of or per."""

    default: pd.Series
    tuned: pd.Series
    units: pd.Series
    subjects: pd.Series
    of_scans: bool
    """Successes of scans, not numbers of lesions."""
    is_share: bool

    @property
    def interval(self) -> tuple[float, float]:
        difference = self.tuned - self.default
        if self.of_scans:
            return change_of_shares(difference, self.subjects)
        return change_of_ratios(difference, self.units, self.subjects, is_share=self.is_share)


def _changes(results: StudyResults, run: Run, t: float) -> Iterator[tuple[str, _Change]]:
    default, tuned = results.evaluated(run, "test", DEFAULT_THRESHOLD), results.evaluated(run, "test", t)
    tuned, subjects, one = tuned.loc[default.index], default["subject"], pd.Series(1, default.index)
    detected, lesions = "n_detected_lesions", default["n_reference_lesions"]
    yield "found", _Change(default[detected], tuned[detected], lesions, subjects, of_scans=False, is_share=True)
    before, after = (false_lesions(scans) for scans in (default, tuned))
    yield "false", _Change(before, after, one, subjects, of_scans=False, is_share=False)
    for metric in SUBJECT_METRICS:
        before, after = (subject_hits(scans)[metric].astype(int) for scans in (default, tuned))
        here = before.index
        yield metric, _Change(before, after, one[here], subjects[here], of_scans=True, is_share=True)


def _row(change: _Change) -> dict[str, Any]:
    units = float(change.units.sum())
    default, tuned = (float(one.sum()) / units if units else math.nan for one in (change.default, change.tuned))
    counted = change.units > 0
    low, high = change.interval
    return {
        "default": default,
        "tuned": tuned,
        "difference": tuned - default,
        "low": low,
        "high": high,
        "p_value": sign_flips((change.tuned - change.default)[counted], change.subjects[counted]),
        "n_scans": int(counted.sum()),
        "n_subjects": change.subjects[counted].nunique(),
    }


def _cells(row: pd.Series) -> tuple[Cell, ...]:
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
