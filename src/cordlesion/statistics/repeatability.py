"""Repeatability: how much a value changes between scans of one person without a change of the person.

Definitions follow Bland and Altman (BMJ 1996) for the within-subject standard deviation, Shrout and Fleiss (Psychol.
Bull. 1979) for the intraclass correlation ICC(1,1), and Weir (J. Strength Cond. Res. 2005) for the smallest detectable
change.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import IntArray

_NORMAL_95 = 1.959963984540054
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
    means = np.bincount(person, x) / n
    between = float((n * (means - x.mean()) ** 2).sum() / (len(n) - 1))
    within = float(((x - means[person]) ** 2).sum() / (len(x) - len(n)))
    return _from_mean_squares(float(x.mean()), between, within, n)


def _from_mean_squares(mean: float, between: float, within: float, n: IntArray) -> Repeatability:
    # Mean number of scans of a person where the numbers differ (Donner and Koval, Biometrics 1980).
    usual = float((n.sum() - (n**2).sum() / n.sum()) / (len(n) - 1))
    total = between + (usual - 1) * within
    varies = total > _ROUNDING * mean**2
    sd = math.sqrt(within)
    return Repeatability(
        mean=mean,
        within_sd=sd,
        coefficient_of_variation=sd / abs(mean) if mean else math.nan,
        icc=(between - within) / total if varies else math.nan,
        smallest_detectable_change=_NORMAL_95 * math.sqrt(2) * sd,
        n_subjects=len(n),
        n_scans=int(n.sum()),
    )
