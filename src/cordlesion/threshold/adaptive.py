"""Threshold rules with a threshold of its own for every scan, found from its probability map (no torch).

Both choose among :data:`FINE`, so that what was measured on the threshold set is what is applied.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field
from scipy import special

from cordlesion.io.arrays import FloatArray, IntArray, Mask
from cordlesion.io.probability import count_reached
from cordlesion.metrics import RULES, LesionRule, binarize, evaluate, sweep
from cordlesion.metrics.platt import PlattScaling, fit_platt
from cordlesion.threshold.choice import ThresholdChoice, choose_threshold
from cordlesion.threshold.grid import LEAST_DICE, SLOPE
from cordlesion.threshold.objective_names import AnyObjective
from cordlesion.threshold.rule import Probability, RuleWithThreshold, Spacing, TunedRule, TuningScan, as_table
from cordlesion.threshold.stability import NO_STABILITY

LOGITS: FloatArray = np.round(np.arange(-7.0, 7.01, 0.1), 1)
FINE: FloatArray = special.expit(LOGITS)
"""Thresholds whose logits are 0.1 apart, from 0.0009 to 0.9991."""
SLOPES = (-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0)
"""Slopes to try; 0 is one threshold for every scan."""
LEAST = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
"""Least expected Dice to try."""
_EVERY = 4
"""Every fourth of the fine thresholds is tried as the one of a scan of usual volume."""
_USUAL_MM3 = 100.0
_MOST_LOG_RATIO = np.log(10.0)
_CENTRES = LOGITS + 0.05
"""Logits between the fine thresholds, shape (len(FINE),)."""
_NONE = 2.0
"""Stands for a threshold that no probability reaches."""
_OF_THE_SCAN = 1.0
"""Stands for the threshold that a rule finds in each scan."""


class _OwnThreshold(TunedRule):
    """A rule that finds a threshold for each scan."""

    @classmethod
    def measure(cls, scan: TuningScan, lesion_rule: LesionRule) -> pd.DataFrame:
        """Measure every fine threshold, an empty mask, and a mask of every voxel (t = 0)."""
        swept = sweep(scan.reference, scan.probability, scan.spacing_mm, [*FINE, 0.0], lesion_rule)
        empty = evaluate(scan.reference, np.zeros(scan.reference.shape, bool), scan.spacing_mm, lesion_rule)
        table = as_table(scan, [*swept, empty], {"threshold": [*FINE, 0.0, _NONE]})
        return table.assign(voxel_mm3=math.prod(scan.spacing_mm))


class VolumeAdaptive(_OwnThreshold, RuleWithThreshold):
    """The threshold depends on the volume of what is found: ``logit(t) = logit(value) + slope * log(v / 100 mm3)``.

    v is the volume of ``p >= value`` in the scan; its ratio is cut at 1/10 and 10. The idea is that of TAPAS (Valcarcel
    et al., NeuroImage: Clinical 2020), where a curve is fitted to the best threshold of each scan; here the slope is
    chosen together with the threshold, by the objective.
    """

    tried: ClassVar[Mapping[str, Sequence[float]]] = MappingProxyType(
        {"threshold": FINE[::_EVERY].tolist(), SLOPE: SLOPES}
    )
    rule: Literal["volume_adaptive"] = "volume_adaptive"
    slope: Annotated[float, Field(strict=True)]

    @classmethod
    def choose(
        cls, table: pd.DataFrame, objective: AnyObjective, lesion_rule: LesionRule = RULES["study"]
    ) -> tuple[Self, ThresholdChoice]:
        """Choose threshold and slope together."""
        rows = [_adapted(scan) for _, scan in table.groupby("scan_id", sort=False)]
        return super().choose(pd.concat(rows, ignore_index=True), objective, lesion_rule)

    @classmethod
    def chosen(cls, choice: ThresholdChoice, lesion_rule: LesionRule) -> Self:  # noqa: ARG003 - of every rule
        """Return the rule of a choice."""
        return cls(**cls.facts(choice), slope=choice.settings[SLOPE])

    def threshold_in(self, probability: Probability, spacing_mm: Spacing) -> float:
        """Return the threshold for the volume that ``value`` finds."""
        start = int(np.abs(FINE - self.value).argmin())
        n_voxels = np.count_nonzero(count_reached(probability, FINE[[start]]))
        return float(FINE[_moved(start, n_voxels * math.prod(spacing_mm), self.slope)])

    @property
    def summary(self) -> str:
        """The threshold and the slope."""
        return f"{self.value:.3g} at 100 mm³" + (f", slope {self.slope:g}" if self.slope else "")


def _moved(start: int | IntArray, volume_mm3: float | FloatArray, slope: float) -> IntArray:
    """Return the numbers of the fine thresholds for scans with a volume at the fine threshold ``start``."""
    ratio = np.log(np.maximum(volume_mm3, 1e-9) / _USUAL_MM3)
    logit = LOGITS[start] + slope * np.clip(ratio, -_MOST_LOG_RATIO, _MOST_LOG_RATIO)
    number: IntArray = np.clip(np.rint((logit - LOGITS[0]) * 10), 0, len(FINE) - 1).astype(np.int64)
    return number


def _adapted(scan: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a scan at every slope and threshold, from those at the fine thresholds."""
    fine, every_voxel, _ = _parts(scan)
    volumes = fine["predicted_volume_mm3"].to_numpy(dtype=np.float64)
    starts = np.arange(0, len(FINE), _EVERY)
    tables = []
    for slope in SLOPES:
        moved = fine.iloc[_moved(starts, volumes[starts], slope)].assign(threshold=FINE[starts])
        tables += [one.assign(**{SLOPE: slope}) for one in (every_voxel, moved)]
    return pd.concat(tables, ignore_index=True)


