"""Calibration: is p = 0.3 lesion in three of ten voxels? Counts that add up over scans, and temperature scaling.

Nothing here keeps a scan's voxels: every scan is reduced to counts by bin, counts are added, scores and the temperature
are computed from the sums. The caller chooses the voxels (for a network, those of the cord stack: the rest of the scan,
where p = 0, would make any map look calibrated).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Float32Array, FloatArray, IntArray, Mask
from cordlesion.io.probability import ROUNDING, count_reached

N_BINS = 15
"""Bins of the reliability diagram, as in Guo et al. (ICML 2017)."""
MAX_LOGIT = 16.0
"""Logits are cut here: float32 probabilities round to 1 from 16.6 on, and p = 0 would weigh infinitely."""
_LOGIT_BINS = 1600  # 0.02 wide
_LOG_TEMPERATURES = (math.log(0.05), math.log(20.0))


@dataclass(frozen=True, eq=False)
class ReliabilityCounts:
    """What calibration scores need to know of any number of voxels; add the counts of scans with ``+``."""

    n_voxels: FloatArray
    """Voxels of each bin of probability, equally wide from 0 to 1, shape (B,)."""
    n_lesion: FloatArray
    """Lesion voxels of each bin, shape (B,)."""
    sum_probability: FloatArray
    """Sum of the probabilities of each bin, shape (B,)."""
    squared_error: float
    """Sum of ``(p - y)^2`` over all voxels."""

    def __add__(self, other: "ReliabilityCounts") -> "ReliabilityCounts":
        return ReliabilityCounts(
            self.n_voxels + other.n_voxels,
            self.n_lesion + other.n_lesion,
            self.sum_probability + other.sum_probability,
            self.squared_error + other.squared_error,
        )

    @property
    def mean_probability(self) -> FloatArray:
        """Mean probability of each bin, the diagram's x; NaN in empty bins. Shape (B,)."""
        return _ratio(self.sum_probability, self.n_voxels)

    @property
    def lesion_share(self) -> FloatArray:
        """Share of lesion voxels in each bin, the diagram's y; NaN in empty bins. Shape (B,)."""
        return _ratio(self.n_lesion, self.n_voxels)

    @property
    def expected_calibration_error(self) -> float:
        """Mean over voxels of the bins' ``|mean probability - lesion share|`` (Naeini et al., AAAI 2015)."""
        gaps = np.abs(self.sum_probability - self.n_lesion)
        return float(gaps.sum() / self.n_voxels.sum()) if self.n_voxels.any() else math.nan

    @property
    def brier_score(self) -> float:
        """Mean of ``(p - y)^2`` (Brier, Mon. Weather Rev. 1950): 0 is best; p = 0.5 everywhere gives 0.25."""
        return float(self.squared_error / self.n_voxels.sum()) if self.n_voxels.any() else math.nan


@dataclass(frozen=True, eq=False)
class LogitCounts:
    """What fitting a temperature needs to know of any number of voxels; add the counts of scans with ``+``.

    The likelihood is computed as if all voxels of a bin, 0.02 wide, had the bin's mean logit. Its relative error is
    below ``0.02^2 / (8 T^2)``: 5e-5 at T = 1.
    """

    n_voxels: FloatArray
    """Voxels of each bin of logits, shape (B,)."""
    sum_logit: FloatArray
    """Sum of the logits of each bin, shape (B,)."""
    n_lesion: int
    """Lesion voxels."""
    sum_lesion_logit: float
    """Sum of the logits of the lesion voxels."""

    def __add__(self, other: "LogitCounts") -> "LogitCounts":
        return LogitCounts(
            self.n_voxels + other.n_voxels,
            self.sum_logit + other.sum_logit,
            self.n_lesion + other.n_lesion,
            self.sum_lesion_logit + other.sum_lesion_logit,
        )

    def negative_log_likelihood(self, temperature: float) -> float:
        """Return the mean cross-entropy of ``sigmoid(logit / temperature)``."""
        mean_logit = self.sum_logit / np.maximum(self.n_voxels, 1)
        total = np.sum(self.n_voxels * np.logaddexp(0, mean_logit / temperature)) - self.sum_lesion_logit / temperature
        return float(total / self.n_voxels.sum())


@dataclass(frozen=True)
class Temperature:
    """A temperature, and the cross-entropy that it reaches on the voxels it was fitted on."""

    value: float
    """T; the probabilities become ``sigmoid(logit(p) / T)``. Above 1 the map was too sure of itself."""
    negative_log_likelihood: float
    """Mean cross-entropy at T."""

    def apply(self, probability: npt.ArrayLike) -> Float32Array:
        """Return the calibrated probabilities, float32, of the same shape.

        The order of the voxels stays the same, and so do 0, 0.5 and 1. So thresholds can give the same masks as before
        (up to rounding): t becomes ``apply(t)``.
        """
        logit = special.logit(np.asarray(probability, dtype=np.float32))
        calibrated: Float32Array = np.asarray(special.expit(logit / np.float32(self.value)), np.float32)
        return calibrated


