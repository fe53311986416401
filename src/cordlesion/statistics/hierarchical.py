"""The hierarchical bootstrap of a difference between two losses: subjects, and seeds within a loss."""

import numpy as np
import numpy.typing as npt
from scipy import stats

from cordlesion.statistics.intervals import FloatArray, draw_counts, weighted_medians

# For which the spread between seeds is widened; other levels are close to it.
_CONFIDENCE = 0.95


def bootstrap_difference(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    subjects: npt.ArrayLike,
    *,
    resample_seeds: tuple[bool, bool] = (True, True),
    n_resamples: int = 10_000,
    seed: int = 0,
) -> FloatArray:
    """Resample the median over scans of ``second - first``, each the mean over its seeds.

    Subjects are drawn with all their scans. Of n seeds n - 1 are drawn, which makes the variance of the mean unbiased
    (Rao & Wu 1988; drawing n would give (n - 1) / n of it), and deviations from the mean over seeds are widened by
    Student's t over the normal quantile, because two or three seeds hardly tell their own variance.

    Args:
        first: Scores, shape (seeds, scans), without NaN.
        second: The same scans, (other seeds, scans).
        subjects: The subject of each scan.
        resample_seeds: For which of the two seeds are drawn; it needs at least two of them.
        n_resamples: Bootstrap samples.
        seed: Of the bootstrap, which draws subjects, then the seeds of the first, then those of the second.

    Returns:
        Differences, shape (n_resamples,).
    """
    rng = np.random.default_rng(seed)
    _, owner = np.unique(np.asarray(subjects), return_inverse=True)
    counts = draw_counts(int(owner.max()) + 1, n_resamples, rng)[:, owner]
    scores = [np.asarray(one, dtype=np.float64) for one in (first, second)]
    freedom = sum(len(one) - 1 for one, drawn in zip(scores, resample_seeds, strict=True) if drawn)
    means = []
    for one, drawn in zip(scores, resample_seeds, strict=True):
        weights = _seed_weights(len(one), freedom, n_resamples, rng) if drawn else np.full((1, len(one)), 1 / len(one))
        means.append(weights @ one)
    return weighted_medians(np.broadcast_to(means[1] - means[0], counts.shape), counts)


def _seed_weights(n_seeds: int, freedom: int, n_resamples: int, rng: np.random.Generator) -> FloatArray:
    """Return the weight of each seed in each resample, shape (n_resamples, n_seeds); rows sum to 1."""
    drawn = draw_counts(n_seeds, n_resamples, rng, n_seeds - 1) / (n_seeds - 1)
    tail = (1 + _CONFIDENCE) / 2
    widening = float(stats.t.ppf(tail, freedom) / stats.norm.ppf(tail))
    weights: FloatArray = 1 / n_seeds + widening * (drawn - 1 / n_seeds)
    return weights
