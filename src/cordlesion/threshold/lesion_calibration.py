"""The chance that a lesion of a model's masks is real, fitted on the threshold set (no torch).

It holds for the lesions of one threshold rule: another rule finds other lesions.
"""

from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray, Mask
from cordlesion.io.formats import plural
from cordlesion.metrics import LesionChance, cross_fitted, fit_lesions, lesion_features
from cordlesion.threshold.rule import ThresholdRule

MIN_OF_EACH = 10
"""Fewest real, and fewest false, predicted lesions to fit on: ten of the scarcer kind (Peduzzi et al. 1996)."""
MIN_SUBJECTS = 5
"""Fewest subjects that they come from."""

Weight = Annotated[float, Field(ge=0)]


class LesionCalibration(BaseModel):
    """The chance that a lesion which a threshold rule finds is real: ``lesion_calibration`` of ``model.json``.

    The chance is ``sigmoid(peak * logit(highest p) + mean * logit(mean p) + volume * log(mm3) + shift)``, a logistic
    regression on the predicted lesions of the threshold set. Weights are at least 0, so that more never means less.

    Examples:
        >>> import cordlesion
        >>> calibration = cordlesion.LesionCalibration(
        ...     peak=1.0, mean=0.5, volume=0.25, shift=-2.0, threshold_rule=0.3,
        ...     lesion_rule="study", n_lesions=80, n_real=30, n_subjects=20,
        ... )
        >>> calibration.chance(peak=[0.5, 0.9], mean=[0.4, 0.6], volume_mm3=[20, 80]).round(2).tolist()
        [0.19, 0.82]
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    peak: Weight
    """Weight of the logit of the highest probability in the lesion."""
    mean: Weight
    """Weight of the logit of the mean probability in the lesion."""
    volume: Weight
    """Weight of the logarithm of the volume in mm3."""
    shift: float
    threshold_rule: Any
    """What made the masks: a threshold, or another rule as JSON."""
    lesion_rule: str
    """The lesion rule by which lesions of the threshold set were real or false."""
    n_lesions: int
    """Predicted lesions that it was fitted on."""
    n_real: int
    n_subjects: int

    @classmethod
    def fit(cls, lesions: pd.DataFrame, rule: ThresholdRule, lesion_rule: str = "study") -> Self:
        """Fit on the predicted lesions of a threshold set.

        Args:
            lesions: A row per lesion: ``subject``, ``peak_probability``, ``mean_probability``, ``volume_mm3``, and
                ``is_real``: whether the reference confirms it.
            rule: The threshold rule that made their masks.
            lesion_rule: The rule that decided which are real.

        Raises:
            CordlesionError: There are too few of a kind, or of subjects.
        """
        if fault := shortage(lesions):
            raise CordlesionError(f"The lesions of the threshold set cannot be calibrated: {fault}. Add scans to it.")
        is_real = _is_real(lesions)
        found = fit_lesions(_features(lesions), is_real)
        return cls(
            **dict(zip(("peak", "mean", "volume"), found.weights, strict=True)),
            shift=found.shift,
            threshold_rule=rule.decisive,
            lesion_rule=lesion_rule,
            n_lesions=len(lesions),
            n_real=int(is_real.sum()),
            n_subjects=lesions["subject"].nunique(),
        )

    def chance(self, peak: npt.ArrayLike, mean: npt.ArrayLike, volume_mm3: npt.ArrayLike) -> FloatArray:
        """Return the chance that each of some lesions is real.

        Args:
            peak: Highest probability of each, shape (C,).
            mean: Mean probability of each, shape (C,).
            volume_mm3: Volume of each, shape (C,).

        Returns:
            In (0, 1), shape (C,).
        """
        return LesionChance((self.peak, self.mean, self.volume), self.shift).apply(
            lesion_features(peak, mean, volume_mm3)
        )

    def chances(self, lesions: pd.DataFrame) -> FloatArray:
        """Return :meth:`chance` of the rows of a table, as of :meth:`fit`."""
        return self.chance(*(lesions[name] for name in ("peak_probability", "mean_probability", "volume_mm3")))


def cross_fitted_chances(lesions: pd.DataFrame) -> FloatArray:
    """Return the chance of each lesion of a threshold set from fits on its other subjects; NaN where there is none.

    Args:
        lesions: As for :meth:`LesionCalibration.fit`.
    """
    if shortage(lesions):
        return np.full(len(lesions), np.nan)
    subjects = np.unique(lesions["subject"], return_inverse=True)[1]
    return cross_fitted(_features(lesions), _is_real(lesions), subjects)


def shortage(lesions: pd.DataFrame) -> str:
    """Return what the lesions of a threshold set lack to be calibrated, half a sentence; empty where they suffice."""
    is_real, n_subjects = _is_real(lesions), lesions["subject"].nunique()
    n_real, n_false = int(is_real.sum()), int((~is_real).sum())
    if min(n_real, n_false) >= MIN_OF_EACH and n_subjects >= MIN_SUBJECTS:
        return ""
    return (
        f"the masks of its {plural(n_subjects, 'subject')} hold {n_real} real and {n_false} false lesions; "
        f"{MIN_OF_EACH} of each kind, of {MIN_SUBJECTS} subjects, are needed"
    )


def why_uncalibrated(calibration: LesionCalibration | None, used: ThresholdRule) -> str:
    """Return why the lesions of a mask have no probability, half a sentence; empty where they have.

    Args:
        calibration: Of the model, or of the file of a rule.
        used: The rule that made the mask.
    """
    if calibration is None:
        return (
            "no calibration of lesions is stored with the threshold: it was tuned by an earlier version, or the "
            "threshold set has too few lesions"
        )
    if calibration.threshold_rule != used.decisive:
        return "lesions were calibrated for another threshold or threshold rule than the one that made this mask"
    return ""


def _features(lesions: pd.DataFrame) -> FloatArray:
    return lesion_features(*(lesions[name] for name in ("peak_probability", "mean_probability", "volume_mm3")))


def _is_real(lesions: pd.DataFrame) -> Mask:
    return lesions["is_real"].to_numpy(np.bool_)
