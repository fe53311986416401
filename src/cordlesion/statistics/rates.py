"""Confidence intervals of shares and rates, and of their paired differences, with subjects as units.

A share or rate is the ratio of two sums over scans. Its variance is that of a ratio estimator with subjects as
clusters, because scans of one subject may be similar (Cochran 1977, section 6.3). Student's t has (subjects - 1)
degrees of freedom.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from cordlesion.io.arrays import FloatArray
from cordlesion.statistics.intervals import MIN_SUBJECTS

Interval: TypeAlias = tuple[float, float]

_UNKNOWN = (math.nan, math.nan)


@dataclass(frozen=True, eq=False)
class _Ratio:
    """A ratio of two sums, with the terms of each subject."""

    events: FloatArray
    """Events of each subject, shape (G,)."""
    units: FloatArray
    """Trials or scans of each subject, shape (G,); above 0."""

    @property
    def n_subjects(self) -> int:
        return len(self.units)

    @property
    def value(self) -> float:
        return float(self.events.sum() / self.units.sum())

    @property
    def variance(self) -> float:
        """Cluster-robust variance, with the factor G / (G - 1)."""
        n = self.n_subjects
        residuals = self.events - self.value * self.units
        return float(n / (n - 1) * np.square(residuals).sum() / self.units.sum() ** 2)


def share_interval(
    successes: npt.ArrayLike, trials: npt.ArrayLike, subjects: npt.ArrayLike, *, confidence: float = 0.95
) -> Interval:
    """Return the interval of a share pooled over scans: Clopper and Pearson's with the effective number of trials.

    Trials of one subject are correlated, so the effective number is smaller (Korn & Graubard 1998): n divided by the
    design effect (their variance / variance of independent trials), at most n, with a correction for few subjects. With
    one trial per subject this is the interval of Clopper and Pearson. If all or none succeed, the variance is unknown,
    and each subject counts as one trial.

    Args:
        successes: Number of successes in each scan, shape (N,).
        trials: Number of trials in each scan, shape (N,); may be 0.
        subjects: The subject of each scan.
        confidence: Confidence level.

    Returns:
        Lower and upper end; NaN if fewer than :data:`MIN_SUBJECTS` subjects have a trial and some have several.
    """
    return _share_ends(_by_subject(successes, trials, subjects), (1 - confidence) / 2)


def mean_share_interval(shares: npt.ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Return Student's interval of the mean of one share per subject, within [0, 1].

    Such shares vary less than the zeros and ones of :func:`share_interval`. Where all subjects have the same share, the
    variance is unknown, and each subject counts as one trial.

    Args:
        shares: Of each subject, shape (G,).
        confidence: Confidence level.

    Returns:
        Lower and upper end; NaN for fewer than :data:`MIN_SUBJECTS` subjects.
    """
    values = np.asarray(shares, dtype=np.float64)
    if len(values) < MIN_SUBJECTS:
        return _UNKNOWN
    tail, mean = (1 - confidence) / 2, float(values.mean())
    if np.ptp(values) == 0:
        return _beta_ends(mean, len(values), tail)
    half = _t(len(values), tail) * float(stats.sem(values))
    return max(0.0, mean - half), min(1.0, mean + half)


