"""Does another threshold rule make better masks of the same maps? Further rules against the one threshold."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from cordlesion.io.formats import (
    MISSING,
    format_interval,
    format_number,
    format_p,
    plural,
    printed_difference,
    with_interval,
)
from cordlesion.pictures.style import loss_name
from cordlesion.report.losses import several_seeds
from cordlesion.report.section import Findings, ReportTable, Section
from cordlesion.report.summary_tables import FURTHER_RULES
from cordlesion.report.table import SEEDS_AVERAGED, SIGNIFICANT, Cell, Group, Table
from cordlesion.report.words import enumerate_words
from cordlesion.statistics import change_of_shares, crossed_test, holm, wilcoxon
from cordlesion.study_folder.manifest import rules_before
from cordlesion.study_folder.results import StudyResults, learned_runs
from cordlesion.study_folder.runs import Run, false_lesions, of_run

METRICS = {
    "lesion_f1": "L-F1",
    "voxel_f1": "V-F1",
    "false_lesions": "False positives",
    "specificity": "P-specificity",
}
"""What rules are compared by, as printed."""
SHARE = "specificity"
"""A share of scans; the others are means over subjects."""


def summarize_threshold_rules(results: StudyResults) -> pd.DataFrame:
    """Compare the masks of further threshold rules with those of the one threshold, on the test set, scan by scan.

    A model takes part where it learned something by both rules. Where a loss has several seeds, a scan's value is their
    mean.

    Returns:
        A row per loss, rule and metric of :data:`METRICS`: ``loss threshold_rule metric n n_subjects reference value``
        (means over subjects, or the share of the scans, of the one threshold and of the rule), ``difference low high``
        (with a 95 % interval, subjects are its units), ``p_value`` (Wilcoxon's test of the subjects' mean differences)
        and ``p_holm``, corrected over the losses and rules of a metric. No row where the study tunes no further rule.
    """
    rows = [
        {"loss": loss, "threshold_rule": rule, "metric": metric, **_compare(both, metric)}
        for (loss, rule), runs in _by_loss(results).items()
        for metric, both in _values(pd.concat([_paired(results, run, rule) for run in runs]))
    ]
    if not rows:
        return pd.DataFrame(columns=list(FURTHER_RULES.names))
    table = pd.DataFrame(rows)
    corrected = table.groupby("metric", sort=False)["p_value"].transform(holm)
    return table.assign(p_holm=corrected)[list(FURTHER_RULES.names)]


def threshold_rules_table(results: StudyResults, summary: pd.DataFrame) -> Table:
    """Lay out the comparison, from :func:`summarize_threshold_rules`; no rows where there is none."""
    differences = [name for title in METRICS.values() for name in (title, "Difference")]
    return Table(
        columns=("Loss", "Rule", "Scans", *differences, "p (L-F1)", "p (Holm)", "Subjects"),
        groups=tuple(
            Group(loss_name(str(loss)), tuple(_rows(mine))) for loss, mine in summary.groupby("loss", sort=False)
        ),
        n_words=2,
        lead="Masks of the same maps by other threshold rules, test set, against those of the one threshold (global).",
        note=(
            "Means over subjects: L-F1 and V-F1 of scans with lesions, false positives per scan of all. P-specificity: "
            "share of lesion-free scans in which nothing is marked. Difference: from the one threshold, scan by scan, "
            "with a 95 % interval over subjects for these trainings (Student; P-specificity: Agresti and Min). p: "
            "Wilcoxon signed-rank test of the subjects’ mean differences in L-F1, Holm’s correction over all rows. All "
            f"rules are chosen on the threshold set by the same objective: {results.objective}."
            f"{SEEDS_AVERAGED if several_seeds(results) else ''}"
        ),
        bold=f"p ≤ {SIGNIFICANT:g} after Holm’s correction over the rows of this metric",
    )


def threshold_rules_remark(results: StudyResults, summary: pd.DataFrame) -> str:
    """Say which rule helps, and whether that is more than chance."""
    sentences = [_sentence(str(rule), mine) for rule, mine in summary.groupby("threshold_rule", sort=False)]
    declared = rules_before(results.manifest)
    if late := [str(rule) for rule in summary["threshold_rule"].unique() if rule not in declared]:
        sentences.append(f"Named after the test set was opened: {enumerate_words(late)}.")
    return " ".join(sentences)


def better_rule(results: StudyResults, summary: pd.DataFrame) -> pd.Series | None:
    """Return the row of the rule that raises the lesion F1 of the recommended loss most, by more than chance.

    None where there is no such rule, or where its voxel F1 is lower by more than chance.
    """
    mine = summary[summary["loss"] == results.best.loss]
    lower = mine[(mine["metric"] == "voxel_f1") & (mine["difference"] < 0) & (mine["p_holm"] <= SIGNIFICANT)]
    raised = mine[(mine["metric"] == "lesion_f1") & (mine["difference"] > 0) & (mine["p_holm"] <= SIGNIFICANT)]
    raised = raised[~raised["threshold_rule"].isin(lower["threshold_rule"])]
    return None if raised.empty else raised.iloc[int(raised["difference"].to_numpy(float).argmax())]


def advise_rule(results: StudyResults, summary: pd.DataFrame) -> str:
    """Say in one line that a further rule of the recommended model does better; empty where none does."""
    row = better_rule(results, summary)
    if row is None:
        return ""
    rule, change = row["threshold_rule"], with_interval(row["difference"], row["low"], row["high"], signed=True)
    return (
        f"With the threshold rule {rule} the same maps have a mean lesion F1 of {format_number(row['value'])} instead "
        f"of {format_number(row['reference'])} on the test set ({change}), and their voxel F1 is not lower by more "
        f"than chance. It is used by segment --threshold-rule {rule}."
    )


def _by_loss(results: StudyResults) -> dict[tuple[str, str], list[Run]]:
    """Return the runs that learned something by the one threshold and by a rule, of each loss and rule."""
    chosen = results.rule_choices
    learned = chosen[chosen["learned"].astype(bool)] if len(chosen) else chosen
    found: dict[tuple[str, str], list[Run]] = {}
    for run in (one for one in learned_runs(results) if one in results.tuned):
        for rule in of_run(learned, run)["threshold_rule"].unique():
            found.setdefault((run.loss, str(rule)), []).append(run)
    return found


def _paired(results: StudyResults, run: Run, rule: str) -> pd.DataFrame:
    """Return a row per test scan with each metric by the one threshold (``global_...``) and by the rule."""
    one = results.evaluated(run, "test", results.tuned[run]).reset_index()
    other = of_run(results.threshold_rules, run, threshold_rule=rule, set="test")
    first, second = (_metrics(rows).set_index(["scan_id", "subject"]) for rows in (one, other))
    return second.join(first.add_prefix("global_"), how="inner").reset_index().assign(seed=run.seed)


def _metrics(rows: pd.DataFrame) -> pd.DataFrame:
    free = rows["reference_volume_mm3"] == 0
    clean = (rows["n_predicted_lesions"] == 0).astype(float)
    values = {"false_lesions": false_lesions(rows).astype(float), "specificity": clean.where(free)}
    return rows[["scan_id", "subject", "lesion_f1", "voxel_f1"]].assign(**values)


def _values(scans: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each metric with a row per scan for which both values are defined; none where there are no such scans."""
    for metric in METRICS:
        pair = scans[["scan_id", "subject"]].assign(first=scans[f"global_{metric}"], second=scans[metric]).dropna()
        if len(pair):
            yield metric, pair.groupby(["scan_id", "subject"], sort=False)[["first", "second"]].mean().reset_index()


