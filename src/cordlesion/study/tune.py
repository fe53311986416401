"""The choice of each method's threshold in a study, and its row of ``thresholds.tsv`` (stage ``tune``)."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from cordlesion.config import ComparatorRun, EnsembleRun, Method, RunConfig, StudyConfig
from cordlesion.evaluation import require_gradual
from cordlesion.io.progress import show_message
from cordlesion.io.tables import write_table
from cordlesion.study.ensembles import write_bundle
from cordlesion.study.operating_points import promised_points
from cordlesion.study.options import DEFAULT, RunOptions
from cordlesion.study.predict import sweep_set, write_maps
from cordlesion.study.sets import Study, TunedThreshold
from cordlesion.study.threshold_rules import collect_rules, tune_rules
from cordlesion.study_folder.tables import RULE_CHOICES, THRESHOLDS
from cordlesion.threshold import (
    VOLUME,
    GlobalThreshold,
    Objective,
    ThresholdChoice,
    describe_cut,
    describe_maps,
    find_cut,
    nearest_threshold,
    study_goal,
)
from cordlesion.threshold.edges import describe_edges
from cordlesion.threshold.further import FurtherRule

_NO_INTERVAL = (math.nan, math.nan)


def tune(study: Study, options: RunOptions = DEFAULT) -> Study:
    """Sweep the threshold sets and choose each method's decision threshold (Hussein et al. 2023, section 2.5)."""
    rows = []
    config, goal = study.config.threshold, study_goal(study.config)
    tuned = [(method, study.in_set("threshold", method.fold)) for method in study.config.methods if method.is_tuned]
    write_maps(study, tuned, options.executor)
    for method, scans in tuned:
        sweep = sweep_set(study, method, "threshold", scans, config.minimum_volumes_mm3)
        choice, row = choose_for(method, sweep, config.objective, goal)
        further = tune_rules(study, method, scans)
        if not isinstance(method, ComparatorRun):
            promised = promised_rules(study.config, sweep, choice, goal)
            _write_into_bundle(_bundle(study, method), choice, {**further, **promised})
        rows.append(row)
    # Ensembles and comparators have no seed; the seeds of runs stay whole numbers.
    write_table(study.folder.thresholds, pd.DataFrame(rows).astype({"seed": "Int64"}), THRESHOLDS)
    collect_rules(study, RULE_CHOICES)
    return study


def _bundle(study: Study, method: RunConfig | EnsembleRun) -> Path:
    """Return the bundle of a method; that of an ensemble is written first."""
    return write_bundle(study, method) if isinstance(method, EnsembleRun) else study.folder.bundle(method.name)


def promised_rules(
    config: StudyConfig, sweep: pd.DataFrame, choice: ThresholdChoice, goal: Objective
) -> dict[str, FurtherRule]:
    """Return the rules of the operating points whose promises are shown to be kept, by name.

    Args:
        config: The study.
        sweep: Of the method's threshold set, at all minimum volumes.
        choice: Of its threshold.
        goal: What that maximises.
    """
    volume = choice.minimum_volume_mm3
    here = sweep if volume is None else sweep[sweep[VOLUME] == volume]
    kept = {point: found.choice for point, found in promised_points(config, here, goal).items()}
    return {
        point: FurtherRule(rule=GlobalThreshold.chosen(replace(one, objective=choice.objective)))
        for point, one in kept.items()
        if one is not None
    }


def _write_into_bundle(bundle: Path, choice: ThresholdChoice, further: Mapping[str, FurtherRule]) -> None:
    from cordlesion.model.bundle_updates import set_further_rules, set_threshold

    set_threshold(bundle, GlobalThreshold.chosen(choice), choice.minimum_volume_mm3)
    set_further_rules(bundle, further)


def at_volume(sweep: pd.DataFrame, tuned: TunedThreshold) -> pd.DataFrame:
    """Return the rows at the tuned minimum volume; all rows if it is not tuned."""
    return sweep if tuned.minimum_volume_mm3 is None else sweep[sweep[VOLUME] == tuned.minimum_volume_mm3]


def choose_for(
    method: Method, sweep: pd.DataFrame, objective: str, goal: Objective | None = None
) -> tuple[ThresholdChoice, dict[str, float | str | int | None]]:
    """Choose the threshold of a method and report what is special about its maps.

    Args:
        method: A run, or a comparator that comes as maps.
        sweep: Metrics on its threshold set, a row per scan and threshold.
        objective: What the threshold maximises, as the study names it.
        goal: What that means, where the name alone does not say it.

    Returns:
        The choice, and its row of ``thresholds.tsv``.

    Raises:
        CordlesionError: A comparator's maps are masks.
    """
    cut = None
    if isinstance(method, ComparatorRun):
        require_gradual(method.comparator.path, sweep)
        cut = find_cut(sweep)
    choice = replace(nearest_threshold(sweep, goal or objective), objective=objective)
    if not choice.learned:
        why = "; ".join(part for part in (choice.shortfall, describe_maps(sweep)) if part)
        what = "has no threshold for this objective" if choice.breaks_condition else "has learned nothing"
        show_message(f"{method.name}: {what}: {why}. It takes part in no ranking, test or recommendation.")
    if cut is not None:
        show_message(f"{method.name}: {describe_cut(sweep, cut)}.")
    for found in describe_edges(choice, cut).values():
        show_message(f"{method.name}: {found}; more may be gained beyond it.")
    row = {**method.columns, "objective": objective, **threshold_row(choice)}
    return choice, row | {"maps_cut_at": math.nan if cut is None else cut}


def threshold_row(choice: ThresholdChoice) -> dict[str, float | str]:
    """Return the columns of ``thresholds.tsv`` about a choice: the value, its interval and stability, its basis."""
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
