"""Which decision thresholds are tried, and which of several tied ones is taken."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from cordlesion.io.arrays import FloatArray, IndexArray

THRESHOLDS: tuple[float, ...] = tuple(np.round(np.linspace(0, 1, 21), 2).tolist())
"""The grid of Hussein et al. 2023: 0, 0.05 .. 1."""

FINE_THRESHOLDS: tuple[float, ...] = tuple(sorted({0.01, 0.02, 0.03, *THRESHOLDS}))
"""That grid and 0.01, 0.02, 0.03: the best threshold of a network with low probabilities may lie below 0.05."""

GRIDS: Mapping[str, tuple[float, ...]] = MappingProxyType({"paper": THRESHOLDS, "fine": FINE_THRESHOLDS})
"""Grids by name."""

TIE = 1e-12
"""Scores closer than this are tied; means of the same numbers differ by rounding."""


VOLUME = "minimum_volume_mm3"
"""Components are kept when larger than this."""
PEAK = "peak"
"""Components are kept when their highest probability reaches this."""
MOST = "most_components"
"""At most so many components are kept, those with the highest peaks."""
SLOPE = "volume_slope"
"""By how much the logit of the threshold changes when the volume of a scan's lesions is e times as large."""
LEAST_DICE = "least_expected_dice"
"""Scans whose expected Dice is lower are empty."""

SETTINGS: Mapping[str, Callable[[FloatArray], FloatArray]] = MappingProxyType(
    {VOLUME: np.positive, PEAK: np.positive, MOST: np.negative, SLOPE: np.abs, LEAST_DICE: np.positive}
)
"""What may be tuned together with the threshold: columns of the table, and of each what is lowest where the setting
changes least, which is taken where scores are tied."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The cells among which a choice is made: thresholds, and what is tuned together with them."""

    thresholds: FloatArray
    """Ascending, shape (T,)."""
    settings: Mapping[str, FloatArray] = field(default_factory=dict)
    """Values of each that is tuned, in order of preference; none where the threshold alone is tuned."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a curve: a length for each of the settings, and T."""
        return (*map(len, self.settings.values()), len(self.thresholds))

    def setting(self, number: int) -> dict[str, float]:
        """Return the values of a combination of settings."""
        places = np.unravel_index(number, self.shape[:-1]) if self.settings else ()
        return {name: float(values[k]) for (name, values), k in zip(self.settings.items(), places, strict=True)}

    def best(self, curve: FloatArray, tolerance: float = 0.0) -> tuple[int, int]:
        """Return the numbers (settings, threshold) of the highest value of ``curve``, shape (S * T,).

        Of tied cells those with the first of the settings count, and of their thresholds the middle of the widest run
        (the lower of two middles, the lower of two widest runs). With these settings, thresholds whose value is lower
        by at most ``tolerance`` are tied, too, if it is at least half of the highest and above that of t = 0.
        """
        values = curve.reshape(-1, len(self.thresholds))
        number = int((values >= curve.max() - TIE).any(axis=1).argmax())
        tied = values[number] >= curve.max() - TIE
        if tolerance and curve.max() > 0:
            marking_all = values[number][self.thresholds == 0].max(initial=0.0)
            least = max(curve.max() - tolerance - TIE, curve.max() / 2, marking_all + TIE)
            tied = tied | (values[number] >= least)
        return number, _middle_of_widest_run(np.flatnonzero(tied), self.thresholds)

    def best_above_zero(self, curve: FloatArray, tolerance: float = 0.0) -> tuple[int, int] | None:
        """Return as :meth:`best` the best cell that does not mark every voxel (t = 0), if there are others.

        None where all others break the objective's condition (they are below 0).
        """
        volume, threshold = self.best(curve, tolerance)
        if self.thresholds[threshold] > 0 or not len(self.above_zero):
            return volume, threshold
        others = np.full_like(curve, -1)
        others[self.above_zero] = curve[self.above_zero]
        return self.best(others, tolerance) if others.max() >= 0 else None

    def best_cells(self, curves: FloatArray, tolerance: float = 0.0) -> IndexArray:
        """Return the cell that :meth:`best` chooses of each curve, shape (N, S * T), as its place in the curve."""
        highest = curves.max(axis=1, keepdims=True)
        cells: IndexArray = curves.argmax(axis=1)
        for row in np.flatnonzero((curves >= highest - max(tolerance, TIE)).sum(axis=1) > 1):
            number, threshold = self.best(curves[row], tolerance)
            cells[row] = number * len(self.thresholds) + threshold
        return cells

    def name(self, cell: int) -> str:
        """Name a cell, numbered as in a curve of shape (S * T,)."""
        number, t = divmod(cell, len(self.thresholds))
        words = [f"t = {self.thresholds[t]:g}"]
        words += [f"{name} = {value:g}" for name, value in self.setting(number).items()]
        return ", ".join(words)

    @property
    def above_zero(self) -> IndexArray:
        """The cells of a curve of shape (S * T,) whose threshold is above 0."""
        return np.flatnonzero(np.tile(self.thresholds > 0, math.prod(self.shape[:-1])))

    def score_of_marking_all(self, curve: FloatArray) -> float:
        """Return what t = 0, where every voxel is lesion, scores in ``curve``, shape (S * T,).

        0 where it breaks the objective's condition or is not part of the grid: no score is worth less.
        """
        at_zero = curve.reshape(-1, len(self.thresholds))[:, self.thresholds == 0]
        return float(at_zero.max(initial=0.0))


def _middle_of_widest_run(tied: IndexArray, thresholds: FloatArray) -> int:
    # Widths and distances are rounded: those of equal runs of the grid differ in the last digits.
    runs = np.split(tied, np.flatnonzero(np.diff(tied) > 1) + 1)
    widest = max(runs, key=lambda run: round(float(thresholds[run[-1]] - thresholds[run[0]]), 9))
    middle = (thresholds[widest[0]] + thresholds[widest[-1]]) / 2
    return int(widest[np.abs(thresholds[widest] - middle).round(9).argmin()])
