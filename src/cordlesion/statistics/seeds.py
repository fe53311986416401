"""Several seeds per loss: variance between losses and variance between seeds."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class VarianceComponents:
    """Components of the variance of the median scores of runs (one-way random effects)."""

    between_losses: float
    """Variance component of the loss; 0 if losses differ no more than seeds; NaN for one loss."""
    between_seeds: float
    """Variance between seeds of one loss, pooled over losses; NaN if every loss has one seed."""
    n_losses: int
    n_runs: int


def spread_over_seeds(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Summarise the median score over scans by loss: its mean and variation between seeds.

    Args:
        table: A row per scan and run, with the columns ``loss``, ``seed`` and ``column``.
        column: Score; NaN is left out.

    Returns:
        A row per loss: ``loss n_seeds mean std lowest highest`` of the medians; ``std`` (n - 1) is NaN for one seed.
    """
    medians = _medians_of_runs(table, column).groupby("loss", sort=False)
    return medians.agg(n_seeds="size", mean="mean", std="std", lowest="min", highest="max").reset_index()


def decompose_variance(table: pd.DataFrame, column: str) -> VarianceComponents:
    """Split the variance of the median scores of runs into variance between losses and variance between seeds.

    Moment estimates of the one-way random-effects model, for any number of seeds per loss (Searle, Casella & McCulloch
    1992, section 3.6); a negative component is 0.

    Args:
        table: A row per scan and run, with the columns ``loss``, ``seed`` and ``column``; rows with an undefined seed
            (methods that are not trained) are left out.
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
