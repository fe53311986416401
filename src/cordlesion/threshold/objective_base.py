"""What an objective is: one number over the scans of the threshold set, at each threshold; and summaries over scans."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal, Self, TypeAlias

import numpy as np
import pandas as pd

from cordlesion.io.arrays import FloatArray

LesionFree: TypeAlias = Literal["left out", "counted", "needed"]


class Objective(ABC):
    """What is maximised.

    A scan enters with one or several measures at each threshold; a summary over scans turns them into the score. So the
    bootstrap can draw scans again without a look at the table.
    """

    lesion_free: ClassVar[LesionFree] = "left out"
    """What becomes of scans whose reference holds no lesion voxel."""
    is_conditional: ClassVar[bool] = False
    """Whether a cell may break a condition; its score is then no score of that kind, and none can be averaged."""
    compares_repeats: ClassVar[bool] = False
    """Whether scans that repeat each other are compared; the table then needs the column ``repeat``, too."""

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


def column_arrays(table: pd.DataFrame, columns: tuple[str, ...]) -> FloatArray:
    """Return columns of a table, shape (columns, rows)."""
    return np.stack([table[name].to_numpy(dtype=np.float64) for name in columns])