def _parts(scan: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the rows of a scan at the fine thresholds, that of a mask of every voxel, and that of an empty mask."""
    t = scan["threshold"]
    return scan[(t > 0) & (t < _NONE)], scan[t == 0], scan[t == _NONE]


class RankDice(_OwnThreshold):
    """The voxels with the highest probabilities, as many as give the highest expected Dice.

    The expectation is that of Dai and Li (J. Mach. Learn. Res. 2023) in the approximation of Wang and Dai (NeurIPS
    2025): ``2 * sum of the n highest / (sum of all + n + 1)``. It needs calibrated probabilities, so it is computed
    from ``sigmoid(scale * logit(p) + shift)`` (Platt 1999), fitted on the threshold set, and it takes voxels for
    independent. Voxels of p < 0.0009 count as 0. Where the highest expected Dice is below ``least_expected_dice``, the
    mask is empty.
    """

    tried: ClassVar[Mapping[str, Sequence[float]]] = MappingProxyType({LEAST_DICE: LEAST})
    rule: Literal["rank_dice"] = "rank_dice"
    scale: Annotated[float, Field(gt=0, strict=True)]
    shift: Annotated[float, Field(strict=True)]
    least_expected_dice: Annotated[float, Field(ge=0, le=1, strict=True)]

    @classmethod
    def choose(
        cls,
        table: pd.DataFrame,
        objective: AnyObjective,
        lesion_rule: LesionRule = RULES["study"],  # noqa: ARG003 - of every rule
    ) -> tuple[Self, ThresholdChoice]:
        """Calibrate, then choose the least expected Dice."""
        scaling = calibrate(table)
        rows = [ranked_rows(scan, scaling) for _, scan in table.groupby("scan_id", sort=False)]
        choice = choose_threshold(pd.concat(rows, ignore_index=True), objective)
        # The table has two thresholds only: "of the scan", and 0, which marks every voxel.
        choice = replace(choice, value=math.nan, interval=None, stability=NO_STABILITY)
        least = choice.settings[LEAST_DICE]
        rule = cls(**cls.facts(choice), scale=scaling.scale, shift=scaling.shift, least_expected_dice=least)
        return rule, choice

    def threshold_in(self, probability: Probability, spacing_mm: Spacing) -> float:  # noqa: ARG002 - of every rule
        """Return the threshold of the highest expected Dice; NaN where the mask is empty."""
        bins = np.bincount(count_reached(probability.ravel(order="K"), FINE), minlength=len(FINE) + 1)[1:]
        number, expected = _best_cut(bins.astype(np.float64), PlattScaling(self.scale, self.shift))
        return float(FINE[number]) if bins.any() and expected >= self.least_expected_dice else math.nan

    def binarize(self, probability: Probability, spacing_mm: Spacing) -> Mask:
        """Mark the voxels of the highest expected Dice; none where it is too low."""
        t = self.threshold_in(probability, spacing_mm)
        return np.zeros(probability.shape, dtype=np.bool_) if math.isnan(t) else binarize(probability, t)

    @property
    def summary(self) -> str:
        """What it looks for, and where it finds nothing."""
        return f"that of the highest expected Dice, at least {self.least_expected_dice:g}"


def calibrate(table: pd.DataFrame) -> PlattScaling:
    """Calibrate by the voxels of all scans, counted between the fine thresholds.

    Args:
        table: What :meth:`RankDice.measure` returns of each scan, one below the other.

    Raises:
        CordlesionError: There are no lesion voxels above the lowest threshold, or no others.
    """
    cut = _parts(table)[0]
    found = cut["predicted_volume_mm3"] / cut["voxel_mm3"]
    common = (cut["voxel_sensitivity"] * cut["reference_volume_mm3"]).fillna(0) / cut["voxel_mm3"]
    above, lesion = (part.groupby(cut["threshold"]).sum().to_numpy() for part in (found, common))
    return fit_platt(_CENTRES, _bins(above), _bins(lesion))


def _bins(above: FloatArray) -> FloatArray:
    """Return the numbers between rising thresholds from those that reach each."""
    between: FloatArray = above - np.append(above[1:], 0)
    return between


def _best_cut(bins: FloatArray, scaling: PlattScaling) -> tuple[int, float]:
    """Return the fine threshold of the highest expected Dice, and that Dice, from the voxels between thresholds."""
    expected_lesion = bins * special.expit(scaling.scale * _CENTRES + scaling.shift)
    reached, true = (part[::-1].cumsum()[::-1] for part in (bins, expected_lesion))
    dice = 2 * true / (expected_lesion.sum() + reached + 1)
    best = int(dice.argmax())
    return best, float(dice[best])


def ranked_rows(scan: pd.DataFrame, scaling: PlattScaling) -> pd.DataFrame:
    """Return a row of a scan for each least expected Dice: its metrics there."""
    cut, every_voxel, empty = _parts(scan)
    bins = _bins((cut["predicted_volume_mm3"] / cut["voxel_mm3"]).round().to_numpy())
    number, expected = _best_cut(bins, scaling)
    kept = [cut.iloc[[number]] if bins.any() and expected >= least else empty for least in LEAST]
    own = pd.concat(kept, ignore_index=True).assign(threshold=_OF_THE_SCAN)
    marking_all = pd.concat([every_voxel] * len(LEAST), ignore_index=True)
    return pd.concat([part.assign(**{LEAST_DICE: LEAST}) for part in (own, marking_all)], ignore_index=True)
