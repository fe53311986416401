"""The numbers behind the tables: each run's scores by set and threshold, and how runs differ."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from cordlesion.config import SetName
from cordlesion.metrics.table import METRIC_LABELS, SUBJECT_LABELS
from cordlesion.statistics import PairedTest, holm, median_interval, share_interval, summarize, wilcoxon
from cordlesion.study_folder.results import (
    DEFAULT_THRESHOLD,
    REPORTED_SETS,
    Run,
    StudyResults,
    lesion_bearing,
    lesion_free,
)

SCAN_METRICS = tuple(METRIC_LABELS)
SUBJECT_METRICS = tuple(SUBJECT_LABELS)


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


def summarize_lesion_free(results: StudyResults) -> pd.DataFrame:
    """Count what each run finds in the test scans without lesions, at t = 0.5 and at its tuned threshold.

    Returns:
        A row per run and threshold (one of masks): ``loss seed tuned threshold n n_clean low high`` (scans without a
        predicted lesion, interval with subjects as units), and per scan ``lesions_mean lesions_max volume_mean
        volume_max`` of what is found.
    """
    rows = []
    for run in results.runs:
        # Masks are the same at every threshold.
        for tuned in (False, True) if run in results.tuned else (True,):
            scans = lesion_free(_at(results, run, "test", tuned=tuned))
            n_clean = int((scans["n_predicted_lesions"] == 0).sum())
            low, high = share_interval(scans["n_predicted_lesions"] == 0, np.ones(len(scans)), scans["subject"])
            rows.append(
                {
                    **_named(results, run, tuned=tuned),
                    "n": len(scans),
                    "n_clean": n_clean,
                    "low": low,
                    "high": high,
                    "lesions_mean": scans["n_predicted_lesions"].mean(),
                    "lesions_max": scans["n_predicted_lesions"].max(),
                    "volume_mean": scans["predicted_volume_mm3"].mean(),
                    "volume_max": scans["predicted_volume_mm3"].max(),
                }
            )
    return pd.DataFrame(rows).astype({"seed": "Int64"})


def _run_rows(results: StudyResults, run: Run) -> Iterator[dict[str, Any]]:
    for set_name in REPORTED_SETS:
        default, tuned = (_at(results, run, set_name, tuned=tuned) for tuned in (False, True))
        yield from ({**_named(results, run, tuned=False), "set": set_name, **row} for row in _scores(default))
        for row in _scores(tuned):
            # At equal thresholds there is nothing to test, nor where tuning found nothing.
            moved = run not in results.unlearned and not default["threshold"].equals(tuned["threshold"])
            test = _test(default, tuned, str(row["metric"])) if row["metric"] in SCAN_METRICS and moved else None
            p_value, n = (test.p_value, test.n_subjects) if test else (math.nan, None)
            yield {**_named(results, run, tuned=True), "set": set_name, **row, "p_value": p_value, "n_subjects": n}


def _named(results: StudyResults, run: Run, *, tuned: bool) -> dict[str, Any]:
    chosen = results.tuned.get(run, math.nan)
    threshold = chosen if tuned or math.isnan(chosen) else DEFAULT_THRESHOLD
    return {"loss": run.loss, "seed": run.seed, "tuned": tuned, "threshold": threshold}


def _at(results: StudyResults, run: Run, set_name: SetName, *, tuned: bool) -> pd.DataFrame:
    return results.evaluated(run, set_name, results.tuned.get(run) if tuned else DEFAULT_THRESHOLD)


def _scores(scans: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Summarise one run at one threshold: medians over scans with lesions, then shares of scans."""
    bearing = lesion_bearing(scans)
    table = summarize(bearing, ["set"], SCAN_METRICS).rename(columns={"median": "value"})
    for row in table.to_dict("records"):
        low, high = median_interval(bearing[row["metric"]], bearing["subject"])
        yield {**{str(name): value for name, value in row.items()}, "low": low, "high": high}
    for metric, hits in subject_hits(scans).items():
        count, n = int(hits.sum()), len(hits)
        low, high = share_interval(hits, np.ones(n), scans.loc[hits.index, "subject"])
        value = count / n if n else math.nan
        yield {"metric": metric, "value": value, "n": n, "count": count, "low": low, "high": high}


def subject_hits(scans: pd.DataFrame) -> dict[str, "pd.Series[bool]"]:
    """Return which scans P-sensitivity and P-specificity count, and whether each is a success, by metric.

    As :func:`cordlesion.metrics.subject.subject_scores` does: found is a lesion that is correctly detected.
    """
    bearing, free = scans[scans["n_reference_lesions"] > 0], lesion_free(scans)
    hits = (bearing["n_detected_lesions"] > 0, free["n_predicted_lesions"] == 0)
    return dict(zip(SUBJECT_METRICS, hits, strict=True))


def _test(first: pd.DataFrame, second: pd.DataFrame, metric: str) -> PairedTest:
    return wilcoxon(first[metric], second[metric].reindex(first.index), first["subject"])
