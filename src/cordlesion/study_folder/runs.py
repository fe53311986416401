"""Runs of a study, and their rows in its tables."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cordlesion.config import SetName, method_name
from cordlesion.io.arrays import IndexArray

DEFAULT_THRESHOLD = 0.5
REPORTED_SETS: tuple[SetName, ...] = ("threshold", "test")


@dataclass(frozen=True)
class Run:
    """One training (loss and seed), or an ensemble or comparator, which have no seed."""

    loss: str
    seed: int | None
    fold: int | None = None
    """Of a single training; results are those of all folds together."""

    @property
    def name(self) -> str:
        """Its name in the study folder."""
        return method_name(self.loss, self.seed, self.fold)


def list_runs(table: pd.DataFrame) -> tuple[Run, ...]:
    """Return the runs of a table in the order of their first rows."""
    pairs = table[["loss", "seed"]].drop_duplicates().itertuples(index=False)
    return tuple(Run(str(loss), None if pd.isna(seed) else int(seed)) for loss, seed in pairs)


def list_trainings(thresholds: pd.DataFrame) -> list[Run]:
    """Return the trainings behind a table of thresholds: a run, or each of its folds."""
    trained = thresholds[thresholds["seed"].notna()]
    if "fold" not in trained:
        return list(list_runs(trained))
    named = trained[["loss", "seed", "fold"]].itertuples(index=False)
    return [Run(str(loss), int(seed), int(fold)) for loss, seed, fold in named]


def of_run(table: pd.DataFrame, run: Run, **where: object) -> pd.DataFrame:
    """Return the rows of one run, and of those the ones in which each named column has the given value."""
    seeds = table["seed"]
    is_seed = seeds.isna() if run.seed is None else (seeds == run.seed).fillna(False)
    chosen = (table["loss"] == run.loss).to_numpy(bool) & is_seed.to_numpy(bool)
    for column, value in where.items():
        chosen = chosen & (table[column] == value).to_numpy(bool)
    return table[chosen]


def places_by_run(table: pd.DataFrame) -> dict[Run, IndexArray]:
    """Return the positions of the rows of each run in a table, in their order."""
    numbers = table.groupby(["loss", "seed"], sort=False, dropna=False).ngroup().to_numpy()
    order = np.argsort(numbers, kind="stable")
    places = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else []
    owners = list_runs(table.iloc[[int(rows[0]) for rows in places]])
    return dict(zip(owners, places, strict=True))


def lesion_bearing(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the scans whose voxel metrics are defined: those with any lesion voxel in the reference."""
    return rows[rows["reference_volume_mm3"] > 0]


def lesion_free(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the scans without any lesion voxel in the reference."""
    return rows[rows["reference_volume_mm3"] == 0]


def false_lesions(rows: pd.DataFrame) -> "pd.Series[Any]":
    """Return how many predicted lesions of each scan the reference does not confirm."""
    return rows["n_predicted_lesions"] - rows["n_true_predicted_lesions"]


def has_learned(thresholds: pd.DataFrame) -> "pd.Series[bool]":
    """Return for each row of a table of thresholds whether its run learned anything."""
    if "learned" in thresholds:
        return thresholds["learned"].astype(bool)
    # A table from before there was this column: of such maps t = 0 was chosen, or no threshold scored at all.
    return (thresholds["threshold"] > 0) & (thresholds["score"] > 0)
