"""Which decision thresholds are tried, and which of several tied ones is taken."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]

THRESHOLDS: tuple[float, ...] = tuple(np.round(np.linspace(0, 1, 21), 2).tolist())
"""The study's grid: 0, 0.05 .. 1."""

FINE_THRESHOLDS: tuple[float, ...] = tuple(sorted({0.01, 0.02, 0.03, *THRESHOLDS}))
"""The study's grid and 0.01, 0.02, 0.03: a timid network's best threshold may lie below the study's first step."""

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

    def best(self, curve: FloatArray) -> tuple[int, int]:
        """Return the indices (volume, threshold) of the highest value of ``curve``, shape (V * T,).

        Of tied cells those with the lowest minimum volume count, and of their thresholds the middle of the widest run
        (the lower of two middles, the lower of two widest runs).
        """
        tied = curve.reshape(len(self.volumes_mm3), -1) >= curve.max() - TIE
        volume = int(tied.any(axis=1).argmax())
        return volume, _middle_of_widest_run(np.flatnonzero(tied[volume]), self.thresholds)

    def score_of_marking_all(self, curve: FloatArray) -> float:
        """Return what t = 0, where every voxel is lesion, scores in ``curve``, shape (V * T,).

        0 where it breaks the objective's condition or is not part of the grid: no score is worth less.
        """
        at_zero = curve.reshape(len(self.volumes_mm3), -1)[:, self.thresholds == 0]
        return float(at_zero.max(initial=0.0))


def _middle_of_widest_run(tied: npt.NDArray[np.intp], thresholds: FloatArray) -> int:
    # Widths and distances are rounded: those of equal runs of the grid differ in the last digits.
    runs = np.split(tied, np.flatnonzero(np.diff(tied) > 1) + 1)
    widest = max(runs, key=lambda run: round(float(thresholds[run[-1]] - thresholds[run[0]]), 9))
    middle = (thresholds[widest[0]] + thresholds[widest[-1]]) / 2
    return int(widest[np.abs(thresholds[widest] - middle).round(9).argmin()])
