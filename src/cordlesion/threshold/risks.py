"""What a promise limits in the scans of a subject, and how thresholds are tested against a limit (numpy and pandas)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd

from cordlesion.io.arrays import FloatArray, IndexArray, Mask
from cordlesion.statistics import mean_share_interval, rate_interval
from cordlesion.threshold.grid import TIE, Grid
from cordlesion.threshold.guarantees import by_subject, certify, shown_in_draws, who_counts
from cordlesion.threshold.objective import LesionFree, Objective, column_arrays
from cordlesion.threshold.promise import Promise, RiskName
from cordlesion.threshold.scans import arrange_scans

_COUNTED = 5
"""False positives are counted up to this many times the limit."""


@dataclass(frozen=True)
class Risk:
    """What may be limited."""

    starts: tuple[float, ...]
    """Thresholds at which testing begins, from the safest on. The second one is for maps whose safest thresholds are
    not the best: at very low ones lesions merge, and at very high ones only parts of lesions are left."""
    largest: Callable[[float], float]
    """What a subject counts at most, by the limit."""
    allowed: float
    """Limits must be below."""

    @property
    def rises(self) -> bool:
        """Whether higher thresholds are less safe."""
        return self.starts[0] < self.starts[-1]

    def sequence(self, thresholds: FloatArray) -> tuple[IndexArray, list[int]]:
        """Return the places of thresholds above 0 from the safest on, and the places in that order where tests begin.

        Args:
            thresholds: Ascending.
        """
        places = np.flatnonzero(thresholds > 0)
        order = places if self.rises else places[::-1]
        sign = 1 if self.rises else -1
        begun = np.searchsorted(sign * thresholds[order], [sign * start - TIE for start in self.starts])
        return order, sorted({int(place) for place in begun if place < len(order)} or {0})


RISKS: Mapping[RiskName, Risk] = MappingProxyType(
    {
        "missed": Risk((0.05, 0.15), lambda _: 1.0, 1.0),
        "false_positives": Risk((1.0, 0.5), lambda limit: _COUNTED * limit, 1e4),
    }
)
"""Both are measured in every scan of the table, in this order."""


@dataclass(frozen=True)
class RiskMeasures(Objective):
    """Both risks of each scan; arranged as objectives are."""

    title: ClassVar[str] = "share of lesions missed"
    lesion_free: ClassVar[LesionFree] = "counted"
    columns: ClassVar[tuple[str, ...]] = (
        "n_detected_lesions",
        "n_reference_lesions",
        "n_predicted_lesions",
        "n_true_predicted_lesions",
        "reference_volume_mm3",
    )

    def measure(self, table: pd.DataFrame) -> FloatArray:  # noqa: D102
        detected, reference, predicted, confirmed, volume = column_arrays(table, self.columns)
        missed = np.where(reference > 0, 1 - detected / np.maximum(reference, 1), np.nan)
        # As for lesion_sensitivity: scans whose lesions are all below the minimum volume take no part.
        return np.stack([missed, np.where((reference > 0) | (volume == 0), predicted - confirmed, np.nan)])

    def summarize(self, measures: FloatArray) -> FloatArray:  # noqa: D102
        mean: FloatArray = np.nanmean(measures[0], axis=-2)
        return mean


@dataclass(frozen=True, eq=False)
class SubjectRisks:
    """What happens in the scans of each subject at each cell."""

    grid: Grid
    losses: Mapping[RiskName, FloatArray]
    """Of each risk, shape (subjects, cells); subjects for whom a risk is undefined are left out."""
    subjects: Mapping[RiskName, IndexArray]
    """Of each risk, whose rows these are, as numbers from 0, ascending. Who has lesions has both risks."""
    lesion_free: bool
    """Whether there are lesion-free scans."""

    @property
    def means(self) -> dict[RiskName, FloatArray]:
        """Over subjects, shape (cells,)."""
        return {name: values.mean(axis=0) for name, values in self.losses.items()}

    def at(self, cell: int) -> dict[RiskName, float]:
        """Return the means at a cell."""
        return {name: float(mean[cell]) for name, mean in self.means.items()}


def measure_risks(table: pd.DataFrame) -> SubjectRisks:
    """Measure both risks in every subject of a table of scans.

    Args:
        table: A row per scan and threshold, as for :func:`cordlesion.choose_threshold`.

    Raises:
        CordlesionError: As :func:`cordlesion.choose_threshold`.
    """
    scans = arrange_scans(table, RiskMeasures())
    measures = dict(zip(RISKS, scans.measures, strict=True))
    losses = {name: by_subject(values, scans.subjects) for name, values in measures.items()}
    who = {name: who_counts(values, scans.subjects) for name, values in measures.items()}
    return SubjectRisks(scans.grid, losses, who, bool(scans.lesion_free.any()))


class MeasuredRisk(NamedTuple):
    """A risk of masks, in the mean over subjects."""

    value: float
    low: float
    """Of the 95 % interval over subjects."""
    high: float
    n_subjects: int


def risks_of_masks(table: pd.DataFrame) -> dict[RiskName, MeasuredRisk]:
    """Return both risks of masks; none where no lesion counts.

    Args:
        table: A row per scan, as for :func:`measure_risks`.
    """
    if not (table["n_reference_lesions"] > 0).any():
        return {}
    found = {}
    for name, values in measure_risks(table.assign(threshold=1.0)).losses.items():
        subjects = values[:, 0]
        is_share = name == "missed"
        low, high = mean_share_interval(subjects) if is_share else rate_interval(subjects, np.arange(len(subjects)))
        found[name] = MeasuredRisk(float(subjects.mean()), low, high, len(subjects))
    return found


@dataclass(frozen=True, eq=False)
class TestedRisk:
    """One risk with its limit."""

    grid: Grid
    name: RiskName
    limit: float
    losses: FloatArray
    """Of each subject at each cell, up to the largest, shape (subjects, cells)."""
    subjects: IndexArray
    """Their numbers, ascending."""

    @classmethod
    def of(cls, risks: SubjectRisks, name: RiskName, limit: float) -> Self:
        """Return a risk with its limit.

        Args:
            risks: What was measured; losses count up to the largest.
            name: Of the risk.
            limit: What its mean over subjects may be.
        """
        losses = np.minimum(risks.losses[name], RISKS[name].largest(limit))
        return cls(risks.grid, name, limit, losses, risks.subjects[name])

    @property
    def largest(self) -> float:
        """What a subject counts at most."""
        return RISKS[self.name].largest(self.limit)

    @property
    def _sequences(self) -> tuple[list[IndexArray], list[int]]:
        order, starts = RISKS[self.name].sequence(self.grid.thresholds)
        width = len(self.grid.thresholds)
        return [order + width * number for number in range(self.losses.shape[1] // width)], starts

    @property
    def start_cells(self) -> list[int]:
        """The cells at which tests begin: they are fixed before any scan is seen."""
        sequences, starts = self._sequences
        return [int(one[place]) for one in sequences for place in starts]

    def valid_cells(self, error_rate: float) -> Mask:
        """Return which cells are shown to keep the limit, shape (cells,)."""
        sequences, starts = self._sequences
        found = certify(
            self.losses,
            self.limit,
            [one.tolist() for one in sequences],
            starts=starts,
            largest=self.largest,
            error_rate=error_rate,
        )
        return np.isin(np.arange(self.losses.shape[1]), found.valid)

    def valid_in_draws(self, drawn: IndexArray, error_rate: float) -> Mask:
        """Return which cells are shown to keep the limit by subjects who are drawn, shape (draws, cells).

        Args:
            drawn: Rows of the losses, in one or several orders, shape (draws, orders, n).
            error_rate: Chance that a returned cell does not, of each draw.
        """
        sequences, starts = self._sequences
        scaled, limit = self.losses / self.largest, self.limit / self.largest
        return shown_in_draws(scaled, limit, [one.tolist() for one in sequences], starts, error_rate, drawn)

    def promise(self, certainty: float, lesion_rule: str, *, lesion_free: bool) -> Promise:
        """Return the promise as it is recorded."""
        return Promise(
            risk=self.name,
            limit=self.limit,
            certainty=certainty,
            n=len(self.losses),
            lesion_rule=lesion_rule,
            lesion_free=lesion_free and self.name == "false_positives",
            counted_up_to=self.largest if self.name == "false_positives" else None,
        )
