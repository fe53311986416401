"""Summaries, paired tests, multiplicity and intervals: tables and arrays in, tables and numbers out."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

FloatArray: TypeAlias = npt.NDArray[np.float64]

# Up to here the exact null distribution is used; above, the normal approximation is good to three digits.
_EXACT_PAIRS = 50
# Scores of two models that differ by less are equal up to rounding, and must not become a rank or break a tie.
_DIGITS = 12


def summarize(table: pd.DataFrame, by: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Summarise columns by group, leaving out undefined values (NaN) and counting them.

    Args:
        table: One row per scan.
        by: Columns that form the groups; their order of appearance is kept.
        columns: Columns to summarise.

    Returns:
        A row per group and column, with the columns ``*by, metric, median, mean, std, n, n_undefined``; ``std`` is that
        of the sample (n - 1), NaN for fewer than two values.
    """
    groups = table.groupby(list(by), sort=False, dropna=False)
    return pd.DataFrame(
        [
            {**dict(zip(by, key, strict=True)), "metric": column, **_summary(group[column])}
            for key, group in groups
            for column in columns
        ]
    )


def format_summary(median: float, mean: float, std: float, digits: int = 2) -> str:
    """Format a summary as the study prints it: ``0.42 (0.40 ± 0.21)``; ``n/a`` where nothing is defined."""
    if math.isnan(median):
        return "n/a"
    spread = "n/a" if math.isnan(std) else f"{std:.{digits}f}"
    return f"{median:.{digits}f} ({mean:.{digits}f} ± {spread})"


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
    """Two-sided; 1 when no pair differs."""
    method: str
    """``exact`` (from all signs of the ranks), ``approximate`` (normal, corrected for ties) or ``no difference``."""


def wilcoxon(first: npt.ArrayLike, second: npt.ArrayLike) -> PairedTest:
    """Test whether paired values differ, with Wilcoxon's signed-rank test (two-sided, zero differences dropped).

    The null distribution is exact for up to 50 differing pairs, ties included; above, the normal approximation with
    correction for ties. With fewer than six differing pairs no result can reach p <= 0.05.

    Args:
        first: One value per pair, shape (N,); NaN leaves the pair out.
        second: The same pairs.
    """
    difference = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    difference = np.round(difference[~np.isnan(difference)], _DIGITS)
    nonzero = difference[difference != 0]
    median = float(np.median(difference)) if len(difference) else math.nan
    if len(nonzero) == 0:
        return PairedTest(len(difference), 0, median, 0.0, 1.0, "no difference")
    ranks = stats.rankdata(np.abs(nonzero))
    positive, total = float(ranks[nonzero > 0].sum()), float(ranks.sum())
    exact = len(nonzero) <= _EXACT_PAIRS
    p_value = _exact_p(ranks, positive) if exact else _normal_p(ranks, positive)
    method = "exact" if exact else "approximate"
    return PairedTest(len(difference), len(nonzero), median, 2 * positive / total - 1, p_value, method)


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
    table: pd.DataFrame, pair_by: Sequence[str], condition: str, pairs: Sequence[tuple[Hashable, Hashable]], column: str
) -> pd.DataFrame:
    """Test several pairs of conditions on the same scans, with Holm's correction over the pairs.

    Args:
        table: One row per scan and condition.
        pair_by: Columns that identify what is paired, such as ``["scan_id"]``.
        condition: Column that tells the conditions apart, such as ``loss``.
        pairs: Conditions to compare, (first, second) each.
        column: Score to compare.

    Returns:
        A row per pair: ``first, second``, the fields of :class:`PairedTest` and ``p_holm``.

    Raises:
        ValueError: A scan has several rows of one condition.
    """
    wide = table.pivot(index=list(pair_by), columns=condition, values=column)
    rows = [{"first": a, "second": b, **vars(wilcoxon(wide[a], wide[b]))} for a, b in pairs]
    result = pd.DataFrame(rows)
    return result.assign(p_holm=holm(result["p_value"])) if rows else result


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
        Lower and upper end; NaN without values.
    """
    x = np.asarray(values, dtype=np.float64)
    defined = ~np.isnan(x)
    if not defined.any():
        return math.nan, math.nan
    order = np.argsort(x[defined], kind="stable")
    _, owner = np.unique(np.asarray(subjects)[defined], return_inverse=True)
    drawn = _draws(int(owner.max()) + 1, n_resamples, np.random.default_rng(seed))
    medians = _weighted_medians(x[defined][order], drawn[:, owner[order]])
    tails = (1 - confidence) / 2
    low, high = np.quantile(medians, [tails, 1 - tails])
    return float(low), float(high)


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


def _summary(values: pd.Series) -> dict[str, float]:
    x = values.to_numpy(dtype=np.float64)
    x = x[~np.isnan(x)]
    return {
        "median": float(np.median(x)) if len(x) else math.nan,
        "mean": float(x.mean()) if len(x) else math.nan,
        "std": float(x.std(ddof=1)) if len(x) > 1 else math.nan,
        "n": len(x),
        "n_undefined": len(values) - len(x),
    }


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


def _draws(n_subjects: int, n_resamples: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return how often each subject is drawn in each resample, shape (n_resamples, n_subjects)."""
    return rng.multinomial(n_subjects, np.full(n_subjects, 1 / n_subjects), size=n_resamples)


def _weighted_medians(ordered: FloatArray, counts: npt.NDArray[np.int64]) -> FloatArray:
    """Return the median of ascending values of which the k-th occurs ``counts[:, k]`` times, one per row of counts."""
    below = counts.cumsum(axis=1)
    n = below[:, -1:]
    low = (below <= (n - 1) // 2).sum(axis=1)
    high = (below <= n // 2).sum(axis=1)
    medians: FloatArray = (ordered[low] + ordered[high]) / 2
    return medians
