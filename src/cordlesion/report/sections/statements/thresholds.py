"""How far tuned thresholds are from 0.5, over the subjects of the threshold set and over seeds."""

from collections.abc import Mapping, Sequence

import numpy as np

from cordlesion.io.arrays import FloatArray
from cordlesion.statistics import CrossedTest, SeedNoise, crossed_from_variances, pool_seed_noise
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, StudyResults
from cordlesion.study_folder.runs import Run
from cordlesion.threshold.scans import arrange_scans

_N_DRAWS = 300


def resampled_thresholds(results: StudyResults, runs: Sequence[Run]) -> FloatArray:
    """Choose the thresholds of runs again on drawn subjects of the threshold set, the same for all runs.

    Returns:
        Shape (runs, draws).
    """
    goal = results.goal
    chosen = []
    for run in runs:
        scans = arrange_scans(results.rows("sweep", run, set="threshold"), goal)
        chosen.append(scans.resampled_thresholds(goal, _N_DRAWS, np.random.default_rng(0)))
    return np.array(chosen)


def compare_with_half(
    tuned: Mapping[str, FloatArray], drawn: Mapping[str, FloatArray], weights: Mapping[str, float], n_subjects: int
) -> tuple[CrossedTest, dict[str, SeedNoise]]:
    """Test whether a weighted mean of tuned thresholds differs from 0.5.

    As the crossed test of scores: the variance between subjects is that of the weighted mean over draws, the residual
    part that of single trainings around the mean of their loss.

    Args:
        tuned: The thresholds of each loss whose seed noise is pooled, shape (seeds,).
        drawn: The same for drawn subjects, shape (seeds, draws).
        weights: Of the losses that are tested; their sum is 1.
        n_subjects: Subjects of the threshold set.

    Returns:
        The test, and the seed noise of all losses; none if a loss that is tested has one seed.
    """
    inflation = n_subjects / (n_subjects - 1)
    several = [loss for loss, one in tuned.items() if len(one) > 1]
    own = [np.asarray(tuned[loss].var(ddof=1)) for loss in several]
    rest = [np.asarray(inflation * _residual(drawn[loss])) for loss in several]
    pooled = pool_seed_noise(own, rest, [len(tuned[loss]) for loss in several]) if several else []
    noise = dict(zip(several, pooled, strict=True))
    known = noise if all(loss in noise for loss in weights) else {}
    mean = sum(weight * drawn[loss].mean(axis=0) for loss, weight in weights.items())
    difference = sum(weight * float(tuned[loss].mean()) for loss, weight in weights.items()) - DEFAULT_THRESHOLD
    test = crossed_from_variances(
        np.asarray(difference),
        np.asarray(inflation * np.var(mean)),
        n_subjects,
        [known[loss].weighted(weight) for loss, weight in weights.items() if known],
    )
    return test, known


def _residual(drawn: FloatArray) -> float:
    """Return the variance over draws of single trainings around their mean."""
    around = drawn - drawn.mean(axis=0)
    return float(around.var(axis=1).sum() / (len(drawn) - 1))
