"""The numbers behind two questions about lesions: what depends on the rule, and which of them are found?"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cordlesion.metrics.froc import FALSE_LESIONS_PER_SCAN
from cordlesion.report.losses import mean_over_seeds
from cordlesion.statistics import MIN_SUBJECTS, median_interval, share_interval, summarize
from cordlesion.statistics.intervals import draw_counts, percentile_interval
from cordlesion.study_folder.results import StudyResults, rows_of_learned

FloatArray = npt.NDArray[np.float64]

_PARTS = {
    "sensitivity": ("n_detected_lesions", "n_reference_lesions"),
    "precision": ("n_true_predicted_lesions", "n_predicted_lesions"),
}
_COUNTS = ["n_detected_lesions", "n_reference_lesions", "n_predicted_lesions", "n_true_predicted_lesions"]
_RESAMPLES = 2000


def summarize_rules(results: StudyResults) -> pd.DataFrame:
    """Summarise the lesion F1 of every loss under every lesion rule, on the test set at tuned thresholds.

    Runs that learned nothing are left out: where any overlap counts, a mask of everything finds every lesion.

    Returns:
        A row per rule and loss: ``rule loss median mean std n n_undefined low high``; the interval is of the median,
        with subjects as units.
    """
    rows = []
    for rule, of_rule in rows_of_learned(results, results.rules).groupby("rule", sort=False):
        scans = mean_over_seeds(of_rule[of_rule["reference_volume_mm3"] > 0], ["lesion_f1"])
        for summary in summarize(scans, ["loss"], ["lesion_f1"]).to_dict("records"):
            mine = scans[scans["loss"] == summary["loss"]]
            low, high = median_interval(mine["lesion_f1"], mine["subject"])
            rows.append({"rule": rule, **summary, "low": low, "high": high})
    columns = ["rule", "loss", "median", "mean", "std", "n", "n_undefined", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def summarize_strata(results: StudyResults) -> pd.DataFrame:
    """Summarise which lesions each loss finds by size, pooled over the test scans and over seeds.

    Returns:
        A row per loss, stratum and part (``sensitivity`` of the reference's lesions of that size, ``precision`` of the
        predicted ones): ``loss stratum low_mm3 high_mm3 part count n value low high``; the interval takes subjects
        as units.
    """
    rows: list[dict[str, Any]] = []
    for (loss, stratum, low_mm3, high_mm3), scans in results.strata.groupby(
        ["loss", "stratum", "low_mm3", "high_mm3"], sort=False
    ):
        size = {"loss": loss, "stratum": stratum, "low_mm3": low_mm3, "high_mm3": high_mm3}
        rows += [{**size, **part} for part in _shares(scans)]
    return pd.DataFrame(rows)


def summarize_froc(results: StudyResults) -> pd.DataFrame:
    """Score the FROC curve of every loss on the test set, counts pooled over seeds.

    Returns:
        A row per loss: ``loss score low high n_scans``: the mean sensitivity at 1/8, 1/4 .. 8 false lesions per scan
        with its bootstrap interval over subjects.
    """
    rows = []
    for loss, scans in results.sweep[results.sweep["set"] == "test"].groupby("loss", sort=False):
        counts, n_scans = _by_subject(scans)
        drawn = draw_counts(len(n_scans), _RESAMPLES, np.random.default_rng(0))
        low, high = percentile_interval(_froc_scores(counts, n_scans, drawn), 0.95)
        (score,) = _froc_scores(counts, n_scans, np.ones((1, len(n_scans)), dtype=np.int64))
        enough = scans.loc[scans["n_reference_lesions"] > 0, "subject"].nunique() >= MIN_SUBJECTS
        ends = {"low": low, "high": high} if enough else {"low": math.nan, "high": math.nan}
        rows.append({"loss": loss, "score": score, **ends, "n_scans": scans["scan_id"].nunique()})
    return pd.DataFrame(rows)


def _shares(scans: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for part, (hit, tried) in _PARTS.items():
        count, n = int(scans[hit].sum()), int(scans[tried].sum())
        low, high = share_interval(scans[hit], scans[tried], scans["subject"])
        value = count / n if n else math.nan
        yield {"part": part, "count": count, "n": n, "value": value, "low": low, "high": high}


def _by_subject(scans: pd.DataFrame) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the lesion counts of each subject, shape (4, subjects, thresholds), and its rows per threshold."""
    sums = scans.groupby(["subject", "threshold"])[_COUNTS].sum()
    counts = np.stack([sums[name].unstack("threshold").to_numpy(dtype=np.float64) for name in _COUNTS])
    n_scans = scans.groupby("subject").size() / scans["threshold"].nunique()
    return counts, n_scans.to_numpy()


def _froc_scores(counts: npt.NDArray[Any], n_scans: npt.NDArray[Any], drawn: npt.NDArray[np.int64]) -> FloatArray:
    """Return the FROC score of each resample of subjects; NaN counts as 0 where no lesion was drawn."""
    detected, reference, predicted, true = (drawn @ one for one in counts)
    sensitivity = detected / np.maximum(reference, 1)
    false = (predicted - true) / (drawn @ n_scans)[:, None]
    best = [np.where(false <= rate, sensitivity, 0.0).max(axis=1) for rate in FALSE_LESIONS_PER_SCAN]
    scores: FloatArray = np.mean(best, axis=0)
    return scores
