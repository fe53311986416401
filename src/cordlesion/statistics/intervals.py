"""Intervals of a median with subjects as the units, and what bootstraps over subjects are made of."""

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

FloatArray: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]

MIN_SUBJECTS = 5
"""With fewer subjects there is no interval: nothing reaches beyond the few values there are. From the lowest to the
highest of five, the true median is missed in 6 %."""

# Up to here the exact null distribution is used; above, the normal approximation with continuity correction.
_EXACT_SUBJECTS = 50


def median_interval(values: npt.ArrayLike, subjects: npt.ArrayLike, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of a median over scans: the medians that a test of subjects' signs does not reject.

    Each subject's number of scans above less below a candidate gets a sign at random (all ways, up to 50 subjects).
    With one scan per subject these are the order statistics of the sign test. Between two of them the end is
    interpolated (Hettmansperger & Sheather 1986), so that the confidence is nearly the one that is asked for.

    Args:
        values: One value per scan, shape (N,); NaN is left out.
        subjects: The subject of each scan.
        confidence: Of the interval.

    Returns:
        Lower and upper end; NaN where fewer than :data:`MIN_SUBJECTS` subjects have a value.
    """
    x = np.asarray(values, dtype=np.float64)
    defined = ~np.isnan(x)
    names, owner = np.unique(np.asarray(subjects)[defined], return_inverse=True)
    if len(names) < MIN_SUBJECTS:
        return math.nan, math.nan
    tail, x = (1 - confidence) / 2, x[defined]
    return _lower_end(x, owner, tail), 0.0 - _lower_end(-x, owner, tail)


def percentile_interval(resampled: FloatArray, confidence: float) -> tuple[float, float]:
    """Return the interval that holds the central ``confidence`` of bootstrap values."""
    tails = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tails, 1 - tails])
    return float(low), float(high)


def draw_counts(n_units: int, n_resamples: int, rng: np.random.Generator) -> Counts:
    """Return how often each unit is drawn in each resample of n_units draws, shape (n_resamples, n_units)."""
    return rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_resamples)


def _lower_end(values: FloatArray, owner: npt.NDArray[np.intp], tail: float) -> float:
    """Return the lowest candidate for the median that is not rejected as too low, interpolated to the next."""
    order = np.argsort(values, kind="stable")
    x, owner, n = values[order], owner[order], len(values)
    # Of each subject, scans up to the candidate less half of its scans.
    excess = -np.bincount(owner) / 2
    before = _chance_of_as_low(excess)
    if before > tail:
        return float(x[0])
    for place in range(n):
        excess[owner[place]] += 1
        if (here := _chance_of_as_low(excess)) > tail:
            break
        before = here
    rank = place + 1
    part = (tail - before) / (here - before)
    weight = (n - rank) * part / (rank + (n - 2 * rank) * part)
    return float(x[place] + weight * (x[min(rank, n - 1)] - x[place]))


def _chance_of_as_low(excess: FloatArray) -> float:
    """Return the chance of a sum as low as that of ``excess`` (multiples of 1/2) if every sign is a coin's."""
    if len(excess) > _EXACT_SUBJECTS:
        return float(stats.norm.cdf((excess.sum() + 0.5) / math.sqrt(np.square(excess).sum())))
    halves = np.round(2 * np.abs(excess)).astype(int)
    share = np.zeros(halves.sum() + 1)
    share[0] = 1.0
    for half in halves:
        share[half:] += share[: len(share) - half].copy()
        share /= 2
    # A sum of signed halves is twice the sum of the positive ones less that of all.
    return float(share[: (round(2 * excess.sum()) + halves.sum()) // 2 + 1].sum())
