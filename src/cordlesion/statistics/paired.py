"""Paired tests with subjects as units, and the correction for multiple tests."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Array, FloatArray

MIN_PAIRS = 6
"""Smallest number of subjects for a test; with fewer, p <= 0.05 is impossible (for five, the smallest p is 2 / 32)."""

# The exact null distribution is used up to this number; above, the normal approximation is accurate to three digits.
_EXACT_PAIRS = 50
# Smaller differences between scores are rounding errors; they must not become a rank or break a tie.
_DIGITS = 12


@dataclass(frozen=True)
class PairedTest:
    """Wilcoxon signed-rank test of the mean differences of subjects."""

    n_pairs: int
    """Pairs in which both values are defined."""
    n_nonzero: int
    """Subjects with a mean difference other than 0; only these have ranks."""
    median_difference: float
    """Median over pairs of second - first."""
    rank_biserial: float
    """Effect size in [-1, 1]: (positive - negative rank sum) / total; positive if the second is larger, 0 if no
    subject differs."""
    p_value: float
    """Two-sided; 1 if no subject differs; NaN for fewer than six subjects, because 0.05 is then impossible."""
    method: str
    """``exact`` (all signs of the ranks), ``approximate`` (normal, corrected for ties), ``no difference`` or
    ``too few subjects``."""
    n_subjects: int
    """Subjects with a defined pair; these are the units of the test."""


def wilcoxon(first: npt.ArrayLike, second: npt.ArrayLike, subjects: npt.ArrayLike | None = None) -> PairedTest:
    """Test whether paired values differ, with Wilcoxon's signed-rank test (two-sided, zero differences dropped).

    Pairs of one subject are not independent, so they are averaged to one mean difference. The null distribution is
    exact for up to 50 subjects with a difference, also with ties; above, it is the normal approximation with correction
    for ties. With fewer than six subjects there is no p-value.

    Args:
        first: One value per pair, shape (N,); pairs with NaN are left out.
        second: The same pairs.
        subjects: The subject of each pair; None if all subjects differ.

    Raises:
        CordlesionError: The lists differ in length.

    Examples:
        >>> import cordlesion
        >>> at_half = [0.40, 0.55, 0.31, 0.62, 0.48, 0.50, 0.29, 0.44]
        >>> tuned = [0.52, 0.61, 0.47, 0.60, 0.63, 0.58, 0.40, 0.55]
        >>> test = cordlesion.wilcoxon(at_half, tuned)
        >>> test.n_pairs, round(test.median_difference, 3), test.p_value
        (8, 0.11, 0.015625)
    """
    before, after = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if before.shape != after.shape or before.ndim != 1:
        raise CordlesionError(
            f"Pairs of values are needed; the first list has shape {before.shape}, the second {after.shape}. Give two "
            "lists of one length, in the same order."
        )
    pairs = after - before
    defined = ~np.isnan(pairs)
    owners = np.arange(len(pairs)) if subjects is None else np.asarray(subjects)
    difference, pairs = _subject_means(pairs[defined], owners[defined]), np.round(pairs[defined], _DIGITS)
    median = float(np.median(pairs)) if len(pairs) else math.nan
    nonzero = difference[difference != 0]
    ranks = stats.rankdata(np.abs(nonzero))
    positive, total = float(ranks[nonzero > 0].sum()), float(ranks.sum())
    p_value, method = _signed_ranks(ranks, positive, len(difference))
    return PairedTest(
        n_pairs=len(pairs),
        n_nonzero=len(nonzero),
        median_difference=median,
        rank_biserial=2 * positive / total - 1 if total else 0.0,
        p_value=p_value,
        method=method,
        n_subjects=len(difference),
    )


def sign_flips(differences: npt.ArrayLike, subjects: npt.ArrayLike) -> float:
    """Return the two-sided p-value of a difference of counts, from all sign flips of the sums of subjects.

    With one scan per subject and counts of 0 or 1, this is McNemar's exact test. For more than 50 subjects with a
    difference, the normal approximation is used.

    Args:
        differences: Second - first of each scan, integers, shape (N,).
        subjects: The subject of each scan.

    Returns:
        1 if no subject differs; NaN for fewer than :data:`MIN_PAIRS` subjects.
    """
    _, owner = np.unique(np.asarray(subjects), return_inverse=True)
    sums = np.bincount(owner, np.asarray(differences, dtype=np.float64)) if len(owner) else np.zeros(0)
    nonzero = sums[sums != 0]
    return _signed_ranks(np.abs(nonzero), float(nonzero[nonzero > 0].sum()), len(sums))[0]


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Correct p-values for multiple tests by Holm's step-down method (Holm 1979); NaN stays NaN and is not counted."""
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps * p[order]), 1)
    return adjusted


def _subject_means(values: FloatArray, owners: Array) -> FloatArray:
    """Return the mean of the values of each subject, rounded so that equal scores give a difference of exactly 0."""
    _, owner, sizes = np.unique(owners, return_inverse=True, return_counts=True)
    means: FloatArray = np.round(np.bincount(owner, values, len(sizes)) / sizes, _DIGITS)
    return means


def _signed_ranks(ranks: FloatArray, positive: float, n_subjects: int) -> tuple[float, str]:
    """Return the two-sided p-value of the sum of the positive ranks, and the method."""
    if n_subjects < MIN_PAIRS:
        return math.nan, "too few subjects"
    if not len(ranks):
        return 1.0, "no difference"
    if len(ranks) <= _EXACT_PAIRS:
        return _exact_p(ranks, positive), "exact"
    return _normal_p(ranks, positive), "approximate"


def _exact_p(ranks: FloatArray, positive: float) -> float:
    """Return the two-sided p-value from all 2^n sign combinations of the ranks."""
    # Ranks of ties end in .5, so twice a rank is an integer. Count the subsets of ranks with each sum.
    doubled = np.round(2 * ranks).astype(int)
    share = np.zeros(doubled.sum() + 1)
    share[0] = 1.0
    for rank in doubled:
        share[rank:] += share[: len(share) - rank].copy()
        share /= 2
    reached = round(2 * positive)
    return min(1.0, 2 * float(min(share[: reached + 1].sum(), share[reached:].sum())))


def _normal_p(ranks: FloatArray, positive: float) -> float:
    deviation = positive - ranks.sum() / 2
    return float(2 * stats.norm.sf(abs(deviation) / math.sqrt(np.square(ranks).sum() / 4)))
