"""The choice of a method's threshold in a study, and its row of ``thresholds.tsv``."""

import math

import pandas as pd

from cordlesion.config import ComparatorRun, Method
from cordlesion.evaluation import require_gradual
from cordlesion.io.progress import say
from cordlesion.study.sets import TunedThreshold
from cordlesion.threshold import VOLUME, ThresholdChoice, choose_threshold, describe_cut, describe_maps, find_cut

_NO_INTERVAL = (math.nan, math.nan)


def at_volume(sweep: pd.DataFrame, tuned: TunedThreshold) -> pd.DataFrame:
    """Return the rows at the tuned minimum volume: all where it is not tuned."""
    return sweep if tuned.minimum_volume_mm3 is None else sweep[sweep[VOLUME] == tuned.minimum_volume_mm3]


def choose_for(
    method: Method, sweep: pd.DataFrame, objective: str
) -> tuple[ThresholdChoice, dict[str, float | str | int | None]]:
    """Choose the threshold of a method and report what its maps show.

    Args:
        method: A run, or a comparator that comes as maps.
        sweep: Its threshold set, a row per scan and threshold.
        objective: The objective that is maximised.

    Returns:
        The choice, and its row of ``thresholds.tsv``.

    Raises:
        CordlesionError: A comparator's maps are masks, or no threshold meets the objective's condition.
    """
    cut = None
    if isinstance(method, ComparatorRun):
        require_gradual(method.comparator.path, sweep)
        cut = find_cut(sweep)
    choice = choose_threshold(sweep, objective)
    if not choice.learned:
        why = "; ".join(part for part in (choice.shortfall, describe_maps(sweep)) if part)
        say(f"{method.name}: has learned nothing: {why}. It takes part in no ranking, test or recommendation.")
    if cut is not None:
        say(f"{method.name}: {describe_cut(sweep, cut)}.")
    row = {**method.columns, "objective": objective, **threshold_row(choice)}
    return choice, row | {"maps_cut_at": math.nan if cut is None else cut}


def threshold_row(choice: ThresholdChoice) -> dict[str, float | str]:
    """Return the chosen values, their intervals and stability, and the scans behind them."""
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
