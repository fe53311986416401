"""Paired tests and their correction for multiplicity."""

import itertools
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

FloatArray: TypeAlias = npt.NDArray[np.float64]

MIN_PAIRS = 6
"""With fewer pairs no signed-rank test can reach p <= 0.05 (the smallest possible value for five is 2 / 32)."""

# Up to here the exact null distribution is used; above, the normal approximation is good to three digits.
_EXACT_PAIRS = 50
# Scores of two models that differ by less are equal up to rounding, and must not become a rank or break a tie.
_DIGITS = 12


@dataclass(frozen=True)
class PairedTest:
    """Wilcoxon signed-rank test of paired differences."""

    n_pairs: int
    """Pairs in which both values are defined."""
    n_nonzero: int
    """Pairs that differ; only these carry ranks."""
    median_difference: float
    """Median of second - first."""
    rank_biserial: float
    """Effect size in [-1, 1]: (positive - negative rank sum) / total; positive when the second is larger, 0 for no
    difference at all."""
    p_value: float
    """Two-sided; 1 when no pair differs; NaN for fewer than six pairs, which cannot reach 0.05."""
    method: str
    """``exact`` (from all signs of the ranks), ``approximate`` (normal, corrected for ties), ``no difference`` or
    ``too few pairs``."""


def wilcoxon(first: npt.ArrayLike, second: npt.ArrayLike) -> PairedTest:
    """Test whether paired values differ, with Wilcoxon's signed-rank test (two-sided, zero differences dropped).

    The null distribution is exact for up to 50 differing pairs, ties included; above, the normal approximation with
    correction for ties. Fewer than six pairs are described but not tested.

    Args:
        first: One value per pair, shape (N,); NaN leaves the pair out.
        second: The same pairs.
    """
    difference = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    difference = np.round(difference[~np.isnan(difference)], _DIGITS)
    nonzero = difference[difference != 0]
    median = float(np.median(difference)) if len(difference) else math.nan
    if len(nonzero) == 0:
        few = len(difference) < MIN_PAIRS
        p_value, method = (math.nan, "too few pairs") if few else (1.0, "no difference")
        return PairedTest(len(difference), 0, median, 0.0, p_value, method)
    ranks = stats.rankdata(np.abs(nonzero))
    positive, total = float(ranks[nonzero > 0].sum()), float(ranks.sum())
    effect = 2 * positive / total - 1
    if len(difference) < MIN_PAIRS:
        return PairedTest(len(difference), len(nonzero), median, effect, math.nan, "too few pairs")
    exact = len(nonzero) <= _EXACT_PAIRS
    p_value = _exact_p(ranks, positive) if exact else _normal_p(ranks, positive)
    return PairedTest(len(difference), len(nonzero), median, effect, p_value, "exact" if exact else "approximate")


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Correct p-values for multiple tests by Holm's step-down method (Holm 1979); NaN stays NaN and does not count."""
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps * p[order]), 1)
    return adjusted


def compare_paired(
    table: pd.DataFrame,
    pair_by: Sequence[str],
    condition: str,
    pairs: Sequence[tuple[Hashable, Hashable]] | None,
    column: str,
) -> pd.DataFrame:
    """Test several pairs of conditions on the same scans, with Holm's correction over the pairs.

    Args:
        table: One row per scan and condition.
        pair_by: Columns that identify what is paired, such as ``["scan_id"]``.
        condition: Column that tells the conditions apart, such as ``loss``.
        pairs: Conditions to compare, (first, second) each; None for every pair, in the order of their appearance.
        column: Score to compare.

    Returns:
        A row per pair: ``first, second``, the fields of :class:`PairedTest` and ``p_holm``.

    Raises:
        ValueError: A scan has several rows of one condition.
    """
    wide = table.pivot(index=list(pair_by), columns=condition, values=column)
    if pairs is None:
        pairs = list(itertools.combinations(table[condition].unique(), 2))
    rows = [{"first": a, "second": b, **vars(wilcoxon(wide[a], wide[b]))} for a, b in pairs]
    result = pd.DataFrame(rows)
    return result.assign(p_holm=holm(result["p_value"])) if rows else result


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
