"""The chance that a predicted lesion is real: a logistic regression on its highest and mean probability and its volume.

Every weight is at least 0: of two lesions, the one with the higher peak, the higher mean and the larger volume never
has the lower chance.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from cordlesion.io.arrays import FloatArray, IndexArray
from cordlesion.metrics.platt import fit_logistic, limited_logit

FOLDS = 10
"""Parts of the subjects for :func:`cross_fitted`."""
_WEIGHTS, _SHIFT = (0.0, 20.0), (-200.0, 200.0)


@dataclass(frozen=True)
class LesionChance:
    """The chance of a lesion: ``sigmoid(weights . features + shift)``."""

    weights: tuple[float, ...]
    """Of each feature, at least 0."""
    shift: float

    def apply(self, features: FloatArray) -> FloatArray:
        """Return the chance of each lesion, shape (C,), from its features, shape (C, F)."""
        chance: FloatArray = special.expit(features @ np.array(self.weights) + self.shift)
        return chance


def lesion_features(peak: npt.ArrayLike, mean: npt.ArrayLike, volume_mm3: npt.ArrayLike) -> FloatArray:
    """Return what the chance of a lesion depends on: logits of its peak and its mean, and the logarithm of its volume.

    Args:
        peak: Highest probability of each predicted lesion, shape (C,).
        mean: Mean probability of each, shape (C,).
        volume_mm3: Volume of each, above 0, shape (C,).

    Returns:
        Shape (C, 3).
    """
    columns = limited_logit(peak), limited_logit(mean), np.log(np.asarray(volume_mm3, dtype=np.float64))
    return np.stack(columns, axis=-1)


def fit_lesions(features: FloatArray, is_real: npt.NDArray[np.bool_]) -> LesionChance:
    """Fit the chance that a predicted lesion is real, by the highest likelihood with Platt's targets.

    Args:
        features: Of each predicted lesion, shape (C, F).
        is_real: Whether the reference confirms it, shape (C,).

    Raises:
        CordlesionError: All are real, or none is.

    Examples:
        >>> import numpy as np
        >>> from cordlesion.metrics import fit_lesions
        >>> peaks = np.array([[-2.0]] * 20 + [[2.0]] * 20)
        >>> found = fit_lesions(peaks, np.arange(40) % 20 < np.repeat([4, 16], 20))
        >>> found.apply(np.array([[-2.0], [2.0]])).round(1).tolist()
        [0.2, 0.8]
    """
    bounds = [*([_WEIGHTS] * features.shape[1]), _SHIFT]
    found = fit_logistic(features, np.ones(len(features)), is_real.astype(np.float64), bounds)
    return LesionChance(tuple(found[:-1].tolist()), float(found[-1]))


def cross_fitted(
    features: FloatArray, is_real: npt.NDArray[np.bool_], subjects: IndexArray, *, folds: int = FOLDS, seed: int = 0
) -> FloatArray:
    """Return the chance of lesions from fits on other subjects, to judge the calibration honestly.

    Args:
        features: Of each predicted lesion, shape (C, F).
        is_real: Whether the reference confirms it, shape (C,).
        subjects: The subject of each, numbered from 0, shape (C,).
        folds: Parts of the subjects; at most one for each subject.
        seed: Of the parts.

    Returns:
        Shape (C,); NaN where all other subjects together have only real or only false ones.
    """
    n_subjects = int(subjects.max(initial=-1)) + 1
    part = np.random.default_rng(seed).permutation(n_subjects)[subjects] % folds
    found = np.full(len(features), math.nan)
    for number in range(folds):
        inside, others = part == number, part != number
        if inside.any() and 0 < is_real[others].sum() < others.sum():
            found[inside] = fit_lesions(features[others], is_real[others]).apply(features[inside])
    return found
