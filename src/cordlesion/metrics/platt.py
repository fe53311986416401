"""Calibration with two numbers: ``sigmoid(scale * logit(p) + shift)`` (Platt 1999)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray
from cordlesion.metrics.calibration import MAX_LOGIT

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
    found = fit_logistic(logits[:, np.newaxis], n, n_true, _BOUNDS)
    return PlattScaling(float(found[0]), float(found[1]))


def fit_logistic(
    features: FloatArray, n: FloatArray, n_true: FloatArray, bounds: Sequence[tuple[float, float]]
) -> FloatArray:
    """Fit a logistic regression by the highest likelihood, with Platt's targets as :func:`fit_platt`.

    Args:
        features: Of each group, shape (G, F).
        n: Members of each group, shape (G,).
        n_true: Those that are lesion, shape (G,).
        bounds: Lowest and highest value of each weight, and of the shift.

    Returns:
        The weights and the shift, shape (F + 1,).

    Raises:
        CordlesionError: All are lesion, or none is.
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
    columns = np.column_stack([features, np.ones(len(features))])

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        linear = columns @ parameters
        slope = n * special.expit(linear) - targets
        value = (n * np.logaddexp(0, linear) - targets * linear).sum()
        return float(value / scarce), slope @ columns / scarce

    start = [*np.eye(1, features.shape[1]).ravel(), 0.0]
    best = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    found: FloatArray = best.x
    return found
