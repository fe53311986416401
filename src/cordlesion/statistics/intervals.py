"""Intervals: of a median or a pooled share over subjects (bootstrap), and of a share (exact)."""

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

FloatArray: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]

MIN_SUBJECTS = 5
"""With fewer subjects there is no bootstrap interval: it cannot see beyond the few values there are."""


def bootstrap_median(
    values: npt.ArrayLike,
    subjects: npt.ArrayLike,
    *,
    confidence: float = 0.95,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a median, resampling subjects with all their scans.

    Args:
        values: One value per scan, shape (N,); NaN is left out.
        subjects: The subject of each scan.
        confidence: Of the interval.
        n_resamples: Bootstrap samples.
        seed: Of the bootstrap.

    Returns:
        Lower and upper end; NaN where fewer than :data:`MIN_SUBJECTS` subjects have a value.
    """
    x = np.asarray(values, dtype=np.float64)
    defined = ~np.isnan(x)
    names, owner = np.unique(np.asarray(subjects)[defined], return_inverse=True)
    if len(names) < MIN_SUBJECTS:
        return math.nan, math.nan
    drawn = draw_counts(len(names), n_resamples, np.random.default_rng(seed))
    counts = drawn[:, owner]
    return percentile_interval(weighted_medians(np.broadcast_to(x[defined], counts.shape), counts), confidence)


def bootstrap_share(
    successes: npt.ArrayLike,
    trials: npt.ArrayLike,
    subjects: npt.ArrayLike,
    *,
    confidence: float = 0.95,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a share pooled over scans, resampling subjects with all their scans.

    Where there are only successes or only failures, all samples agree, and the exact interval of the pooled share is
    returned instead.

    Args:
        successes: How many in each scan, shape (N,).
        trials: Out of how many, shape (N,); may be 0.
        subjects: The subject of each scan.
        confidence: Of the interval.
        n_resamples: Bootstrap samples; those without any trial are left out.
        seed: Of the bootstrap.

    Returns:
        Lower and upper end; NaN where fewer than :data:`MIN_SUBJECTS` subjects have a trial.
    """
    _, owner = np.unique(np.asarray(subjects), return_inverse=True)
    hits, tried = (np.bincount(owner, np.asarray(counts, dtype=np.float64)) for counts in (successes, trials))
    if np.count_nonzero(tried) < MIN_SUBJECTS:
        return math.nan, math.nan
    if hits.sum() in (0, tried.sum()):
        return clopper_pearson(round(hits.sum()), round(tried.sum()), confidence)
    drawn = draw_counts(len(tried), n_resamples, np.random.default_rng(seed))
    with_trials = drawn @ tried > 0
    return percentile_interval((drawn @ hits)[with_trials] / (drawn @ tried)[with_trials], confidence)


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper & Pearson 1934); (0, 1) without trials.

    Raises:
        ValueError: Not 0 <= successes <= trials.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    tail = (1 - confidence) / 2
    low = float(stats.beta.ppf(tail, successes, trials - successes + 1)) if successes else 0.0
    high = float(stats.beta.ppf(1 - tail, successes + 1, trials - successes)) if successes < trials else 1.0
    return low, high


def percentile_interval(resampled: FloatArray, confidence: float) -> tuple[float, float]:
    """Return the interval that holds the central ``confidence`` of bootstrap values."""
    tails = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tails, 1 - tails])
    return float(low), float(high)


def draw_counts(n_units: int, n_resamples: int, rng: np.random.Generator, n_drawn: int | None = None) -> Counts:
    """Return how often each unit is drawn in each resample, shape (n_resamples, n_units); by default n_units draws."""
    return rng.multinomial(n_units if n_drawn is None else n_drawn, np.full(n_units, 1 / n_units), size=n_resamples)


def weighted_medians(values: FloatArray, counts: Counts) -> FloatArray:
    """Return the median of each row of values, in which the k-th occurs ``counts[:, k]`` times."""
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    below = np.take_along_axis(counts, order, axis=1).cumsum(axis=1)
    n = below[:, -1:]
    middle = ((below <= place).sum(axis=1, keepdims=True) for place in ((n - 1) // 2, n // 2))
    low, high = (np.take_along_axis(ordered, place, axis=1)[:, 0] for place in middle)
    medians: FloatArray = (low + high) / 2
    return medians
