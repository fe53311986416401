"""Which decision thresholds are tried, and which of several tied ones is taken."""

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class Grid:
    """The cells among which a choice is made: thresholds, and minimum lesion volumes where those are tuned too."""

    thresholds: FloatArray
    """Ascending, shape (T,)."""
    volumes_mm3: FloatArray
    """Ascending, shape (V,); a single NaN where the minimum volume is not tuned."""

    @property
    def tunes_volume(self) -> bool:
        """Whether minimum lesion volumes are chosen too."""
        return not np.isnan(self.volumes_mm3).any()

    def best(self, curve: FloatArray, tolerance: float = 0.0) -> tuple[int, int]:
        """Return the indices (volume, threshold) of the highest value of ``curve``, shape (V * T,).

        Of tied cells those with the lowest minimum volume count, and of their thresholds the middle of the widest run
        (the lower of two middles, the lower of two widest runs). At that volume, thresholds whose value is lower by at
        most ``tolerance`` are tied, too, if it is at least half of the highest and above that of t = 0.
        """
        values = curve.reshape(len(self.volumes_mm3), -1)
        volume = int((values >= curve.max() - TIE).any(axis=1).argmax())
        tied = values[volume] >= curve.max() - TIE
        if tolerance and curve.max() > 0:
            marking_all = values[volume][self.thresholds == 0].max(initial=0.0)
            least = max(curve.max() - tolerance - TIE, curve.max() / 2, marking_all + TIE)
            tied = tied | (values[volume] >= least)
        return volume, _middle_of_widest_run(np.flatnonzero(tied), self.thresholds)

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
        """Return the cell that :meth:`best` chooses of each curve, shape (N, V * T), as its place in the curve."""
        highest = curves.max(axis=1, keepdims=True)
        cells: IndexArray = curves.argmax(axis=1)
        for row in np.flatnonzero((curves >= highest - max(tolerance, TIE)).sum(axis=1) > 1):
            volume, threshold = self.best(curves[row], tolerance)
            cells[row] = volume * len(self.thresholds) + threshold
        return cells

    def name(self, cell: int) -> str:
        """Name a cell, numbered as in a curve of shape (V * T,)."""
        v, t = divmod(cell, len(self.thresholds))
        volume = f" and a minimum volume of {self.volumes_mm3[v]:g} mm3" if self.tunes_volume else ""
        return f"t = {self.thresholds[t]:g}{volume}"

    @property
    def above_zero(self) -> IndexArray:
        """The cells of a curve of shape (V * T,) whose threshold is above 0."""
        return np.flatnonzero(np.tile(self.thresholds > 0, len(self.volumes_mm3)))

    def score_of_marking_all(self, curve: FloatArray) -> float:
        """Return what t = 0, where every voxel is lesion, scores in ``curve``, shape (V * T,).

        0 where it breaks the objective's condition or is not part of the grid: no score is worth less.
        """
        at_zero = curve.reshape(len(self.volumes_mm3), -1)[:, self.thresholds == 0]
        return float(at_zero.max(initial=0.0))


def _middle_of_widest_run(tied: IndexArray, thresholds: FloatArray) -> int:
    # Widths and distances are rounded: those of equal runs of the grid differ in the last digits.
    runs = np.split(tied, np.flatnonzero(np.diff(tied) > 1) + 1)
    widest = max(runs, key=lambda run: round(float(thresholds[run[-1]] - thresholds[run[0]]), 9))
    middle = (thresholds[widest[0]] + thresholds[widest[-1]]) / 2
    return int(widest[np.abs(thresholds[widest] - middle).round(9).argmin()])
