"""What a decision threshold maximises: one number over the scans of the threshold set, at each threshold."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Self, TypeAlias

import numpy as np
import pandas as pd

from cordlesion.io.arrays import FloatArray

LesionFree: TypeAlias = Literal["left out", "counted", "needed"]

# Means of the same counts differ by rounding; a budget that is met exactly is met.
_ROUNDING = 1e-9


class Objective(ABC):
    """What is maximised.

    A scan enters with one or several measures at each threshold; a summary over scans turns them into the score. So the
    bootstrap can draw scans again without a look at the table.
    """

    lesion_free: ClassVar[LesionFree] = "left out"
    """What becomes of scans whose reference holds no lesion voxel."""
    is_conditional: ClassVar[bool] = False
    """Whether a cell may break a condition; its score is then no score of that kind, and none can be averaged."""

    tolerance: float = 0.0
    """Thresholds whose score is lower than the highest by at most this are tied: the middle of their run is chosen."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Its name in reports, and its description in the help of the command line."""

    @property
    def choice(self) -> str:
        """Describe which of several thresholds is chosen."""
        near = f"the middle of those with a {self.title} within {self.tolerance:g} of the highest"
        return near if self.tolerance else f"the one with the highest {self.title}"

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that are read; the first one is named where a row is missing."""

    @abstractmethod
    def measure(self, table: pd.DataFrame) -> FloatArray:
        """Return the measures of each row, shape (M, rows); all NaN for a scan that takes no part."""

    @abstractmethod
    def summarize(self, measures: FloatArray) -> FloatArray:
        """Summarise over scans: (M, ..., scans, cells) -> (..., cells); NaN is left out.

        Never negative where the cell may be chosen. A negative score is the amount by which a cell breaks the
        objective's condition.
        """

    def failure(self, measures: FloatArray, name: Callable[[int], str]) -> str:  # noqa: ARG002 - only some need them
        """Describe that no cell has a score above 0, and which one comes nearest, where there is a condition.

        Args:
            measures: Shape (M, scans, cells).
            name: Gives the printed name of a cell.
        """
        return f"at no threshold is the {self.title} above 0"

    def with_number(self, _: float) -> Self:
        """Return the objective with the number after the colon of its name; most take none.

        Raises:
            ValueError: With what is needed instead.
        """
        raise ValueError("no number, since this objective takes none")


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
    n = np.sum(~np.isnan(scores), axis=-2)
    mean: FloatArray = np.where(n, np.nansum(scores, axis=-2) / np.maximum(n, 1), np.nan)
    return mean


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
    """The share of all reference lesions that is detected, where false lesions per scan stay within a budget.

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
        return f"lesion sensitivity with at most {self.false_lesions_per_scan:g} false lesions per scan"

    def with_number(self, number: float) -> "LesionSensitivity":  # noqa: D102
        if not (math.isfinite(number) and number >= 0):
            raise ValueError("a number of false lesions per scan, 0 or more")
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
            f"no threshold finds a lesion with at most {self.false_lesions_per_scan:g} false lesions per scan; nearest "
            f"is {name(near)}, which finds {detected[near]:.0f} of {reference[near]:.0f} lesions with "
            f"{per_scan[near]:.3g} false lesions per scan"
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
}
"""``median_voxel_f1`` is that of Hussein et al. 2023, section 2.5. Some take another number after a colon."""


def column_arrays(table: pd.DataFrame, columns: tuple[str, ...]) -> FloatArray:
    """Return columns of a table, shape (columns, rows)."""
    return np.stack([table[name].to_numpy(dtype=np.float64) for name in columns])


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide, with 0 / 0 = 0 (both parts of a harmonic mean are 0) and NaN kept."""
    quotient: FloatArray = numerator / np.where(denominator == 0, 1, denominator)
    return quotient
