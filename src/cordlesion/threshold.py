"""The decision threshold: chosen on the threshold set, with its interval and its stability (numpy and pandas only)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from cordlesion.errors import CordlesionError

FloatArray: TypeAlias = npt.NDArray[np.float64]

THRESHOLDS: tuple[float, ...] = tuple(np.round(np.linspace(0, 1, 21), 2).tolist())
"""The study's grid: 0, 0.05 .. 1."""

# Scores closer than this are tied; means of the same numbers differ by rounding.
_TIE = 1e-12
# A threshold is on the plateau when its score is at least this share of the best one.
_PLATEAU_SHARE = 0.95
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Objective:
    """What the threshold is to maximise."""

    column: str
    """Score of a scan at a threshold, a column of the table."""
    summarize: Callable[[FloatArray], FloatArray]
    """Summary over scans, (..., scans, thresholds) -> (..., thresholds), that leaves out NaN."""


def median_over_scans(scores: FloatArray) -> FloatArray:
    """Return the median over the last axis but one, leaving out NaN."""
    # Sorting puts NaN last. Several times faster than np.nanmedian on many small samples.
    ordered = np.sort(scores, axis=-2)
    n = np.sum(~np.isnan(scores), axis=-2, keepdims=True)
    low, high = (np.take_along_axis(ordered, middle, axis=-2) for middle in ((n - 1) // 2, n // 2))
    median: FloatArray = np.squeeze((low + high) / 2, axis=-2)
    return median


def mean_over_scans(scores: FloatArray) -> FloatArray:
    """Return the mean over the last axis but one, leaving out NaN."""
    mean: FloatArray = np.nanmean(scores, axis=-2)
    return mean


OBJECTIVES: dict[str, Objective] = {
    "median_voxel_f1": Objective("voxel_f1", median_over_scans),
    "mean_voxel_f1": Objective("voxel_f1", mean_over_scans),
    "median_lesion_f1": Objective("lesion_f1", median_over_scans),
}
"""``median_voxel_f1`` is the study's (Hussein et al. 2023, section 2.5)."""


@dataclass(frozen=True)
class Stability:
    """How much the threshold may move before the score suffers."""

    plateau: tuple[float, float]
    """Lowest and highest threshold around the chosen one between which the score stays within 5 % of the best."""

    @property
    def width(self) -> float:
        """Width of the plateau; 0 when the next thresholds on both sides are already worse."""
        return self.plateau[1] - self.plateau[0]


@dataclass(frozen=True, eq=False)
class ThresholdChoice:
    """A decision threshold and how sure it is."""

    value: float
    """The chosen threshold t; a voxel is lesion when p >= t."""
    score: float
    """The objective at t."""
    interval: tuple[float, float]
    """95 % bootstrap interval of t, resampling subjects."""
    curve: pd.DataFrame
    """Columns ``threshold`` and ``score``: the objective over the grid."""
    stability: Stability


def choose_threshold(
    table: pd.DataFrame, objective: str = "median_voxel_f1", *, n_resamples: int = 2000, seed: int = 0
) -> ThresholdChoice:
    """Choose the threshold with the highest objective over the scans of the threshold set.

    Ties are settled by the middle of the longest run of tied thresholds (the lower of two middles, the lower of two
    longest runs). Scans without a defined score, which are those without lesions, are left out.

    Args:
        table: A row per scan and threshold of one run, with the columns ``scan_id``, ``subject``, ``threshold`` and the
            objective's score; a column ``set``, if there is one, must say ``threshold`` throughout.
        objective: A name in :data:`OBJECTIVES`.
        n_resamples: Bootstrap samples behind the interval.
        seed: Of the bootstrap.

    Raises:
        CordlesionError: The table lacks columns or rows, holds scans of another set, or no scan has a lesion; or the
            objective does not exist.
    """
    if objective not in OBJECTIVES:
        raise CordlesionError(f"There is no objective {objective!r}; choose one of {', '.join(OBJECTIVES)}.")
    goal = OBJECTIVES[objective]
    _check(table, goal.column)
    scores = _score_matrix(table, goal.column)
    thresholds = scores.columns.to_numpy(dtype=np.float64)
    curve = goal.summarize(scores.to_numpy(dtype=np.float64))
    best = _best(curve)
    resampled = _resampled_curves(scores, goal, n_resamples, np.random.default_rng(seed))
    choices = thresholds[[_best(one) for one in resampled]]
    tails = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(choices, [tails, 1 - tails], method="inverted_cdf")
    return ThresholdChoice(
        value=float(thresholds[best]),
        score=float(curve[best]),
        interval=(float(low), float(high)),
        curve=pd.DataFrame({"threshold": thresholds, "score": curve}),
        stability=Stability(_plateau(thresholds, curve, best)),
    )


def _check(table: pd.DataFrame, column: str) -> None:
    keys = ["scan_id", "subject", "threshold"]
    missing = [name for name in [*keys, column] if name not in table.columns or (name in keys and table[name].hasnans)]
    if missing:
        raise CordlesionError(
            f"The table for choosing a threshold lacks {', '.join(missing)}; it needs a row per scan and threshold."
        )
    others = sorted(set(map(str, table["set"])) - {"threshold"}) if "set" in table.columns else []
    if others:
        raise CordlesionError(
            f"The table for choosing a threshold has scans of the set {', '.join(others)}; "
            "only the set 'threshold' may be used, or the evaluation would be biased. Remove the other rows."
        )
    repeated = table.duplicated(["scan_id", "threshold"])
    if repeated.any():
        row = table[repeated].iloc[0]
        raise CordlesionError(
            f"The table for choosing a threshold has several rows for scan {row['scan_id']} at {row['threshold']}; "
            "one run at a time is needed. Select the rows of one run."
        )


def _score_matrix(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Arrange scores by subject and scan (rows) and by threshold (columns, ascending), without gaps."""
    scores = table.pivot(index=["subject", "scan_id"], columns="threshold", values=column).sort_index(axis="columns")
    scores = scores.dropna(how="all")
    if scores.empty:
        raise CordlesionError(
            "No scan of the threshold set has a lesion, so no threshold can be chosen. "
            "Put scans with lesions into the threshold set."
        )
    gaps = np.argwhere(scores.isna().to_numpy())
    if len(gaps):
        scan, threshold = scores.index.get_level_values("scan_id")[gaps[0, 0]], scores.columns[gaps[0, 1]]
        raise CordlesionError(
            f"Scan {scan} has no {column} at threshold {threshold}; every scan needs a row at every threshold. "
            "Sweep all scans over the same thresholds."
        )
    return scores


def _best(curve: FloatArray) -> int:
    """Return the index of the highest value; of tied ones, the middle of their longest run."""
    tied = np.flatnonzero(curve >= curve.max() - _TIE)
    runs = np.split(tied, np.flatnonzero(np.diff(tied) > 1) + 1)
    longest = max(runs, key=len)
    return int(longest[(len(longest) - 1) // 2])


def _plateau(thresholds: FloatArray, curve: FloatArray, best: int) -> tuple[float, float]:
    """Return the ends of the run of thresholds around the best one that score nearly as well."""
    worse = np.flatnonzero(curve < _PLATEAU_SHARE * curve[best])
    low = worse[worse < best].max(initial=-1) + 1
    high = worse[worse > best].min(initial=len(curve)) - 1
    return float(thresholds[low]), float(thresholds[high])


def _resampled_curves(scores: pd.DataFrame, goal: Objective, n_resamples: int, rng: np.random.Generator) -> FloatArray:
    """Return the objective's curve, shape (n_resamples, thresholds), for subjects drawn with all their scans."""
    subjects = [rows.to_numpy(dtype=np.float64) for _, rows in scores.groupby(level="subject")]
    # Subjects with fewer scans than others are filled up with NaN, which the objective leaves out.
    padded = np.full((len(subjects), max(map(len, subjects)), scores.shape[1]), np.nan)
    for place, rows in zip(padded, subjects, strict=True):
        place[: len(rows)] = rows
    drawn = padded[rng.integers(len(subjects), size=(n_resamples, len(subjects)))]
    return goal.summarize(drawn.reshape(n_resamples, -1, scores.shape[1]))
