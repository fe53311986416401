"""Which loss finds most lesions where false positives are limited to one per scan, on the test set."""

import math
from typing import Any

import numpy as np
import pandas as pd

from cordlesion.io.arrays import FloatArray, IntArray
from cordlesion.io.formats import format_percent
from cordlesion.pictures.style import loss_name
from cordlesion.report.sections.lesions import counts_by_subject, summed_over_seeds
from cordlesion.report.summary_tables import BUDGET
from cordlesion.statistics import MIN_SUBJECTS
from cordlesion.statistics.intervals import draw_counts, percentile_interval
from cordlesion.study_folder.results import StudyResults, learned_methods

FALSE_PER_SCAN = 1.0
_RESAMPLES = 2000


def summarize_budget(results: StudyResults) -> pd.DataFrame:
    """Find the operating point of every loss with at most one false positive per scan, from its FROC curve.

    Returns:
        A row per loss that learned and has maps: ``loss threshold found low high false``: of the thresholds above 0
        with at most one false positive per test scan that with the highest share of lesions found (of equals the
        highest threshold; undefined where none finds a lesion), counts pooled over seeds; and ``lead lead_low
        lead_high``: how much more that is than for the recommended loss. Intervals are bootstrap intervals over
        subjects, in each sample of which the threshold is chosen again.
    """
    shares: dict[str, FloatArray] = {}
    rows: list[dict[str, Any]] = []
    for loss in results.losses_in("sweep"):
        if loss not in learned_methods(results):
            continue
        scans = summed_over_seeds(results, loss)
        scans = scans[scans["threshold"] > 0]
        counts, n_scans = counts_by_subject(scans)
        found, false = _curves(counts, n_scans, np.ones((1, len(n_scans)), dtype=np.int64))
        drawn = draw_counts(len(n_scans), _RESAMPLES, np.random.default_rng(0))
        shares[loss] = _within_budget(*_curves(counts, n_scans, drawn))
        enough = scans.loc[scans["n_reference_lesions"] > 0, "subject"].nunique() >= MIN_SUBJECTS
        low, high = percentile_interval(shares[loss], 0.95) if enough else (math.nan, math.nan)
        rows.append({"loss": loss, **_best_point(scans, found[0], false[0]), "low": low, "high": high})
    return pd.DataFrame([{**row, **_lead(results, row, rows, shares)} for row in rows], columns=list(BUDGET.names))


def describe_budget(results: StudyResults, budget: pd.DataFrame, figure: str) -> str:
    """State which loss leads at one false positive per scan, and what the recommended one finds there.

    Args:
        results: The study.
        budget: From :func:`summarize_budget`.
        figure: How the figure of the curves is referred to.
    """
    at_one = "At one false positive per scan"
    if not budget["found"].max() > 0:
        return f"{at_one} no model finds a lesion ({figure})."
    ordered = budget.sort_values("found", ascending=False, kind="stable")
    mine = budget["loss"] == results.best.loss
    first = budget[mine].iloc[0] if mine.any() and _is_first(budget[mine].iloc[0], budget) else ordered.iloc[0]
    others = ordered[ordered["loss"] != first["loss"]]
    finds = f"it finds {_share(first, ' of the lesions')}"
    if first["loss"] == results.best.loss:
        then = f"; {loss_name(str(others.iloc[0]['loss']))}, the next, {_share(others.iloc[0])}" if len(others) else ""
        lead = f"{loss_name(results.best.loss)} leads as well: " if len(others) else ""
        return f"{at_one} {lead}{finds}{then} ({figure})."
    theirs = f", {loss_name(results.best.loss)} {_share(budget[mine].iloc[0])}" if mine.any() else ""
    chance = "" if first["lead_low"] > 0 or not theirs else "; the difference may be chance"
    return f"{at_one} {loss_name(str(first['loss']))} leads: {finds}{theirs}{chance} ({figure})."


def _is_first(row: "pd.Series[float]", budget: pd.DataFrame) -> bool:
    return bool(row["found"] == budget["found"].max())


def _share(row: "pd.Series[float]", of: str = "") -> str:
    return f"{format_percent(row['found'])}{of} at t = {row['threshold']:.2f}" if row["found"] else "none"


def _curves(counts: FloatArray, n_scans: FloatArray, drawn: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return share of lesions found and false positives per scan at every threshold, for each sample of subjects."""
    reference, detected, predicted, true = (drawn @ one for one in counts)
    return detected / np.maximum(reference, 1), (predicted - true) / (drawn @ n_scans)[:, None]


def _within_budget(found: FloatArray, false: FloatArray) -> FloatArray:
    best: FloatArray = np.where(false <= FALSE_PER_SCAN, found, 0.0).max(axis=1)
    return best


def _best_point(scans: pd.DataFrame, found: FloatArray, false: FloatArray) -> dict[str, float]:
    allowed = np.where(false <= FALSE_PER_SCAN, found, 0.0)
    if not allowed.max() > 0:
        return {"threshold": math.nan, "found": 0.0, "false": math.nan}
    here = int(np.flatnonzero(allowed == allowed.max())[-1])
    thresholds = np.sort(scans["threshold"].unique())
    return {"threshold": float(thresholds[here]), "found": float(allowed[here]), "false": float(false[here])}


def _lead(
    results: StudyResults, row: dict[str, Any], rows: list[dict[str, Any]], shares: dict[str, FloatArray]
) -> dict[str, float]:
    mine = next((other["found"] for other in rows if other["loss"] == results.best.loss), math.nan)
    if row["loss"] == results.best.loss or math.isnan(mine):
        return {"lead": math.nan, "lead_low": math.nan, "lead_high": math.nan}
    known = not math.isnan(row["low"])
    low, high = percentile_interval(shares[row["loss"]] - shares[results.best.loss], 0.95) if known else (math.nan,) * 2
    return {"lead": row["found"] - mine, "lead_low": low, "lead_high": high}