def _compare(scans: pd.DataFrame, metric: str) -> dict[str, Any]:
    """Compare a metric by the rule, ``second``, with that by the one threshold, ``first``."""
    first, second, subjects = scans["first"], scans["second"], scans["subject"]
    by_subject = scans.groupby("subject")[["first", "second"]].mean()
    is_share = metric == SHARE
    # The mean and the interval have to be of the same: a share of all scans, or a mean over subjects.
    reference, value = (scans[["first", "second"]] if is_share else by_subject).mean()
    low, high = change_of_shares(second - first, subjects) if is_share else _interval(by_subject)
    test = wilcoxon(first, second, subjects)
    return {
        "n": len(scans),
        "n_subjects": test.n_subjects,
        "reference": reference,
        "value": value,
        "difference": value - reference,
        "low": low,
        "high": high,
        "p_value": test.p_value,
    }


def _interval(by_subject: pd.DataFrame) -> tuple[float, float]:
    """Return Student's interval of the mean difference over subjects."""
    first, second = by_subject.to_numpy(float).T
    if len(first) < 2:
        return np.nan, np.nan
    low, high = crossed_test(first[None], second[None]).interval
    return float(low), float(high)


def _rows(mine: pd.DataFrame) -> Iterator[tuple[Cell, ...]]:
    """Yield the row of the one threshold, then one per rule."""
    for number, (rule, rows) in enumerate(mine.groupby("threshold_rule", sort=False)):
        by_metric = {str(row["metric"]): row for _, row in rows.iterrows()}
        n_scans = Cell(str(by_metric["false_lesions"]["n"]))
        if not number:
            values = [
                cell for metric in METRICS for cell in (_value(by_metric.get(metric), "reference"), Cell(MISSING))
            ]
            yield (Cell("global"), n_scans, *values, Cell(MISSING), Cell(MISSING), Cell(MISSING))
        values = [cell for metric in METRICS for cell in _cells(by_metric.get(metric))]
        lesion = by_metric.get("lesion_f1")
        p, corrected = (np.nan, np.nan) if lesion is None else (lesion["p_value"], lesion["p_holm"])
        n_subjects = MISSING if lesion is None else str(lesion["n_subjects"])
        yield (Cell(str(rule)), n_scans, *values, Cell(format_p(p)), Cell(format_p(corrected)), Cell(n_subjects))


