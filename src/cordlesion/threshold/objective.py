"""What a decision threshold maximises: one number over the scans of the threshold set, at each threshold."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from cordlesion.io.arrays import FloatArray
from cordlesion.threshold.objective_base import LesionFree as LesionFree
from cordlesion.threshold.objective_base import Objective as Objective
from cordlesion.threshold.objective_base import column_arrays as column_arrays
from cordlesion.threshold.objective_base import mean_over_scans as mean_over_scans
from cordlesion.threshold.objective_base import median_over_scans as median_over_scans
from cordlesion.threshold.repeatable import RepeatableVolume

# Means of the same counts differ by rounding; a budget that is met exactly is met.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ScanScore(Objective):
    """The median or mean over lesion-bearing scans of one score."""

    printed_as: str
    column: str
    over_scans: Callable[[FloatArray], FloatArray]

    @property
    def title(self) -> str:  # noqa: D102
        return self.printed_as

    @property
    def columns(self) -> tuple[str, ...]:  # noqa: D102
        return (self.column,)

    def measure(self, table: pd.DataFrame) -> FloatArray:  # noqa: D102
        return column_arrays(table, self.columns)

    def summarize(self, measures: FloatArray) -> FloatArray:  # noqa: D102
        return self.over_scans(measures[0])


@dataclass(frozen=True)
class PlateauVoxelF1(ScanScore):
    """The mean voxel F1; the middle of the flat part around its highest value is chosen, which varies less."""

    printed_as: str = "mean voxel F1"
    column: str = "voxel_f1"
    over_scans: Callable[[FloatArray], FloatArray] = mean_over_scans
    tolerance: float = 0.02

    def with_number(self, number: float) -> "PlateauVoxelF1":  # noqa: D102
        if not 0 < number < 1:
            raise ValueError("a difference of voxel F1 between 0 and 1")
        return PlateauVoxelF1(tolerance=number)


@dataclass(frozen=True)
class PooledVoxelF1(Objective):
    """Voxel F1 of all scans taken as one: 2 TP / (reference + prediction), each a volume summed over scans.

    Large lesions weigh most. What is predicted in lesion-free scans counts as false.
    """

    title: ClassVar[str] = "voxel F1 of all scans pooled"
    lesion_free: ClassVar[LesionFree] = "counted"
    columns: ClassVar[tuple[str, ...]] = ("voxel_sensitivity", "reference_volume_mm3", "predicted_volume_mm3")

    def measure(self, table: pd.DataFrame) -> FloatArray:  # noqa: D102
        sensitivity, reference, predicted = column_arrays(table, self.columns)
        return np.stack([np.where(reference > 0, sensitivity * reference, 0), reference + predicted])

    def summarize(self, measures: FloatArray) -> FloatArray:  # noqa: D102
        common, both = np.nansum(measures, axis=-2)
        pooled: FloatArray = np.where(both > 0, 2 * common / np.where(both > 0, both, 1), np.nan)
        return pooled


@dataclass(frozen=True)
class MedianFBeta(Objective):
    """The median over lesion-bearing scans of voxel F-beta (van Rijsbergen 1979)."""

    beta: float
    """How many times as much sensitivity weighs as precision; 1 gives the voxel F1."""
    columns: ClassVar[tuple[str, ...]] = ("voxel_sensitivity", "voxel_precision")

    @property
    def title(self) -> str:  # noqa: D102
        return f"median voxel F-beta with β = {self.beta:g}"

    def with_number(self, number: float) -> "MedianFBeta":  # noqa: D102
        if not (math.isfinite(number) and number > 0):
            raise ValueError("a positive number, the weight of sensitivity")
        return MedianFBeta(number)

    def measure(self, table: pd.DataFrame) -> FloatArray:  # noqa: D102
        sensitivity, precision = column_arrays(table, self.columns)
        weight = self.beta**2
        return _ratio((1 + weight) * sensitivity * precision, weight * precision + sensitivity)[np.newaxis]

    def summarize(self, measures: FloatArray) -> FloatArray:  # noqa: D102
        return median_over_scans(measures[0])


@dataclass(frozen=True)
class LesionSensitivity(Objective):
    """The share of all reference lesions that is detected, where false positives per scan stay within a budget.

    A point of the FROC curve. Scans whose lesions are all below the rule's minimum volume take no part.
    """

    false_lesions_per_scan: float
    """The budget: mean number of unconfirmed predicted lesions over all scans, lesion-free ones included."""
    lesion_free: ClassVar[LesionFree] = "counted"
    is_conditional: ClassVar[bool] = True
    columns: ClassVar[tuple[str, ...]] = (
        "n_detected_lesions",
        "n_reference_lesions",
        "n_predicted_lesions",
        "n_true_predicted_lesions",
        "reference_volume_mm3",
    )

    @property
    def title(self) -> str:  # noqa: D102
        return f"lesion sensitivity with at most {self.false_lesions_per_scan:g} false positives per scan"

    def with_number(self, number: float) -> "LesionSensitivity":  # noqa: D102
        if not (math.isfinite(number) and number >= 0):
            raise ValueError("a number of false positives per scan, 0 or more")
        return LesionSensitivity(number)

    def measure(self, table: pd.DataFrame) -> FloatArray:  # noqa: D102
        detected, reference, predicted, confirmed, volume = column_arrays(table, self.columns)
        takes_part = (reference > 0) | (volume == 0)
        return np.where(takes_part, np.stack([detected, reference, predicted - confirmed]), np.nan)

    def summarize(self, measures: FloatArray) -> FloatArray:  # noqa: D102
        detected, reference, false = np.nansum(measures, axis=-2)
        excess = false / np.sum(~np.isnan(measures[2]), axis=-2) - self.false_lesions_per_scan
        score: FloatArray = np.where(excess <= _ROUNDING, detected / reference, -excess)
        return score

    def failure(self, measures: FloatArray, name: Callable[[int], str]) -> str:  # noqa: D102
        detected, reference, false = np.nansum(measures, axis=-2)
        if not detected.any():
            return "no threshold finds any lesion"
        per_scan = false / np.sum(~np.isnan(measures[2]), axis=-2)
        # Of those that find a lesion the one with the fewest false ones; of equals the one that finds most.
        near = int(np.lexsort((-detected, per_scan, detected == 0))[0])
        return (
            f"no threshold finds a lesion with at most {self.false_lesions_per_scan:g} false positives per scan; "
            f"nearest is {name(near)}, which finds {detected[near]:.0f} of {reference[near]:.0f} lesions with "
            f"{per_scan[near]:.3g} false positives per scan"
        )


@dataclass(frozen=True)
class JointF1Specificity(Objective):
    """The harmonic mean of two: the median voxel F1 of lesion-bearing scans, and the share of clean lesion-free scans.

    Clean is a scan without a predicted lesion, as in the subject-level specificity. The harmonic mean is 0 as soon as
    one of the two is; an arithmetic mean would reward empty predictions.
    """

    title: ClassVar[str] = "harmonic mean of median voxel F1 and share of clean lesion-free scans"
    lesion_free: ClassVar[LesionFree] = "needed"
    columns: ClassVar[tuple[str, ...]] = ("voxel_f1", "n_predicted_lesions", "reference_volume_mm3")

    def measure(self, table: pd.DataFrame) -> FloatArray:  # noqa: D102
        f1, predicted, volume = column_arrays(table, self.columns)
        return np.stack([f1, np.where(volume == 0, predicted == 0, np.nan)])

    def summarize(self, measures: FloatArray) -> FloatArray:  # noqa: D102
        f1, specificity = median_over_scans(measures[0]), mean_over_scans(measures[1])
        return _ratio(2 * f1 * specificity, f1 + specificity)


OBJECTIVES: dict[str, Objective] = {
    "median_voxel_f1": ScanScore("median voxel F1", "voxel_f1", median_over_scans),
    "mean_voxel_f1": ScanScore("mean voxel F1", "voxel_f1", mean_over_scans),
    "plateau_voxel_f1": PlateauVoxelF1(),
    "pooled_voxel_f1": PooledVoxelF1(),
    "median_lesion_f1": ScanScore("median lesion F1", "lesion_f1", median_over_scans),
    "mean_lesion_f1": ScanScore("mean lesion F1", "lesion_f1", mean_over_scans),
    "f_beta": MedianFBeta(beta=2),
    "lesion_sensitivity": LesionSensitivity(false_lesions_per_scan=1),
    "joint_f1_specificity": JointF1Specificity(),
    "repeatability": RepeatableVolume(least_f1=0.3),
}
"""``median_voxel_f1`` is that of Hussein et al. 2023, section 2.5. Some take another number after a colon."""


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide, with 0 / 0 = 0 (both parts of a harmonic mean are 0) and NaN kept."""
    quotient: FloatArray = numerator / np.where(denominator == 0, 1, denominator)
    return quotient
