"""Calibration with two numbers: ``sigmoid(scale * logit(p) + shift)`` (Platt 1999), for voxels and for lesions."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray, IndexArray
from cordlesion.metrics.calibration import MAX_LOGIT

FOLDS = 10
"""Parts of the subjects for :func:`cross_fitted`."""
_BOUNDS = ((0.01, 20.0), (-30.0, 30.0))


@dataclass(frozen=True)
class PlattScaling:
    """A calibration; the order of probabilities stays the same."""

    scale: float
    shift: float

    def apply(self, probability: npt.ArrayLike) -> FloatArray:
        """Return the calibrated probabilities, of the same shape."""
        calibrated: FloatArray = special.expit(self.scale * limited_logit(probability) + self.shift)
        return calibrated


def limited_logit(probability: npt.ArrayLike) -> FloatArray:
    """Return the logit, cut at +-16: probabilities of 0 and 1 would weigh infinitely."""
    cut: FloatArray = np.clip(special.logit(np.asarray(probability, dtype=np.float64)), -MAX_LOGIT, MAX_LOGIT)
    return cut


def fit_platt(logits: FloatArray, n: FloatArray, n_true: FloatArray) -> PlattScaling:
    """Fit scale and shift by the highest likelihood.

    The targets are Platt's: ``(N1 + 1) / (N1 + 2)`` and ``1 / (N0 + 2)`` in place of 1 and 0, so that the fit is finite
    where the logits separate what is true.

    Args:
        logits: Of each group, shape (G,).
        n: Members of each group, shape (G,).
        n_true: Those that are lesion, shape (G,).

    Raises:
        CordlesionError: All are lesion, or none is.

    Examples:
        >>> import numpy as np
        >>> from cordlesion.metrics.platt import fit_platt
        >>> found = fit_platt(np.array([-2.0, 0.0, 2.0]), n=np.array([100, 100, 100]), n_true=np.array([5, 20, 60]))
        >>> found.apply([0.12, 0.5, 0.88]).round(2).tolist()
        [0.05, 0.2, 0.6]
    """
    total, true = float(n.sum()), float(n_true.sum())
    if not 0 < true < total:
        raise CordlesionError(
            f"Probabilities cannot be calibrated: {true:.0f} of {total:.0f} are lesion; some of each kind are needed. "
            "Tune on scans with lesions whose maps are above 0."
        )
    high, low = (true + 1) / (true + 2), 1 / (total - true + 2)
    targets = n_true * high + (n - n_true) * low
    # The optimiser's tolerances are absolute: the loss is that of a member of the scarcer kind, however rare it is.
    scarce = min(true, total - true)

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        linear = parameters[0] * logits + parameters[1]
        slope = n * special.expit(linear) - targets
        value = (n * np.logaddexp(0, linear) - targets * linear).sum()
        return float(value / scarce), np.array([(slope * logits).sum(), slope.sum()]) / scarce

    best = optimize.minimize(loss, [1.0, 0.0], jac=True, method="L-BFGS-B", bounds=_BOUNDS)
    return PlattScaling(float(best.x[0]), float(best.x[1]))


def fit_lesions(peaks: FloatArray, is_true: npt.NDArray[np.bool_]) -> PlattScaling:
    """Calibrate the probability that a predicted lesion is real, from its highest voxel.

    Args:
        peaks: Highest probability of each predicted lesion, shape (C,).
        is_true: Whether the reference confirms it, shape (C,).

    Raises:
        CordlesionError: All are real, or none is.
    """
    return fit_platt(limited_logit(peaks), np.ones(len(peaks)), is_true.astype(np.float64))


def cross_fitted(
    peaks: FloatArray, is_true: npt.NDArray[np.bool_], subjects: IndexArray, *, folds: int = FOLDS, seed: int = 0
) -> FloatArray:
    """Return calibrated probabilities of lesions from fits on other subjects, to judge the calibration honestly.

    Args:
        peaks: Highest probability of each predicted lesion, shape (C,).
        is_true: Whether the reference confirms it, shape (C,).
        subjects: The subject of each, numbered from 0, shape (C,).
        folds: Parts of the subjects.
        seed: Of the parts.

    Returns:
        Shape (C,); NaN where all other subjects together have only real or only false ones.
    """
    n_subjects = int(subjects.max(initial=-1)) + 1
    part = np.random.default_rng(seed).permutation(n_subjects)[subjects] % folds
    found = np.full(len(peaks), math.nan)
    for number in range(folds):
        inside, others = part == number, part != number
        if 0 < is_true[others].sum() < others.sum():
            found[inside] = fit_lesions(peaks[others], is_true[others]).apply(peaks[inside])
    return found
