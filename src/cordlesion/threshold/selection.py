"""The choice among methods on the threshold set, and how optimistic the score of the chosen one is.

The highest of many scores is too high: the threshold, the loss and the seed were all picked by it. So the whole choice
is repeated on bootstrap samples of subjects, and what it picks is scored on the subjects that are not in the sample
(Tsamardinos, Greasidou & Borboudakis 2018, "Bootstrapping the out-of-sample predictions for efficient and accurate
cross-validation"; out-of-bag as in Efron & Tibshirani 1997, "Improvements on cross-validation: the .632+ method").
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cordlesion.io.arrays import FloatArray, IndexArray
from cordlesion.statistics import MIN_SUBJECTS
from cordlesion.threshold.grid import Grid
from cordlesion.threshold.objective import Objective
from cordlesion.threshold.scans import ThresholdScans

N_RESAMPLES = 1000
_CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class SelectedScore:
    """The score of the chosen run on the threshold set, and what it is without the advantage of being chosen."""

    apparent: float
    """The objective of the chosen run at its threshold."""
    corrected: float
    """Mean score of what the same choice picks, on subjects it has not seen; at most the apparent score."""
    low: float
    """95 % interval of the corrected score."""
    high: float
    chosen: FloatArray
    """Share of the bootstrap samples in which each run is picked, shape (runs,)."""

    @property
    def optimism(self) -> float:
        """How much of the apparent score is due to the choice."""
        return self.apparent - self.corrected


def weigh_runs(scores: FloatArray, losses: IndexArray) -> FloatArray:
    """Return the scores by which runs compete: the middle between a run's own and the mean of its loss.

    So a loss competes by the middle between the mean and the best of its seeds. The mean of the seeds alone finds the
    better loss, the best run alone the better network; the middle keeps most of both (benchmarks/regret.py). A method
    without seeds competes by its own score.

    Args:
        scores: Of each run, shape (..., runs).
        losses: The number of each run's loss, shape (runs,).

    Examples:
        >>> import numpy as np
        >>> weigh_runs(np.array([0.5, 0.25, 0.45]), np.array([0, 0, 1])).tolist()
        [0.4375, 0.3125, 0.45]
    """
    belongs = (losses[:, None] == np.arange(losses.max() + 1)).astype(np.float64)
    means = scores @ (belongs / belongs.sum(axis=0))
    weighed: FloatArray = (scores + means[..., losses]) / 2
    return weighed


def correct_selection(
    runs: Sequence[ThresholdScans],
    losses: IndexArray,
    goal: Objective,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> SelectedScore | None:
    """Estimate what the score of the best run would be on other subjects.

    Args:
        runs: The same scans as each run scores them.
        losses: The number of each run's loss, shape (runs,).
        goal: What the thresholds maximise.
        n_resamples: Bootstrap samples of subjects.
        seed: Of the bootstrap.

    Returns:
        The score; None with fewer than five subjects, or if no subject of a needed kind is ever left out.
    """
    scans = runs[0]
    n_subjects = int(scans.subjects.max()) + 1
    if n_subjects < MIN_SUBJECTS:
        return None
    drawn = scans.draw_subjects(n_resamples, np.random.default_rng(seed))
    run, cell = _pick((goal.summarize(one.measures)[None] for one in runs), losses, scans.grid, goal.tolerance)
    # The curves of one run at a time: those of all would be the largest array of a report.
    picked, cells = _pick((one.curves_of(goal, drawn) for one in runs), losses, scans.grid, goal.tolerance)
    unseen = np.full(n_resamples, np.nan)
    for place in np.unique(picked):
        mine = picked == place
        unseen[mine] = runs[place].scores_left_out(goal, drawn[mine], cells[mine])
    if np.isnan(unseen).all():
        return None
    chosen = runs[run[0]]
    apparent = float(goal.summarize(chosen.measures)[cell[0]])
    corrected = min(float(np.nanmean(unseen)), apparent)
    half = _half_width(chosen.curves_of(goal, drawn)[:, cell[0]], n_subjects)
    shares = np.bincount(picked, minlength=len(runs)) / n_resamples
    return SelectedScore(apparent, corrected, *_around(corrected, half), shares)


def score_interval(
    scans: ThresholdScans, goal: Objective, *, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> tuple[float, tuple[float, float]]:
    """Return the objective of scans at the first cell of their grid, with its 95 % interval over subjects.

    The interval is Student's, with the standard error of a bootstrap over subjects; NaN with fewer than five subjects.
    """
    score = float(goal.summarize(scans.measures)[0])
    n_subjects = int(scans.subjects.max()) + 1
    if n_subjects < MIN_SUBJECTS:
        return score, (np.nan, np.nan)
    half = _half_width(scans.resampled_curves(goal, n_resamples, np.random.default_rng(seed))[:, 0], n_subjects)
    return score, _around(score, half)


def _around(score: float, half: float) -> tuple[float, float]:
    """Return an interval of a score, which is between 0 and 1."""
    return max(score - half, 0.0), min(score + half, 1.0)


def _half_width(resampled: FloatArray, n_subjects: int) -> float:
    # The variance of a bootstrap is (n - 1) / n of the unbiased one.
    error = resampled.std(ddof=1) * np.sqrt(n_subjects / (n_subjects - 1))
    return float(stats.t.isf((1 - _CONFIDENCE) / 2, n_subjects - 1) * error)


def _pick(
    curves: Iterable[FloatArray], losses: IndexArray, grid: Grid, tolerance: float
) -> tuple[IndexArray, IndexArray]:
    """Choose the cell of each run, then the run: curves of shape (samples, cells) -> runs and cells (samples,)."""
    cells, scores = [], []
    for one in curves:
        cells.append(best := grid.best_cells(one, tolerance))
        scores.append(np.take_along_axis(one, best[:, None], axis=-1)[:, 0])
    run = weigh_runs(np.stack(scores).T, losses).argmax(axis=1)
    return run, np.stack(cells)[run, np.arange(len(run))]
