"""Paired tests of subjects, and their correction for multiplicity."""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

FloatArray: TypeAlias = npt.NDArray[np.float64]

MIN_PAIRS = 6
"""Subjects; with fewer no test of signs can reach p <= 0.05 (the smallest possible value for five is 2 / 32)."""

# Up to here the exact null distribution is used; above, the normal approximation is good to three digits.
_EXACT_PAIRS = 50
# Scores of two models that differ by less are equal up to rounding, and must not become a rank or break a tie.
_DIGITS = 12


@dataclass(frozen=True)
class PairedTest:
    """Wilcoxon signed-rank test of the subjects' mean differences."""

    n_pairs: int
    """Pairs in which both values are defined."""
    n_nonzero: int
    """Subjects whose mean difference is not 0; only these carry ranks."""
    median_difference: float
    """Median over pairs of second - first."""
    rank_biserial: float
    """Effect size in [-1, 1]: (positive - negative rank sum) / total; positive when the second is larger, 0 for no
    difference at all."""
    p_value: float
    """Two-sided; 1 when no subject differs; NaN for fewer than six subjects, who cannot reach 0.05."""
    method: str
    """``exact`` (from all signs of the ranks), ``approximate`` (normal, corrected for ties), ``no difference`` or
    ``too few subjects``."""
    n_subjects: int
    """The units of the test: subjects with a defined pair."""


def wilcoxon(first: npt.ArrayLike, second: npt.ArrayLike, subjects: npt.ArrayLike | None = None) -> PairedTest:
    """Test whether paired values differ, with Wilcoxon's signed-rank test (two-sided, zero differences dropped).

    Pairs of one subject are not independent: their mean difference is one value. The null distribution is exact for up
    to 50 differing subjects, ties included; above, the normal approximation with correction for ties. Fewer than six
    subjects are described but not tested.

    Args:
        first: One value per pair, shape (N,); NaN leaves the pair out.
        second: The same pairs.
        subjects: The subject of each pair; None where every pair is of another subject.
    """
    pairs = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
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
    """Return the p-value of a difference of counts, among all ways to give each subject's sum a sign (two-sided).

    With one scan per subject, each 0 or 1 on both sides, this is McNemar's exact test. Above 50 subjects with a
    difference the normal approximation is used.

    Args:
        differences: Second - first of each scan, whole numbers, shape (N,).
        subjects: The subject of each scan.

    Returns:
        1 where no subject differs; NaN for fewer than :data:`MIN_PAIRS` subjects.
    """
    _, owner = np.unique(np.asarray(subjects), return_inverse=True)
    sums = np.bincount(owner, np.asarray(differences, dtype=np.float64)) if len(owner) else np.zeros(0)
    nonzero = sums[sums != 0]
    return _signed_ranks(np.abs(nonzero), float(nonzero[nonzero > 0].sum()), len(sums))[0]


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Correct p-values for multiple tests by Holm's step-down method (Holm 1979); NaN stays NaN and does not count."""
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps * p[order]), 1)
    return adjusted


def _subject_means(values: FloatArray, owners: npt.NDArray[Any]) -> FloatArray:
    """Return the mean of each subject's values, without what rounding makes of equal scores."""
    _, owner, sizes = np.unique(owners, return_inverse=True, return_counts=True)
    means: FloatArray = np.round(np.bincount(owner, values, len(sizes)) / sizes, _DIGITS)
    return means


def _signed_ranks(ranks: FloatArray, positive: float, n_subjects: int) -> tuple[float, str]:
    """Return the two-sided p-value of the sum of the positive ranks, and how it was found."""
    if n_subjects < MIN_PAIRS:
        return math.nan, "too few subjects"
    if not len(ranks):
        return 1.0, "no difference"
    if len(ranks) <= _EXACT_PAIRS:
        return _exact_p(ranks, positive), "exact"
    return _normal_p(ranks, positive), "approximate"


def _exact_p(ranks: FloatArray, positive: float) -> float:
    """Return the two-sided p-value among all 2^n ways to give the ranks a sign."""
    # Ranks of ties end in .5, so twice a rank is a whole number; count how many subsets of ranks reach each sum.
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
