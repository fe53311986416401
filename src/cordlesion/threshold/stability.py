"""How much a decision threshold may move before the score suffers."""

import math
from dataclasses import dataclass

import numpy as np

from cordlesion.io.arrays import FloatArray

# A threshold is on the plateau when its score is at least this share of the best one.
_PLATEAU_SHARE = 0.95
# The paper looks at perturbations of this size (section 3).
_SHIFT = 0.05


@dataclass(frozen=True)
class Stability:
    """How much the threshold may move before the score suffers."""

    plateau: tuple[float, float]
    """Lowest and highest threshold above 0 around the chosen one between which the score stays within 5 % of the best.
    """
    loss_below: float
    """Score lost at t - 0.05 (negative where it gains); NaN where that lies outside the grid or is 0."""
    loss_above: float
    """Score lost at t + 0.05, likewise."""
    area: float
    """Area under the curve above t = 0 over its width: the mean score of a threshold taken at random."""

    @property
    def width(self) -> float:
        """Width of the plateau; 0 when the next thresholds on both sides are already worse."""
        return self.plateau[1] - self.plateau[0]


NO_STABILITY = Stability((math.nan, math.nan), math.nan, math.nan, math.nan)
"""Of a rule that has no threshold to move."""


def measure_stability(thresholds: FloatArray, curve: FloatArray, best: int) -> Stability:
    """Measure the stability of one threshold of a curve.

    t = 0 lies outside, as t > 1 does: there every voxel is lesion, so that its score does not depend on the maps. A
    choice of t = 0 has no plateau and no neighbours.

    Args:
        thresholds: Ascending, shape (T,).
        curve: Score at each, shape (T,); negative where the objective's condition is broken, which scores 0 here.
        best: Index of the chosen one.
    """
    inside = thresholds > 0
    x, y = thresholds[inside], np.maximum(curve, 0)[inside]
    area = _mean_height(x, y)
    if thresholds[best] == 0:
        return Stability(plateau=(0.0, 0.0), loss_below=math.nan, loss_above=math.nan, area=area)
    here = best - int(np.sum(~inside))
    return Stability(
        plateau=_plateau(x, y, here),
        loss_below=_loss(x, y, here, -_SHIFT),
        loss_above=_loss(x, y, here, _SHIFT),
        area=area,
    )


def _plateau(thresholds: FloatArray, scores: FloatArray, best: int) -> tuple[float, float]:
    """Return the ends of the run of thresholds around the best one that score nearly as well."""
    worse = np.flatnonzero(scores < _PLATEAU_SHARE * scores[best])
    low = worse[worse < best].max(initial=-1) + 1
    high = worse[worse > best].min(initial=len(scores)) - 1
    return float(thresholds[low]), float(thresholds[high])


def _loss(thresholds: FloatArray, scores: FloatArray, best: int, shift: float) -> float:
    # Rounded, because 0.15 - 0.05 is not quite 0.1; between thresholds of the grid the curve is taken as straight.
    moved = round(float(thresholds[best]) + shift, 9)
    if not thresholds[0] <= moved <= thresholds[-1]:
        return math.nan
    return float(scores[best] - np.interp(moved, thresholds, scores))


def _mean_height(thresholds: FloatArray, scores: FloatArray) -> float:
    if len(thresholds) < 2:
        return float(scores.max(initial=0.0))
    return float(np.trapezoid(scores, thresholds) / (thresholds[-1] - thresholds[0]))
