"""The numbers behind the recommendation: what each run finds in a scan, and what it marks falsely."""

import math
from typing import Any

import pandas as pd

from cordlesion.statistics import rate_interval, share_interval
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, Run, StudyResults, false_lesions, lesion_free, of_run


def summarize_operation(results: StudyResults) -> pd.DataFrame:
    """Count what each run finds in the test scans, at t = 0.5 and at its tuned threshold.

    Returns:
        A row per run and threshold (one of masks): ``loss seed tuned threshold n_scans``; ``n_lesions n_found found
        found_low found_high`` (lesions of all scans together, share found and its interval); ``false false_low
        false_high`` (false lesions per scan, mean and approximate interval; scans without lesions count; subjects are
        the units of both intervals) and ``n_free n_clean false_free`` (scans without lesions, those of them with none
        predicted, false lesions per such scan).
    """
    rows = [
        {"loss": run.loss, "seed": run.seed, "tuned": tuned, "threshold": threshold, **_counts(scans)}
        for run in results.runs
        for tuned, threshold in _thresholds(results, run)
        for scans in [results.evaluated(run, "test", None if math.isnan(threshold) else threshold)]
    ]
    return pd.DataFrame(rows).astype({"seed": "Int64"})


def operation_curve(results: StudyResults, run: Run) -> pd.DataFrame:
    """Return share of lesions found and false lesions per scan at every threshold above 0, on the test set.

    Returns:
        A row per threshold, ascending: ``found false``; ``found`` is NaN where no lesion counts.
    """
    rows = of_run(results.sweep, run, set="test")
    rows = rows[rows["threshold"] > 0].assign(false=false_lesions(rows))
    sums = rows.groupby("threshold")[["n_detected_lesions", "n_reference_lesions"]].sum()
    found = sums["n_detected_lesions"] / sums["n_reference_lesions"]
    return pd.DataFrame({"found": found, "false": rows.groupby("threshold")["false"].mean()})


def _thresholds(results: StudyResults, run: Run) -> list[tuple[bool, float]]:
    tuned = results.tuned.get(run)
    # Masks are the same at every threshold.
    return [(True, math.nan)] if tuned is None else [(False, DEFAULT_THRESHOLD), (True, tuned)]


def _counts(scans: pd.DataFrame) -> dict[str, Any]:
    false, free = false_lesions(scans), lesion_free(scans)
    found, lesions = scans["n_detected_lesions"], scans["n_reference_lesions"]
    found_low, found_high = share_interval(found, lesions, scans["subject"])
    false_low, false_high = rate_interval(false, scans["subject"])
    return {
        "n_scans": len(scans),
        "n_lesions": int(lesions.sum()),
        "n_found": int(found.sum()),
        "found": found.sum() / lesions.sum() if lesions.sum() else math.nan,
        "found_low": found_low,
        "found_high": found_high,
        "false": false.mean(),
        "false_low": false_low,
        "false_high": false_high,
        "n_free": len(free),
        "n_clean": int((free["n_predicted_lesions"] == 0).sum()),
        "false_free": false_lesions(free).mean() if len(free) else math.nan,
    }
