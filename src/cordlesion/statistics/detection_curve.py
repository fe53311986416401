"""How the probability of detection grows with the size of a lesion: a logistic curve with a ceiling, and its interval.

The probability of detection is ceiling / (1 + exp(-slope (log size - middle))): a psychometric function whose lapse
rate is not assumed to be 0 (Wichmann & Hill 2001, Percept. Psychophys. 63:1293), because a method may miss some lesions
of any size. It is fitted by maximum likelihood with a weak prior on a grid of curves, all of which rise. A grid always
gives an answer: where small lesions are all missed and large ones all found, an iteration would not converge.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from cordlesion.io.arrays import FloatArray, IndexArray, Mask
from cordlesion.statistics.intervals import MIN_SUBJECTS, draw_counts

N_RESAMPLES = 400
_MIDDLES, _BEYOND = 72, 1.5
"""Middles of the curves of the grid, on a log scale; they reach beyond the sizes by a factor of exp(1.5)."""
_SLOPES = np.geomspace(0.4, 12, 9)
_CEILINGS = np.concatenate([[0.02, 0.05], np.arange(0.1, 0.95, 0.1), [0.95, 0.99]])
_TYPICAL_SLOPE, _SLOPE_LOG_SD = 2.5, 0.8
"""The prior of the slope."""


@dataclass(frozen=True)
class DetectionCurve:
    """One curve; sizes are in any unit."""

    middle: float
    """Logarithm of the size at half the ceiling."""
    slope: float
    ceiling: float
    """Probability of detection of very large lesions."""
    sizes: tuple[float, float]
    """Smallest and largest size that were tried."""

    def probability(self, sizes: npt.ArrayLike) -> FloatArray:
        """Return the probability of detection of lesions of some sizes."""
        log_sizes = np.log(np.asarray(sizes, dtype=np.float64))
        return np.asarray(self.ceiling * expit(self.slope * (log_sizes - self.middle)), np.float64)

    def size_at(self, probability: float) -> float:
        """Return the size from which on lesions are detected with a probability.

        Infinity if the curve does not reach it among the sizes that were tried; the smallest of these sizes if even
        such lesions are detected that often.
        """
        if self.ceiling <= probability:
            return math.inf
        low, high = self.sizes
        log_size = self.middle + float(logit(probability / self.ceiling)) / self.slope
        return math.inf if log_size > math.log(high) else max(low, math.exp(log_size))


@dataclass(frozen=True)
class DetectionLimit:
    """The size from which on lesions are detected with a probability, and its interval."""

    probability: float
    size: float
    """As :meth:`DetectionCurve.size_at`; NaN without lesions."""
    low: float
    high: float
    """Infinity where part of the interval is not reached; both NaN with fewer than 5 units."""


@dataclass(frozen=True, eq=False)
class FittedCurve:
    """A curve with the uncertainty of its limits."""

    curve: DetectionCurve
    resampled: tuple[DetectionCurve, ...]
    """Curves of resampled units; empty with fewer than 5 units."""

    def limit(self, probability: float, confidence: float = 0.95) -> DetectionLimit:
        """Return the size at a probability, with its percentile interval."""
        sizes = np.array([curve.size_at(probability) for curve in self.resampled])
        if not len(sizes):
            return DetectionLimit(probability, self.curve.size_at(probability), math.nan, math.nan)
        tail = (1 - confidence) / 2
        # No interpolation: between a size and infinity there is none.
        low = float(np.quantile(sizes, tail, method="lower"))
        high = float(np.quantile(sizes, 1 - tail, method="higher"))
        return DetectionLimit(probability, self.curve.size_at(probability), low, high)

    def band(self, sizes: npt.ArrayLike, confidence: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Return the interval of the probability of detection at each size."""
        if not self.resampled:
            nothing = np.full(np.shape(sizes), math.nan)
            return nothing, nothing
        curves = np.array([curve.probability(sizes) for curve in self.resampled])
        low, high = np.quantile(curves, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
        return low, high


class CurveFamily:
    """The curves of the grid for lesions of some sizes: fitted to any detections of these lesions.

    Examples:
        >>> import numpy as np
        >>> sizes = np.geomspace(5, 500, 60)
        >>> family = CurveFamily(sizes, np.arange(60) // 2)
        >>> fitted = family.fit(sizes > 50)
        >>> 45 < fitted.curve.size_at(0.5) < 55
        True
    """

    def __init__(
        self,
        sizes: npt.ArrayLike,
        units: Sequence[object] | npt.ArrayLike,
        n_resamples: int = N_RESAMPLES,
        seed: int = 0,
    ) -> None:
        """Prepare the grid.

        Args:
            sizes: Size of each lesion, above 0; shape (L,), at least one.
            units: The unit (subject, scan) of each lesion; lesions of one unit are resampled together.
            n_resamples: Resamples of the units.
            seed: Of the resamples.
        """
        log_sizes = np.log(np.asarray(sizes, dtype=np.float64))
        self._sizes = float(np.exp(log_sizes.min())), float(np.exp(log_sizes.max()))
        middles = np.linspace(log_sizes.min() - _BEYOND, log_sizes.max() + _BEYOND, _MIDDLES)
        grid = np.stack([part.ravel() for part in np.meshgrid(middles, _SLOPES, _CEILINGS, indexing="ij")])
        self._grid = grid
        p = (grid[2, :, None] * expit(grid[1, :, None] * (log_sizes - grid[0, :, None]))).clip(1e-4, 1 - 1e-4)
        self._log_found, self._log_missed = np.log(p), np.log1p(-p)
        self._prior = -0.5 * (np.log(grid[1] / _TYPICAL_SLOPE) / _SLOPE_LOG_SD) ** 2 + 0.5 * np.log(grid[2])
        names, owner = np.unique(np.asarray(units), return_inverse=True)
        counts = draw_counts(len(names), n_resamples, np.random.default_rng(seed))
        self._weights = counts[:, owner].astype(np.float64) if len(names) >= MIN_SUBJECTS else np.zeros((0, len(owner)))

    def fit(self, found: npt.ArrayLike) -> FittedCurve:
        """Fit the detections of the lesions, shape (L,)."""
        hit = np.asarray(found, dtype=bool)
        weights = np.concatenate([np.ones((1, len(hit))), self._weights])
        best = self._best(hit, weights)
        curves = [self._curve(k) for k in best]
        return FittedCurve(curves[0], tuple(curves[1:]))

    def _best(self, hit: Mask, weights: FloatArray) -> IndexArray:
        likelihood = (weights * hit) @ self._log_found.T + (weights * ~hit) @ self._log_missed.T
        best: IndexArray = (likelihood + self._prior).argmax(axis=1)
        return best

    def _curve(self, index: int) -> DetectionCurve:
        middle, slope, ceiling = (float(part) for part in self._grid[:, index])
        return DetectionCurve(middle, slope, ceiling, self._sizes)