def count_reliability(probability: npt.ArrayLike, lesion: npt.ArrayLike, n_bins: int = N_BINS) -> ReliabilityCounts:
    """Count a scan's voxels for its reliability diagram.

    Args:
        probability: Values in [0, 1] of the voxels that count, any shape.
        lesion: Booleans, or 0 and 1, the same shape.
        n_bins: Bins from 0 to 1; a bin holds its lower limit, the last one both.

    Raises:
        CordlesionError: Shapes differ, or values lie outside their range.
    """
    p, y = _checked(probability, lesion)
    bins = count_reached(p, np.arange(1, n_bins) / n_bins)  # limits are reached as thresholds are
    return ReliabilityCounts(
        n_voxels=_by_bin(bins, np.ones_like(p), n_bins),
        n_lesion=_by_bin(bins, y.astype(np.float64), n_bins),
        sum_probability=_by_bin(bins, p, n_bins),
        squared_error=float(np.sum((p - y) ** 2)),
    )


def count_logits(probability: npt.ArrayLike, lesion: npt.ArrayLike) -> LogitCounts:
    """Count a scan's voxels for fitting a temperature.

    Args:
        probability: Values in [0, 1] of the voxels that count, any shape; their logits are cut at +-16.
        lesion: Booleans, or 0 and 1, the same shape.

    Raises:
        CordlesionError: Shapes differ, or values lie outside their range.
    """
    p, y = _checked(probability, lesion)
    logit = np.clip(special.logit(p), -MAX_LOGIT, MAX_LOGIT)
    bins = np.minimum(((logit / MAX_LOGIT + 1) / 2 * _LOGIT_BINS).astype(np.int64), _LOGIT_BINS - 1)
    return LogitCounts(
        n_voxels=_by_bin(bins, np.ones_like(p), _LOGIT_BINS),
        sum_logit=_by_bin(bins, logit, _LOGIT_BINS),
        n_lesion=int(np.count_nonzero(y)),
        sum_lesion_logit=float(logit[y].sum()),
    )


def fit_temperature(counts: LogitCounts) -> Temperature:
    """Find the temperature of lowest cross-entropy (temperature scaling: Guo et al., ICML 2017).

    The cross-entropy is convex in 1/T, so the minimum is the only one. It is sought between 0.05 and 20; voxels that
    the map separates without an error have none, and get the lower end.

    Args:
        counts: Of the threshold set: never of scans on which the calibrated map is judged.

    Raises:
        CordlesionError: There are no lesion voxels, or no others.
    """
    if not 0 < counts.n_lesion < counts.n_voxels.sum():
        raise CordlesionError(
            f"A temperature cannot be fitted: {counts.n_lesion} of {counts.n_voxels.sum():.0f} voxels are lesion; some "
            "voxels of each kind are needed. Give scans with lesions, and the whole cord of each."
        )
    found = optimize.minimize_scalar(
        lambda log_temperature: counts.negative_log_likelihood(math.exp(log_temperature)),
        bounds=_LOG_TEMPERATURES,
        method="bounded",
        options={"xatol": 1e-6},
    )
    value = math.exp(found.x)
    return Temperature(value, counts.negative_log_likelihood(value))


def _checked(probability: npt.ArrayLike, lesion: npt.ArrayLike) -> tuple[FloatArray, Mask]:
    given, y = np.asarray(probability, dtype=np.float64).ravel(), np.asarray(lesion).ravel()
    if np.shape(probability) != np.shape(lesion):
        raise CordlesionError(
            f"The probabilities have shape {np.shape(probability)} but the reference has {np.shape(lesion)}; a label "
            "for each probability is needed."
        )
    if not ((given >= -ROUNDING) & (given <= 1 + ROUNDING)).all():  # NaN fails too
        raise CordlesionError("Some probabilities lie outside 0 to 1. Give probabilities, not logits or percentages.")
    inside: Mask = y.astype(np.bool_)
    if not (inside == y).all():
        raise CordlesionError(
            "The reference has values other than 0 and 1; a binary mask is needed. Binarize it first."
        )
    return np.clip(given, 0, 1), inside


def _by_bin(bins: IntArray, values: FloatArray, n_bins: int) -> FloatArray:
    return np.bincount(bins, values, minlength=n_bins).astype(np.float64)


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Divide; NaN where there is nothing to divide by."""
    ratio: FloatArray = np.divide(part, whole, out=np.full(len(whole), math.nan), where=whole > 0)
    return ratio