def _cells(row: pd.Series | None) -> tuple[Cell, Cell]:
    if row is None:
        return Cell(MISSING), Cell(MISSING)
    difference = format_number(printed_difference(row["reference"], row["value"]), signed=True)
    interval = "" if np.isnan(row["low"]) else format_interval(row["low"], row["high"], signed=True)
    return _value(row, "value"), Cell(difference, interval=interval, bold=bool(row["p_holm"] <= SIGNIFICANT))


def _value(row: pd.Series | None, name: str) -> Cell:
    return Cell(MISSING if row is None else format_number(row[name]))


def _sentence(rule: str, mine: pd.DataFrame) -> str:
    lesions = mine[mine["metric"] == "lesion_f1"]
    if lesions.empty:
        return ""
    largest = lesions.iloc[int(np.abs(lesions["difference"].to_numpy(float)).argmax())]
    change = with_interval(largest["difference"], largest["low"], largest["high"], signed=True)
    name = f"{loss_name(str(largest['loss']))}, " if len(lesions) > 1 else ""
    voxels = _differs(mine[mine["metric"] == "voxel_f1"])
    return (
        f"By the rule {rule}, lesion F1 {_differs(lesions)} by more than chance, and voxel F1 {voxels}; "
        f"{'largest ' if len(lesions) > 1 else ''}difference in lesion F1: {name}{change}."
    )


def _differs(rows: pd.DataFrame) -> str:
    """Say for how many methods a score is higher or lower by more than chance."""
    sure = rows[rows["p_holm"] <= SIGNIFICANT]
    counts = {"higher": int((sure["difference"] > 0).sum()), "lower": int((sure["difference"] < 0).sum())}
    words = [f"{word} for {count}" for word, count in counts.items() if count]
    return f"is {enumerate_words(words)} of {plural(len(rows), 'method')}" if words else "differs for no method"


def _words(findings: Findings) -> Mapping[str, object]:
    summary = findings.frames["threshold_rules"]
    return {"remark": threshold_rules_remark(findings.results, summary)}


SECTION = Section(
    key="threshold_rules",
    title="Threshold rules",
    summarize={"threshold_rules": summarize_threshold_rules},
    tables=(
        ReportTable(
            "threshold_rules",
            lambda of: threshold_rules_table(of.results, of.frames["threshold_rules"]),
            title="Threshold rules",
        ),
    ),
    words=_words,
    is_shown=lambda tables: bool(tables["threshold_rules"].groups),
)
