"""The overlap to expect of the recommended model, summarised over test scans as the objective summarises it."""

from dataclasses import dataclass

import pandas as pd

from cordlesion.report.sections.recommendation.choice import score_on_test
from cordlesion.report.sections.scores import scans_at
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import of_run
from cordlesion.threshold.objective import ScanScore, mean_over_scans


@dataclass(frozen=True)
class Overlap:
    """Voxel F1 of the recommended model over the test scans with lesions, with its 95 % interval over subjects."""

    value: float
    low: float
    """NaN with too few subjects, as the upper end is."""
    high: float
    n_scans: int
    summary: str
    """``mean`` or ``median``."""


def find_overlap(results: StudyResults, runs: pd.DataFrame, *, tuned: bool) -> Overlap:
    """Summarise the overlap of the recommended model: by the mean where the threshold was chosen by a mean overlap.

    A threshold with the highest mean need not have the highest median, so a median beside it may seem to contradict the
    choice.

    Args:
        results: The study.
        runs: From :func:`cordlesion.report.sections.scores.summarize_runs`.
        tuned: At the chosen threshold, or at 0.5.
    """
    row = of_run(runs, results.best, set="test", metric="voxel_f1", tuned=tuned).iloc[0]
    n_scans = int(row["n"])
    if not (_is_mean_overlap(results) and n_scans):
        return Overlap(float(row["value"]), float(row["low"]), float(row["high"]), n_scans, "median")
    score, (low, high) = score_on_test(results, scans_at(results, results.best, "test", tuned=tuned))
    return Overlap(score, low, high, n_scans, "mean")


def _is_mean_overlap(results: StudyResults) -> bool:
    goal = results.goal
    return isinstance(goal, ScanScore) and goal.column == "voxel_f1" and goal.over_scans is mean_over_scans
