"""A choice of thresholds as a row of ``thresholds.tsv``."""

import math

import pandas as pd

from cordlesion.stages.sets import TunedThreshold
from cordlesion.threshold import VOLUME, ThresholdChoice

_NO_INTERVAL = (math.nan, math.nan)


def at_volume(sweep: pd.DataFrame, tuned: TunedThreshold) -> pd.DataFrame:
    """Return the rows at the tuned minimum volume: all where it is not tuned."""
    return sweep if tuned.minimum_volume_mm3 is None else sweep[sweep[VOLUME] == tuned.minimum_volume_mm3]


def threshold_row(choice: ThresholdChoice) -> dict[str, float | str]:
    """Return what was chosen, how sure it is, and on what it rests."""
    tuned_volume: dict[str, float | str] = {}
    if choice.minimum_volume_mm3 is not None:
        low, high = choice.minimum_volume_interval or _NO_INTERVAL
        tuned_volume = {VOLUME: choice.minimum_volume_mm3, "volume_interval_low": low, "volume_interval_high": high}
    low, high = choice.interval or _NO_INTERVAL
    return {
        "threshold": choice.value,
        **tuned_volume,
        "score": choice.score,
        "interval_low": low,
        "interval_high": high,
        "plateau_low": choice.stability.plateau[0],
        "plateau_high": choice.stability.plateau[1],
        "loss_below": choice.stability.loss_below,
        "loss_above": choice.stability.loss_above,
        "area": choice.stability.area,
        "n_scans": choice.n_scans,
        "n_subjects": choice.n_subjects,
        "n_lesion_free": choice.n_lesion_free,
        "n_left_out": choice.n_left_out,
        "basis": choice.basis,
        "learned": choice.learned,
    }
