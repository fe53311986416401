"""The numbers behind two answers: does tuning help each loss, and which loss suffers least when t is a little off?"""

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cordlesion.report.losses import mean_over_seeds, run_scores
from cordlesion.statistics import holm, median_interval, wilcoxon
from cordlesion.study_folder.results import Run, StudyResults, lesion_bearing, of_run

COMPARED = ("voxel_f1", "lesion_f1")
SHIFT = 0.05
"""By how much the paper moves a threshold (section 3)."""

_TUNING = (
    *("loss", "metric", "n", "default", "tuned", "difference", "low", "high", "effect", "p_value", "p_holm"),
    "n_subjects",
)
_STABILITY = (
    *("loss", "n", "change", "low", "high", "excess", "excess_low", "excess_high", "p_value", "p_all_pairs"),
    "n_subjects",
)


def summarize_tuning(results: StudyResults) -> pd.DataFrame:
    """Compare the tuned threshold of every loss that learned one with t = 0.5 on the test set, scan by scan.

    Returns:
        A row per loss and metric (voxel and lesion F1): ``loss metric n default tuned difference low high effect
        p_value p_holm n_subjects``: medians at both thresholds, the median of (tuned - default) with its interval, and
        Wilcoxon's test of ``n_subjects`` subjects, corrected over the losses of a metric.
    """
    scores = (run_scores(results, "test", tuned=tuned) for tuned in (False, True))
    with_maps = {run.loss for run in results.ranked}
    default, tuned = (
        mean_over_seeds(rows[rows["loss"].isin(with_maps)], COMPARED).set_index(["loss", "scan_id"]) for rows in scores
    )
    rows = [
        {"loss": loss, "metric": metric, **_change(scans[metric], tuned.loc[scans.index, metric], scans["subject"])}
        for metric in COMPARED
        for loss, scans in default.groupby("loss", sort=False)
    ]
    table = pd.DataFrame(rows, columns=[name for name in _TUNING if name != "p_holm"])
    table.insert(_TUNING.index("p_holm"), "p_holm", table.groupby("metric", sort=False)["p_value"].transform(holm))
    return table


def summarize_stability(results: StudyResults) -> pd.DataFrame:
    """Measure how much the score of each loss changes when its threshold is off by 0.05, on the test set.

    A scan's change is the mean of ``|F1(t - 0.05) - F1(t)|`` and ``|F1(t + 0.05) - F1(t)|``, t being the tuned
    threshold; where one of the two lies outside the grid, the other alone. t = 0 lies outside, as t > 1 does: there
    every voxel is lesion, whatever the map.

    Returns:
        A row per loss, the most stable first: ``loss n change low high`` (median over scans of the change and its
        interval), ``excess excess_low excess_high p_value`` (the same of the change less that of the most stable loss,
        and Wilcoxon's test of it; undefined for that loss itself), ``p_all_pairs``: that p-value after Holm's
        correction over all pairs of losses, and ``n_subjects``, the units of the test. The most stable loss is picked
        as the one with the smallest change, so only a correction over all the pairs that might have been picked is fair
        to it.
    """
    if not results.ranked:
        return pd.DataFrame(columns=list(_STABILITY))
    changes = pd.concat([_changes(results, run) for run in results.ranked], ignore_index=True)
    scans = mean_over_seeds(changes, ["change"])
    wide = scans.pivot(index=["subject", "scan_id"], columns="loss", values="change")
    wide = wide[wide.median().sort_values(kind="stable").index]
    subjects = wide.index.get_level_values("subject")
    pairs = list(itertools.combinations(wide.columns, 2))
    p_values = [wilcoxon(wide[a], wide[b], subjects).p_value for a, b in pairs]
    p_holm = dict(zip(pairs, holm(p_values).tolist(), strict=True))
    rows = [_stability(wide, str(loss), subjects) for loss in wide]
    first = wide.columns[0]
    table = pd.DataFrame([{**row, "p_all_pairs": p_holm.get((first, row["loss"]), math.nan)} for row in rows])
    return table[list(_STABILITY)].astype({"n_subjects": "Int64"})


def _change(default: pd.Series, tuned: pd.Series, subjects: pd.Series) -> dict[str, Any]:
    test = wilcoxon(default, tuned, subjects)
    low, high = median_interval(tuned - default, subjects)
    return {
        "n": test.n_pairs,
        "default": default.median(),
        "tuned": tuned.median(),
        "difference": test.median_difference,
        "low": low,
        "high": high,
        "effect": test.rank_biserial,
        # Where nothing was moved there is nothing to test.
        "p_value": test.p_value if test.n_nonzero else math.nan,
        "n_subjects": test.n_subjects,
    }


def _changes(results: StudyResults, run: Run) -> pd.DataFrame:
    rows = lesion_bearing(of_run(results.sweep, run, set="test"))
    parts = [
        _changes_around(rows if fold is None else rows[rows["fold"] == fold], t)
        for fold, t in results.chosen(run).items()
    ]
    return pd.concat(parts, ignore_index=True).assign(loss=run.loss)


def _changes_around(rows: pd.DataFrame, t: float) -> pd.DataFrame:
    rows = rows[rows["threshold"] > 0]
    wide = rows.pivot(index=["subject", "scan_id"], columns="threshold", values="voxel_f1")
    thresholds = wide.columns.to_numpy(dtype=float)
    moved = [_interpolate(wide.to_numpy(), thresholds, round(t + shift, 9)) for shift in (-SHIFT, SHIFT)]
    here = _interpolate(wide.to_numpy(), thresholds, t)
    change = np.nanmean([np.abs(there - here) for there in moved], axis=0)
    return wide.index.to_frame(index=False).assign(change=change)


def _interpolate(
    curves: npt.NDArray[np.float64], thresholds: npt.NDArray[np.float64], t: float
) -> npt.NDArray[np.float64]:
    """Read each row's curve at ``t``; NaN outside the thresholds."""
    return np.array([np.interp(t, thresholds, curve, left=np.nan, right=np.nan) for curve in curves])


def _stability(wide: pd.DataFrame, loss: str, subjects: pd.Index) -> dict[str, Any]:
    low, high = median_interval(wide[loss], subjects)
    row = {"loss": loss, "n": int(wide[loss].notna().sum()), "change": wide[loss].median(), "low": low, "high": high}
    if loss == wide.columns[0]:
        return {**row, **dict.fromkeys(("excess", "excess_low", "excess_high", "p_value", "n_subjects"), math.nan)}
    excess = wide[loss] - wide.iloc[:, 0]
    test = wilcoxon(wide.iloc[:, 0], wide[loss], subjects)
    excess_low, excess_high = median_interval(excess, subjects)
    return {
        **row,
        "excess": test.median_difference,
        "excess_low": excess_low,
        "excess_high": excess_high,
        "p_value": test.p_value,
        "n_subjects": test.n_subjects,
    }
