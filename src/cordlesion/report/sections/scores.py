"""Every metric of every run, at t = 0.5 and at the tuned threshold: Tables 1 and 2 of Hussein et al."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from cordlesion.config import SetName
from cordlesion.io.formats import MISSING, format_number
from cordlesion.metrics.table import METRIC_LABELS, SUBJECT_LABELS
from cordlesion.pictures.style import METRIC_NAMES, SET_NAMES
from cordlesion.report.losses import without_rank
from cordlesion.report.pipeline import describe_pipeline
from cordlesion.report.section import Findings, ReportTable, Section
from cordlesion.report.table import SIGNIFICANT, Cell, Group, Table
from cordlesion.statistics import PairedTest, format_summary, holm, median_interval, share_interval, summarize, wilcoxon
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, REPORTED_SETS, StudyResults, rows_of_learned
from cordlesion.study_folder.runs import Run, lesion_bearing, lesion_free, of_run

SCAN_METRICS = tuple(METRIC_LABELS)
SUBJECT_METRICS = tuple(SUBJECT_LABELS)

_LEAD = (
    "{} Median (mean ± standard deviation) over scans with lesions; P: share of scans. Upper row: threshold "
    "set; lower row: test set."
)
_NOTE_TUNED = "On the threshold set, where t was chosen, values and tests are optimistic."
_BOLD = (
    f"differs from t = 0.5 (Wilcoxon signed-rank test of the mean differences of {{}}, p ≤ {SIGNIFICANT:g}, not "
    "corrected, as in the study by Hussein et al.; for shares see the table of changes); †: also after Holm’s "
    "correction over the {} comparisons of this table"
)


def summarize_runs(results: StudyResults) -> pd.DataFrame:
    """Summarise every run on the threshold and the test set, at t = 0.5 and at its tuned threshold.

    Returns:
        A row per run, set, threshold and metric: ``loss seed set tuned threshold metric value mean std n n_undefined
        count low high p_value p_holm n_subjects``. For scan metrics ``value`` is the median over scans with lesions,
        for subject metrics the share ``count / n``; intervals take subjects as units. The threshold of masks is
        undefined. ``p_value`` compares the tuned threshold with 0.5 (Wilcoxon signed-rank test of ``n_subjects``; both
        undefined where the two thresholds are the same, and of runs that learned nothing), ``p_holm`` is corrected over
        all of these.
    """
    table = pd.DataFrame([row for run in results.runs for row in _run_rows(results, run)])
    table = table.assign(p_holm=holm(table["p_value"]), n_subjects=table.pop("n_subjects"))
    return table.astype({"seed": "Int64", "count": "Int64", "n_subjects": "Int64"})


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
        lead=_LEAD.format("Tuned decision threshold." if tuned else "Decision threshold 0.5."),
        note=f"{_NOTE_TUNED if tuned else ''}{without_rank(results)}".strip(),
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


def subject_hits(scans: pd.DataFrame) -> dict[str, "pd.Series[bool]"]:
    """Return which scans P-sensitivity and P-specificity count, and whether each is a success, by metric.

    As :func:`cordlesion.metrics.subject.subject_scores` does: found is a lesion that is correctly detected.
    """
    with_lesions, free = scans[scans["n_reference_lesions"] > 0], lesion_free(scans)
    hits = (with_lesions["n_detected_lesions"] > 0, free["n_predicted_lesions"] == 0)
    return dict(zip(SUBJECT_METRICS, hits, strict=True))


def _run_rows(results: StudyResults, run: Run) -> Iterator[dict[str, Any]]:
    for set_name in REPORTED_SETS:
        default, tuned = (scans_at(results, run, set_name, tuned=tuned) for tuned in (False, True))
        yield from ({**name_row(results, run, tuned=False), "set": set_name, **row} for row in _scores(default))
        for row in _scores(tuned):
            # At equal thresholds there is nothing to test, nor where tuning found nothing.
            moved = run not in results.unlearned and not default["threshold"].equals(tuned["threshold"])
            test = _test(default, tuned, str(row["metric"])) if row["metric"] in SCAN_METRICS and moved else None
            p_value, n = (test.p_value, test.n_subjects) if test else (math.nan, None)
            yield {**name_row(results, run, tuned=True), "set": set_name, **row, "p_value": p_value, "n_subjects": n}


def name_row(results: StudyResults, run: Run, *, tuned: bool) -> dict[str, Any]:
    """Return the columns ``loss seed tuned threshold`` of a row about one run at one kind of threshold."""
    chosen = results.tuned.get(run, math.nan)
    threshold = chosen if tuned or math.isnan(chosen) else DEFAULT_THRESHOLD
    return {"loss": run.loss, "seed": run.seed, "tuned": tuned, "threshold": threshold}


def scans_at(results: StudyResults, run: Run, set_name: SetName, *, tuned: bool) -> pd.DataFrame:
    """Return the evaluation of a run in one set, at its tuned threshold or at t = 0.5."""
    return results.evaluated(run, set_name, results.tuned.get(run) if tuned else DEFAULT_THRESHOLD)


def _scores(scans: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Summarise one run at one threshold: medians over scans with lesions, then shares of scans."""
    with_lesions = lesion_bearing(scans)
    table = summarize(with_lesions, ["set"], SCAN_METRICS).rename(columns={"median": "value"})
    for row in table.to_dict("records"):
        low, high = median_interval(with_lesions[row["metric"]], with_lesions["subject"])
        yield {**{str(name): value for name, value in row.items()}, "low": low, "high": high}
    for metric, hits in subject_hits(scans).items():
        count, n = int(hits.sum()), len(hits)
        low, high = share_interval(hits, np.ones(n), scans.loc[hits.index, "subject"])
        value = count / n if n else math.nan
        yield {"metric": metric, "value": value, "n": n, "count": count, "low": low, "high": high}


def _test(first: pd.DataFrame, second: pd.DataFrame, metric: str) -> PairedTest:
    return wilcoxon(first[metric], second[metric].reindex(first.index), first["subject"])


def _tested(summary: pd.DataFrame) -> str:
    """Describe how many subjects were tested; a metric that is undefined in some scans may have fewer."""
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


def _words(findings: Findings) -> Mapping[str, object]:
    return {"how": describe_pipeline(findings.results.config)}


SECTION = Section(
    key="results",
    title="Results by loss",
    summarize={"runs": summarize_runs},
    tables=(
        ReportTable("table1", lambda of: scores_table(of.results, of.frames["runs"], tuned=False)),
        ReportTable("table2", lambda of: scores_table(of.results, of.frames["runs"], tuned=True)),
    ),
    words=_words,
)
