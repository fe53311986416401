"""What every run finds in a scan and what it marks falsely, at its tuned threshold and at 0.5."""

import math
from typing import Any

import pandas as pd

from cordlesion.io.formats import MISSING, format_interval, format_number
from cordlesion.metrics.columns import LESION_COUNTS
from cordlesion.report.table import Cell, Group, Table
from cordlesion.statistics import rate_interval, share_interval
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, StudyResults
from cordlesion.study_folder.runs import Run, false_lesions, lesion_free, of_run

_COLUMNS = ("Loss", "Cut", "t", "Lesions found", "False positives per scan")
_FREE_COLUMNS = ("Lesion-free scans without a false positive", "False positives per lesion-free scan")


def summarize_operating_points(results: StudyResults) -> pd.DataFrame:
    """Count what each run finds in the test scans, at t = 0.5 and at its tuned threshold.

    Returns:
        A row per run and threshold (one of masks): ``loss seed tuned threshold n_scans``; ``n_lesions n_found found
        found_low found_high`` (lesions of all scans together, share found and its interval); ``false false_low
        false_high`` (false positives per scan, mean and approximate interval; scans without lesions count; subjects are
        the units of both intervals) and ``n_free n_clean false_free`` (scans without lesions, those of them with none
        predicted, false positives per such scan).
    """
    rows = [
        {"loss": run.loss, "seed": run.seed, "tuned": tuned, "threshold": threshold, **_counts(scans)}
        for run in results.runs
        for tuned, threshold in _thresholds(results, run)
        for scans in [results.evaluated(run, "test", None if math.isnan(threshold) else threshold)]
    ]
    return pd.DataFrame(rows).astype({"seed": "Int64"})


def operating_curve(results: StudyResults, run: Run) -> pd.DataFrame:
    """Return share of lesions found and false positives per scan at every threshold above 0, on the test set.

    Returns:
        A row per threshold, ascending: ``found false``; ``found`` is NaN where no lesion counts.
    """
    rows = results.rows("sweep", run, ["threshold", *LESION_COUNTS], set="test")
    rows = rows[rows["threshold"] > 0].assign(false=false_lesions(rows))
    sums = rows.groupby("threshold")[["n_detected_lesions", "n_reference_lesions"]].sum()
    found = sums["n_detected_lesions"] / sums["n_reference_lesions"]
    return pd.DataFrame({"found": found, "false": rows.groupby("threshold")["false"].mean()})


def operating_point_table(results: StudyResults, points: pd.DataFrame) -> Table:
    """Lay out lesions found and false positives per scan of every run, at its tuned threshold and at 0.5.

    Args:
        results: The study.
        points: From :func:`summarize_operating_points`.
    """
    has_free = bool((points["n_free"] > 0).any())
    rows = {
        run: tuple(_row(row, has_free=has_free) for _, row in of_run(points, run)[::-1].iterrows())
        for run in results.runs
    }
    return Table(
        columns=(*_COLUMNS, *(_FREE_COLUMNS if has_free else ())),
        groups=tuple(Group(results.label(run), mine) for run, mine in rows.items()),
        n_words=2,
        lead="Lesions of the test scans that each model finds, and what it marks that is no lesion.",
        note=(
            "Lesions found: share of the lesions of all scans together. False positives: mean over all scans, with and "
            "without lesions. 95 % intervals with subjects as units, that of false positives approximate."
        ),
    )


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


def _row(row: pd.Series, *, has_free: bool) -> tuple[Cell, ...]:
    given = math.isnan(row["threshold"])
    cut = "as given" if given else "tuned" if row["tuned"] else "usual"
    counted = f"({row['n_found']}/{row['n_lesions']})"
    found = Cell(format_number(row["found"]), counted, _interval(row["found_low"], row["found_high"]))
    false = Cell(format_number(row["false"]), interval=_interval(row["false_low"], row["false_high"]))
    free = (Cell(f"{row['n_clean']}/{row['n_free']}"), Cell(format_number(row["false_free"]))) if has_free else ()
    return (Cell(cut), Cell(MISSING if given else format_number(row["threshold"])), found, false, *free)


def _interval(low: float, high: float) -> str:
    return "" if math.isnan(low) else format_interval(low, high)
