"""Several seeds per loss: how much of the difference between losses is noise between seeds."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class VarianceComponents:
    """Where the variance of the runs' median scores comes from (one-way random effects)."""

    between_losses: float
    """Variance component of the loss; 0 where losses differ no more than seeds make them; NaN for one loss."""
    between_seeds: float
    """Variance between seeds of one loss, pooled over losses; NaN where every loss has one seed."""
    n_losses: int
    n_runs: int


def spread_over_seeds(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Summarise by loss how the median score over scans varies between seeds.

    Args:
        table: A row per scan and run, with the columns ``loss``, ``seed`` and ``column``.
        column: Score; NaN is left out.

    Returns:
        A row per loss: ``loss n_seeds mean std lowest highest``, of the runs' medians; ``std`` (n - 1) is NaN for one.
    """
    medians = _medians_of_runs(table, column).groupby("loss", sort=False)
    return medians.agg(n_seeds="size", mean="mean", std="std", lowest="min", highest="max").reset_index()


def decompose_variance(table: pd.DataFrame, column: str) -> VarianceComponents:
    """Split the variance of the runs' median scores into that between losses and that between seeds of one loss.

    Moment estimates of the one-way random-effects model, for any number of seeds per loss (Searle, Casella & McCulloch
    1992, section 3.6); a negative component is 0.

    Args:
        table: A row per scan and run, with the columns ``loss``, ``seed`` and ``column``; untrained methods (undefined
            seed) are left out.
        column: Score; NaN is left out.
    """
    medians = _medians_of_runs(table[table["seed"].notna()], column)
    groups = [runs.to_numpy(dtype=np.float64) for _, runs in medians.groupby("loss")]
    sizes = np.array([len(runs) for runs in groups])
    n_losses, n_runs = len(sizes), int(sizes.sum())
    if n_runs == n_losses:
        return VarianceComponents(math.nan, math.nan, n_losses, n_runs)
    seeds = sum(float(np.square(runs - runs.mean()).sum()) for runs in groups) / (n_runs - n_losses)
    if n_losses == 1:
        return VarianceComponents(math.nan, seeds, n_losses, n_runs)
    means = np.array([runs.mean() for runs in groups])
    grand = np.average(means, weights=sizes)
    mean_square = float(sizes @ np.square(means - grand)) / (n_losses - 1)
    effective_size = (n_runs - np.square(sizes).sum() / n_runs) / (n_losses - 1)
    return VarianceComponents(max(0.0, (mean_square - seeds) / effective_size), seeds, n_losses, n_runs)


def _medians_of_runs(table: pd.DataFrame, column: str) -> pd.Series:
    return table.groupby(["loss", "seed"], sort=False, dropna=False)[column].median()
