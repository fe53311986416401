"""How wide the interval of a tuned threshold is with more subjects in the threshold set."""

from collections.abc import Sequence

import numpy as np

from cordlesion.statistics import MIN_SUBJECTS
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import Run
from cordlesion.threshold.objective import Objective
from cordlesion.threshold.scans import ThresholdScans, arrange_scans

SIZES = (5, 10, 15, 20, 30, 40, 60, 80, 120)
"""Subjects of the threshold set for which widths are measured."""
_N_DRAWS = 300
_TAIL = 0.025
_DIGITS = 3


def widths_by_subjects(results: StudyResults, sizes: Sequence[int] = SIZES) -> dict[str, dict[int, float]]:
    """Measure the width of the 95 % bootstrap interval of t for other numbers of subjects, for each loss.

    As in the interval of the report, subjects of the threshold set are drawn with replacement and the threshold is
    chosen again; but as many are drawn as a study would have.

    Returns:
        For each loss the mean width over its seeds, by number of subjects; nothing for losses whose thresholds were
        chosen on fewer than five subjects, or in several folds, each by another network.
    """
    found: dict[str, list[dict[int, float]]] = {}
    if "fold" in results.written_thresholds:
        return {}
    for run in results.ranked:
        if run.seed is not None and (widths := _widths(results, run, sizes)):
            found.setdefault(run.loss, []).append(widths)
    return {
        loss: {n: round(float(np.mean([one[n] for one in widths])), _DIGITS) for n in sizes}
        for loss, widths in found.items()
    }


def _widths(results: StudyResults, run: Run, sizes: Sequence[int]) -> dict[int, float]:
    goal = results.goal
    scans = arrange_scans(results.rows("sweep", run, set="threshold"), goal)
    if int(scans.subjects.max()) + 1 < MIN_SUBJECTS:
        return {}
    rng = np.random.default_rng(0)
    return {n: draw_width(scans, goal, n, rng) for n in sizes}


def draw_width(scans: ThresholdScans, goal: Objective, n_subjects: int, rng: np.random.Generator) -> float:
    """Return the width of the 95 % bootstrap interval of t with other numbers of drawn subjects."""
    chosen = scans.resampled_thresholds(goal, _N_DRAWS, rng, n_subjects=n_subjects)
    low, high = np.quantile(chosen, [_TAIL, 1 - _TAIL], method="inverted_cdf")
    return float(high - low)
