"""Tables 1 and 2 of the study: every metric of every run, at t = 0.5 and at the tuned threshold."""

import math

import pandas as pd

from cordlesion.io.formats import MISSING, format_number
from cordlesion.pictures.style import SET_NAMES
from cordlesion.report.losses import without_rank
from cordlesion.report.summaries import SCAN_METRICS, SUBJECT_METRICS
from cordlesion.report.tables.layout import EMPTY_REFERENCE, METRIC_NAMES, SIGNIFICANT, Cell, Group, Table
from cordlesion.statistics import format_summary
from cordlesion.study_folder.results import REPORTED_SETS, Run, StudyResults, of_run, rows_of_learned

_NOTE = (
    "{} Median (mean ± standard deviation) over scans with lesions; for P-sensitivity and P-specificity, share of "
    f"scans. Upper row: threshold set; lower row: test set. {EMPTY_REFERENCE}"
)
_NOTE_TUNED = "Tuned decision threshold; on the threshold set, where it was chosen, values and tests are optimistic."
_BOLD = (
    f"differs from t = 0.5 (Wilcoxon signed-rank test of the mean differences of {{}}, p ≤ {SIGNIFICANT:g}, not "
    "corrected, as in the study by Hussein et al.; for shares see the table of changes); †: also after Holm’s "
    "correction over the {} comparisons of this table"
)


def scores_table(results: StudyResults, summary: pd.DataFrame, *, tuned: bool) -> Table:
    """Lay out the paper's Table 1 (t = 0.5) or Table 2 (tuned t): two rows per run, ``median (mean ± std)``.

    In Table 2 a value is bold where it differs from t = 0.5 (Wilcoxon signed-rank test of subjects, p <= 0.05), with a
    dagger where that holds after Holm's correction over all comparisons of the table.
    """
    shown = summary[summary["tuned"] == tuned]
    ranked = rows_of_learned(results, shown)
    values = ranked.groupby(["set", "metric"])["value"]
    best = (ranked["value"] == values.transform("max")) & (values.transform("nunique") > 1)
    shown = shown.assign(best=best.reindex(shown.index, fill_value=False))
    return Table(
        columns=("Loss", "Set", *(("Optimal threshold",) if tuned else ()), "Scans", *METRIC_NAMES.values()),
        groups=tuple(Group(results.label(run), score_rows(shown, run, tuned=tuned)) for run in results.runs),
        n_words=2,
        label="Table 2." if tuned else "Table 1.",
        note=_NOTE.format(_NOTE_TUNED if tuned else "Decision threshold t = 0.5.") + without_rank(results),
        bold=_BOLD.format(_tested(summary), int(summary["p_value"].notna().sum())) if tuned else "",
        best="highest value of its column and set" if len(results.runs) > 1 else "",
    )


def score_rows(shown: pd.DataFrame, run: Run, *, tuned: bool) -> tuple[tuple[Cell, ...], ...]:
    """Lay out a run: set, tuned threshold where wanted, scans, the metrics; a row per set.

    Args:
        shown: Summary at one kind of threshold, with the column ``best``.
        run: Whose rows.
        tuned: With the threshold.
    """
    rows = []
    for set_name in REPORTED_SETS:
        scores = {str(row["metric"]): row for _, row in of_run(shown, run, set=set_name).iterrows()}
        with_lesions, without = (int(scores[metric]["n"]) for metric in SUBJECT_METRICS)
        threshold = (Cell(format_number(scores["voxel_f1"]["threshold"])),) if tuned else ()
        scans = Cell(str(with_lesions), f"+ {without} without" if without else "")
        cells = [_score_cell(scores[metric], with_lesions) for metric in SCAN_METRICS]
        cells += [_share_cell(scores[metric]) for metric in SUBJECT_METRICS]
        rows.append((Cell(SET_NAMES[set_name]), *threshold, scans, *cells))
    return tuple(rows)


def _tested(summary: pd.DataFrame) -> str:
    """Say how many subjects were tested; a metric that is undefined in some scans may have fewer."""
    tested = summary["n_subjects"].dropna()
    if tested.empty:
        return "no subject"
    least, most = int(tested.min()), int(tested.max())
    return f"{least} subjects" if least == most else f"{least} to {most} subjects"


def _score_cell(score: pd.Series, n_expected: int) -> Cell:
    """Print ``median (mean ± std)``; the number of scans only where it is not that of the row."""
    if math.isnan(score["value"]):
        return Cell(MISSING)
    median, _, spread = format_summary(score["value"], score["mean"], score["std"]).partition(" ")
    detail = spread if score["n"] == n_expected else f"{spread}, n = {score['n']}"
    dagger = "†" if score["p_holm"] <= SIGNIFICANT else ""
    return Cell(median, detail, bold=bool(score["p_value"] <= SIGNIFICANT), mark=dagger, best=bool(score["best"]))


def _share_cell(score: pd.Series) -> Cell:
    if not score["n"]:
        return Cell(MISSING)
    return Cell(format_number(score["value"]), f"({score['count']}/{score['n']})", best=bool(score["best"]))
