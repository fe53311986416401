"""Repeatability: how much a value changes between scans of one person without a change of the person.

Definitions follow Bland and Altman (BMJ 1996) for the within-subject standard deviation, Shrout and Fleiss (Psychol.
Bull. 1979) for the intraclass correlation ICC(1,1), and Weir (J. Strength Cond. Res. 2005) for the smallest detectable
change.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray, IndexArray
from cordlesion.statistics.intervals import MIN_SUBJECTS, draw_counts, percentile_interval

_NORMAL_95 = 1.959963984540054
_ESTIMATES = ("within_sd", "coefficient_of_variation", "icc", "smallest_detectable_change")
_ROUNDING = 1e-24
"""Squares of differences that are smaller, relative to the square of the mean, are rounding."""


@dataclass(frozen=True)
class Repeatability:
    """How repeatable a value is, from two or more scans of each of several persons."""

    mean: float
    """Over persons and scans."""
    within_sd: float
    """Standard deviation between scans of one person (standard error of measurement)."""
    coefficient_of_variation: float
    """``within_sd / mean``; NaN where the mean is 0."""
    icc: float
    """Intraclass correlation ICC(1,1): the share of the variance that is between persons. It may be negative; NaN where
    nothing varies."""
    smallest_detectable_change: float
    """``1.96 * sqrt(2) * within_sd``: 95 % of the differences between two scans without a change are smaller."""
    n_subjects: int
    n_scans: int


def repeatability(values: npt.ArrayLike, subjects: npt.ArrayLike) -> Repeatability:
    """Estimate the repeatability from a one-way analysis of variance, with any number of scans of each person.

    Args:
        values: Of each scan, shape (N,).
        subjects: The person of each scan, shape (N,). Persons with one scan take no part.

    Raises:
        CordlesionError: Fewer than two persons have several scans, or a value is not finite.

    Examples:
        >>> from cordlesion.statistics import repeatability
        >>> found = repeatability([100, 110, 250, 240, 30, 30], ["a", "a", "b", "b", "c", "c"])
        >>> round(found.within_sd, 2), round(found.icc, 3), round(found.smallest_detectable_change, 1)
        (5.77, 0.997, 16.0)
    """
    given, names = np.asarray(values, dtype=np.float64), np.asarray(subjects)
    if given.ndim != 1 or given.shape != names.shape or not np.isfinite(given).all():
        raise CordlesionError(
            f"There are values of shape {given.shape} for subjects of shape {names.shape}; one finite value for each "
            "scan is needed."
        )
    _, person, counts = np.unique(names, return_inverse=True, return_counts=True)
    kept = counts[person] > 1
    x, (_, person, n) = given[kept], np.unique(names[kept], return_inverse=True, return_counts=True)
    if len(n) < 2:
        raise CordlesionError(
            f"{len(n)} subjects have several scans; at least 2 are needed to estimate the repeatability."
        )
    found = {name: float(one[0]) for name, one in _estimates(x, person, np.ones((1, len(n)))).items()}
    return Repeatability(**found, n_subjects=len(n), n_scans=len(x))


def _estimates(x: FloatArray, group: IndexArray, weights: FloatArray) -> dict[str, FloatArray]:
    """Estimate from one-way analyses of variance in which each group of scans counts so often.

    Args:
        x: Value of each scan, shape (N,).
        group: Of each scan, 0 to G - 1, shape (N,).
        weights: Shape (B, G).

    Returns:
        ``mean`` and :data:`_ESTIMATES`, each of shape (B,).
    """
    n, sums = np.bincount(group), np.bincount(group, x)
    means = sums / n
    n_groups, n_scans = weights.sum(axis=1), weights @ n
    mean = weights @ sums / n_scans
    # Squares around the mean of all scans: the difference of two large sums would lose digits.
    between = weights @ (n * (means - x.mean()) ** 2) - n_scans * (mean - x.mean()) ** 2
    within = weights @ np.bincount(group, (x - means[group]) ** 2)
    variance, icc = analyze_groups(n_groups, n_scans, weights @ n**2, mean, between, within)
    sd = np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        variation = np.where(mean != 0, sd / np.abs(mean), np.nan)
    return dict(zip(("mean", *_ESTIMATES), (mean, sd, variation, icc, _NORMAL_95 * math.sqrt(2) * sd), strict=True))


def analyze_groups(
    n_groups: FloatArray,
    n_scans: FloatArray,
    squared_sizes: FloatArray,
    mean: FloatArray,
    between: FloatArray,
    within: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Analyse variances by one factor, the group of a scan, from sums over groups; all arrays have one shape.

    Args:
        n_groups: Groups of scans that repeat each other.
        n_scans: Their scans, two or more of each group.
        squared_sizes: Sum over the groups of the squared number of their scans.
        mean: Over the scans.
        between: Sum over the scans of the squared distance from ``mean`` to the mean of their group.
        within: Sum over the scans of the squared distance to the mean of their group.

    Returns:
        The variance between scans of a group, and ICC(1,1): NaN where nothing varies, or there is one group or none.
    """
    freedom = np.maximum(n_groups - 1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Mean number of scans of a group where the numbers differ (Donner and Koval, Biometrics 1980).
        usual = (n_scans - squared_sizes / n_scans) / freedom
        of_groups, of_scans = between / freedom, within / (n_scans - n_groups)
        total = of_groups + (usual - 1) * of_scans
        icc = np.where(total > _ROUNDING * mean**2, (of_groups - of_scans) / total, np.nan)
    return of_scans, icc


@dataclass(frozen=True)
class LimitsOfAgreement:
    """Between which differences 95 % of the pairs of scans lie (Bland and Altman, Lancet 1986)."""

    bias: float
    """Mean of (second - first)."""
    low: float
    high: float
    """``bias`` plus or minus 1.96 standard deviations of the differences."""


def limits_of_agreement(first: npt.ArrayLike, second: npt.ArrayLike) -> LimitsOfAgreement:
    """Return mean and limits of the differences between two scans of each person.

    Args:
        first: Shape (N,), N >= 2.
        second: The same.

    Examples:
        >>> from cordlesion.statistics import limits_of_agreement
        >>> limits = limits_of_agreement([100, 250, 30], [110, 240, 30])
        >>> limits.bias, round(limits.high, 1)
        (0.0, 19.6)
    """
    differences = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    bias, spread = float(differences.mean()), _NORMAL_95 * float(differences.std(ddof=1))
    return LimitsOfAgreement(bias, bias - spread, bias + spread)


def repeatability_intervals(
    values: npt.ArrayLike,
    groups: npt.ArrayLike,
    subjects: npt.ArrayLike,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Return 95 % intervals of what :func:`repeatability` estimates, by a bootstrap over subjects.

    They are expanded percentile intervals (Hesterberg, Am. Stat. 2015): plain ones are too narrow for few subjects.

    Args:
        values: Of each scan, shape (N,).
        groups: Which scans repeat each other, shape (N,). A subject may have several groups.
        subjects: The person of each scan, shape (N,).
        n_resamples: Bootstrap samples.
        seed: Of the bootstrap.

    Returns:
        Lower and upper end of ``within_sd``, ``coefficient_of_variation``, ``icc`` and
        ``smallest_detectable_change``; NaN for fewer than five subjects, or where a value is undefined.
    """
    x = np.asarray(values, dtype=np.float64)
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    people, owner = np.unique(np.asarray(subjects)[np.unique(group, return_index=True)[1]], return_inverse=True)
    if len(people) < MIN_SUBJECTS:
        return dict.fromkeys(_ESTIMATES, (math.nan, math.nan))
    weights = draw_counts(len(people), n_resamples, np.random.default_rng(seed))[:, owner].astype(np.float64)
    drawn, confidence = _estimates(x, group, weights), expanded_confidence(len(people))
    return {name: _interval(drawn[name], confidence) for name in _ESTIMATES}


def expanded_confidence(n_units: int) -> float:
    """Return the share of the bootstrap values that a 95 % interval holds, for so many units."""
    reach = math.sqrt(n_units / (n_units - 1)) * stats.t.ppf(0.975, n_units - 1)
    return float(1 - 2 * stats.norm.sf(reach))


def _interval(drawn: FloatArray, confidence: float) -> tuple[float, float]:
    defined = drawn[~np.isnan(drawn)]
    return percentile_interval(defined, confidence) if len(defined) else (math.nan, math.nan)