def rate_interval(events: npt.ArrayLike, subjects: npt.ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Return the approximate interval of the number of events per scan, on the log scale.

    Counts are skewed: a sample without the rare scan with many events has a low mean and a low variance. Therefore the
    logarithm of the upper end of the t interval is raised by the square of the relative standard error, which is the
    order of the error of the logarithm. Without any event the lower end is 0, and the upper end is that of a Poisson
    count with one scan per subject (3.7 / subjects: the rule of three, two-sided).

    Args:
        events: Number of events in each scan, shape (N,).
        subjects: The subject of each scan.
        confidence: Confidence level.

    Returns:
        Lower and upper end; NaN for fewer than :data:`MIN_SUBJECTS` subjects.
    """
    ratio = _by_subject(events, np.ones(len(np.asarray(events))), subjects)
    return _rate_ends(ratio, (1 - confidence) / 2)


def change_of_shares(differences: npt.ArrayLike, subjects: npt.ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Return the approximate interval of the difference of two paired shares of scans.

    The interval of Agresti and Min (2005) for matched pairs: two scans are added, one in favour of each side. The
    weight of each added scan is the mean number of scans per subject (weighted by scans), so that with one scan per
    subject this is their interval.

    Args:
        differences: Second - first of each scan: -1, 0 or 1, or the mean of several such trials; shape (N,).
        subjects: The subject of each scan.
        confidence: Confidence level.

    Returns:
        Lower and upper end, within [-1, 1]; NaN for fewer than :data:`MIN_SUBJECTS` subjects.
    """
    ratio = _by_subject(differences, np.ones(len(np.asarray(differences))), subjects)
    if ratio.n_subjects < MIN_SUBJECTS:
        return _UNKNOWN
    added = float(np.square(ratio.units).sum() / ratio.units.sum())
    n = ratio.units.sum() + 2 * added
    center = float(ratio.events.sum() / n)
    spread = ratio.n_subjects / (ratio.n_subjects - 1) * np.square(ratio.events - center * ratio.units).sum()
    half = _t(ratio.n_subjects, (1 - confidence) / 2) * math.sqrt(float(spread) + added**2) / n
    return max(-1.0, float(center - half)), min(1.0, float(center + half))


def change_of_ratios(
    differences: npt.ArrayLike,
    units: npt.ArrayLike,
    subjects: npt.ArrayLike,
    *,
    is_share: bool = False,
    confidence: float = 0.95,
) -> Interval:
    """Return the approximate interval of the difference of two paired ratios with the same denominators.

    Gains and losses each have an interval, from :func:`share_interval` or :func:`rate_interval`, which is asymmetric
    like counts. The squares of the distances to their ends are added (Zou & Donner 2008). If no gain (or no loss) was
    observed, the upper end of its interval is used, too: without it, intervals of rare changes in both directions
    covered the truth only half the time.

    Args:
        differences: Second - first of each scan, shape (N,).
        units: Denominator of each scan: trials of shares, scans of rates; shape (N,); may be 0.
        subjects: The subject of each scan.
        is_share: Whether the ratios are shares, which change by at most 1; else they are rates.
        confidence: Confidence level.

    Returns:
        Lower and upper end; NaN for fewer than :data:`MIN_SUBJECTS` subjects with units.
    """
    signed = np.asarray(differences, dtype=np.float64)
    parts = [_by_subject(np.maximum(some, 0), units, subjects) for some in (signed, -signed)]
    if parts[0].n_subjects < MIN_SUBJECTS:
        return _UNKNOWN
    tail = (1 - confidence) / 2
    # If only gains were observed, the interval of the losses still extends above 0.
    (gain, *ends), (loss, *other) = ((part.value, *_ends(part, tail, is_share=is_share)) for part in parts)
    low = gain - loss - math.hypot(gain - ends[0], other[1] - loss)
    high = gain - loss + math.hypot(ends[1] - gain, loss - other[0])
    return low, high


def _ends(ratio: _Ratio, tail: float, *, is_share: bool) -> Interval:
    return _share_ends(ratio, tail) if is_share else _rate_ends(ratio, tail)


def _by_subject(events: npt.ArrayLike, units: npt.ArrayLike, subjects: npt.ArrayLike) -> _Ratio:
    """Sum by subject; subjects without units are left out."""
    _, owner = np.unique(np.asarray(subjects), return_inverse=True)
    sums, sizes = (
        np.bincount(owner, np.asarray(values, dtype=np.float64)).astype(np.float64) for values in (events, units)
    )
    return _Ratio(sums[sizes > 0], sizes[sizes > 0])


def _share_ends(ratio: _Ratio, tail: float) -> Interval:
    n, share = float(ratio.units.sum()), ratio.value if ratio.n_subjects else math.nan
    if n == ratio.n_subjects:
        return _beta_ends(share, n, tail) if n else _UNKNOWN
    if ratio.n_subjects < MIN_SUBJECTS:
        return _UNKNOWN
    if share in (0, 1):
        return _beta_ends(share, ratio.n_subjects, tail)
    return _beta_ends(share, _effective_trials(ratio, n, tail), tail)


def _rate_ends(ratio: _Ratio, tail: float) -> Interval:
    if ratio.n_subjects < MIN_SUBJECTS:
        return _UNKNOWN
    if ratio.value == 0:
        return 0.0, -math.log(tail) / ratio.n_subjects
    error = math.sqrt(ratio.variance) / ratio.value
    half = _t(ratio.n_subjects, tail) * error
    return ratio.value * math.exp(-half), ratio.value * math.exp(half + error**2)


def _effective_trials(ratio: _Ratio, n: float, tail: float) -> float:
    independent = ratio.value * (1 - ratio.value) / (n - 1)
    trials = n * independent / ratio.variance if ratio.variance else n
    few = (_t(n, tail) / _t(ratio.n_subjects, tail)) ** 2
    return min(n, trials * few)


def _beta_ends(share: float, trials: float, tail: float) -> Interval:
    """Return Clopper and Pearson's interval; the number of trials need not be an integer."""
    hits = share * trials
    low = float(stats.beta.ppf(tail, hits, trials - hits + 1)) if share > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, hits + 1, trials - hits)) if share < 1 else 1.0
    return low, high


def _t(n: float, tail: float) -> float:
    return float(stats.t.ppf(1 - tail, n - 1))
