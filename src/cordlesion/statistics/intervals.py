"""Confidence interval of a median with subjects as units, and helpers for bootstraps over subjects."""

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from cordlesion.io.arrays import FloatArray, IndexArray, IntArray

Counts: TypeAlias = IntArray

MIN_SUBJECTS = 5
"""Smallest number of subjects for an interval. Even the range of five values misses the true median in 6 %."""

# The exact null distribution is used up to this number; above, the normal approximation with continuity correction.
_EXACT_SUBJECTS = 50


def median_interval(values: npt.ArrayLike, subjects: npt.ArrayLike, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of a median over scans: all values that a sign test over subjects does not reject.

    The test statistic is the sum over subjects of (scans above - scans below the candidate). Its null distribution
    comes from random signs of the terms (all combinations for up to 50 subjects). With one scan per subject this is the
    sign test. Its ends are order statistics; they are interpolated (Hettmansperger & Sheather 1986), so that the
    coverage is close to ``confidence``.

    Args:
        values: One value per scan, shape (N,); NaN is left out.
        subjects: The subject of each scan.
        confidence: Confidence level.

    Returns:
        Lower and upper end; NaN if fewer than :data:`MIN_SUBJECTS` subjects have a value.

    Examples:
        >>> import cordlesion
        >>> gain = [0.02, 0.05, -0.01, 0.04, 0.06, 0.03, 0.08, 0.01]  # of one scan per subject
        >>> low, high = cordlesion.median_interval(gain, range(8))
        >>> print(f"{low:.3f} to {high:.3f}")
        0.009 to 0.061
    """
    x = np.asarray(values, dtype=np.float64)
    defined = ~np.isnan(x)
    names, owner = np.unique(np.asarray(subjects)[defined], return_inverse=True)
    if len(names) < MIN_SUBJECTS:
        return math.nan, math.nan
    tail, x = (1 - confidence) / 2, x[defined]
    return _lower_end(x, owner, tail), 0.0 - _lower_end(-x, owner, tail)


def percentile_interval(resampled: FloatArray, confidence: float) -> tuple[float, float]:
    """Return the percentile interval of bootstrap values: their central ``confidence``."""
    tails = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tails, 1 - tails])
    return float(low), float(high)


def draw_counts(n_units: int, n_resamples: int, rng: np.random.Generator) -> Counts:
    """Return how often each resample contains each unit, shape (n_resamples, n_units)."""
    return rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_resamples)


def _lower_end(values: FloatArray, owner: IndexArray, tail: float) -> float:
    """Return the lowest median that is not rejected as too low, interpolated between order statistics."""
    order = np.argsort(values, kind="stable")
    x, owner, n = values[order], owner[order], len(values)
    # For each subject: number of scans up to the candidate - half of its scans.
    excess = -np.bincount(owner) / 2
    before = _lower_tail(excess)
    if before > tail:
        return float(x[0])
    for place in range(n):
        excess[owner[place]] += 1
        if (here := _lower_tail(excess)) > tail:
            break
        before = here
    rank = place + 1
    part = (tail - before) / (here - before)
    weight = (n - rank) * part / (rank + (n - 2 * rank) * part)
    return float(x[place] + weight * (x[min(rank, n - 1)] - x[place]))


def _lower_tail(excess: FloatArray) -> float:
    """Return P(sum <= sum of ``excess``) for random signs of its terms, which are multiples of 1/2."""
    if len(excess) > _EXACT_SUBJECTS:
        return float(ndtr((excess.sum() + 0.5) / math.sqrt(np.square(excess).sum())))
    halves = np.round(2 * np.abs(excess)).astype(int)
    share = np.zeros(halves.sum() + 1)
    share[0] = 1.0
    for half in halves:
        share[half:] += share[: len(share) - half].copy()
        share /= 2
    # Sum of signed terms = 2 x (sum of the positive terms) - (sum of all absolute terms).
    return float(share[: (round(2 * excess.sum()) + halves.sum()) // 2 + 1].sum())
