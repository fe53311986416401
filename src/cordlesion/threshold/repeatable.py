"""The objective ``repeatability``: lesion volumes that repeat themselves, where the overlap stays high enough."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from cordlesion.io.arrays import FloatArray
from cordlesion.io.tables import REPEAT
from cordlesion.statistics import analyze_groups
from cordlesion.threshold.grid import SETTINGS
from cordlesion.threshold.objective_base import LesionFree, Objective, column_arrays, mean_over_scans

# Means of the same scores differ by rounding; a floor that is met exactly is met.
_ROUNDING = 1e-9
_NO_GROUP = ("", "n/a")


@dataclass(frozen=True)
class RepeatableVolume(Objective):
    """The ICC(1,1) of the lesion volume over scans that repeat each other, where the mean voxel F1 reaches a floor.

    The ICC is that of :func:`cordlesion.statistics.repeatability`; it counts as 0 where it is negative, or nothing
    varies. Without a floor it would be high where every voxel is lesion, or whatever else is found twice.
    """

    least_f1: float
    """The floor: mean voxel F1 over lesion-bearing scans, repeated or not."""
    tolerance: float = 0.02
    """The scans of few people cannot distinguish two ICCs this near; the middle of the flat part varies less."""
    lesion_free: ClassVar[LesionFree] = "counted"
    is_conditional: ClassVar[bool] = True
    compares_repeats: ClassVar[bool] = True
    columns: ClassVar[tuple[str, ...]] = ("voxel_f1", "predicted_volume_mm3", "reference_volume_mm3")

    @property
    def title(self) -> str:  # noqa: D102
        return f"ICC of the lesion volume with a mean voxel F1 of at least {self.least_f1:g}"

    @property
    def choice(self) -> str:  # noqa: D102
        return (
            f"the middle of those with an intraclass correlation ICC(1,1) within {self.tolerance:g} of the highest (of "
            f"the lesion volume, between scans of a subject without a change), among those with a mean voxel F1 of at "
            f"least {self.least_f1:g},"
        )

    def with_number(self, number: float) -> "RepeatableVolume":  # noqa: D102
        if not 0 < number < 1:
            raise ValueError("a mean voxel F1 above 0 and below 1")
        return RepeatableVolume(number)

    def measure(self, table: pd.DataFrame) -> FloatArray:  # noqa: D102
        f1, volume = column_arrays(table, self.columns[:2])
        groups = group_rows(table)
        cells = [table[name].to_numpy() for name in ("threshold", *SETTINGS) if name in table]
        of_group = pd.Series(volume).groupby([groups.to_numpy(), *cells])
        mean, size = (of_group.transform(how).to_numpy(dtype=np.float64) for how in ("mean", "size"))
        # Sums of these over the scans of a sample are all that an analysis of variance needs.
        return np.stack([f1, mean, (volume - mean) ** 2, np.where(groups.notna(), size, np.nan)])

    def summarize(self, measures: FloatArray) -> FloatArray:  # noqa: D102
        missing = self.least_f1 - mean_over_scans(measures[0])
        _, means, squares, sizes = measures
        n_scans: FloatArray = np.sum(~np.isnan(sizes), axis=-2, dtype=np.float64)
        mean = np.nansum(means, axis=-2) / np.maximum(n_scans, 1)
        between = np.nansum((means - mean[..., np.newaxis, :]) ** 2, axis=-2)
        n_groups, squared_sizes, within = (np.nansum(one, axis=-2) for one in (1 / sizes, sizes, squares))
        _, icc = analyze_groups(n_groups, n_scans, squared_sizes, mean, between, within)
        score: FloatArray = np.where(missing > _ROUNDING, -missing, np.nan_to_num(icc).clip(min=0))
        return score

    def failure(self, measures: FloatArray, name: Callable[[int], str]) -> str:  # noqa: D102
        f1 = mean_over_scans(measures[0])
        near = int(f1.argmax())
        if f1[near] < self.least_f1 - _ROUNDING:
            return (
                f"no threshold has a mean voxel F1 of at least {self.least_f1:g}; nearest is {name(near)} with "
                f"{f1[near]:.3f}"
            )
        return (
            f"at no threshold with a mean voxel F1 of at least {self.least_f1:g} are the lesion volumes of scans that "
            "repeat each other more alike than those of others (ICC of 0 or less)"
        )


def group_rows(table: pd.DataFrame) -> "pd.Series[float]":
    """Return the number of the group of each row, NaN for none.

    Scans of a subject with the same name in the column ``repeat`` are a group if there are two or more.

    Args:
        table: Columns ``scan_id``, ``subject`` and ``repeat``; a scan may have several rows.
    """
    names = table[REPEAT].where(~table[REPEAT].isin(_NO_GROUP))
    scans = table[["scan_id", "subject"]].assign(name=names).drop_duplicates("scan_id").dropna().set_index("scan_id")
    groups = scans.groupby(["subject", "name"])
    several = groups.ngroup()[groups["name"].transform("size") > 1]
    return table["scan_id"].map(several).astype(np.float64)
