"""The numbers behind the ranking: every pair of losses, and how much of their difference is noise between seeds."""

import math
from dataclasses import fields
from typing import TypedDict

import pandas as pd

from cordlesion.pictures.style import METRIC_NAMES, loss_name
from cordlesion.report.losses import COMPARED, run_scores
from cordlesion.report.summary_tables import SEEDS
from cordlesion.report.words import enumerate_words
from cordlesion.statistics import LossComparison, compare_losses, decompose_variance, spread_over_seeds
from cordlesion.study_folder.results import StudyResults


class _Question(TypedDict):
    endpoint: bool
    primary: tuple[str, str] | None
    margin: float


def compare_pairs(results: StudyResults) -> pd.DataFrame:
    """Compare every pair of methods that learned on the test set, at tuned thresholds.

    Returns:
        A row per metric (voxel and lesion F1) and pair: ``metric``, ``recommended`` (the loss that was chosen on the
        threshold set; empty where nothing was), ``ensembles`` (those of the two that are one), the fields of
        :class:`cordlesion.statistics.LossComparison`, ``verdict`` (of the second against the first) and ``sentence``.
        Each metric has corrections of its own. Primary is the comparison that the study declared in time; where it
        declared none, those with the chosen loss in voxel F1.
    """
    scans = run_scores(results, "test", tuned=True)
    recommended = results.leader.loss if results.ranked else None
    tables = [
        compare_losses(
            scans, metric, recommended=recommended, ensembles=_members(results), **_question(results, metric)
        ).assign(metric=metric)
        for metric in COMPARED
    ]
    pairs = pd.concat(tables, ignore_index=True)
    if pairs.empty:
        return pairs
    joined = [", ".join(name for name in names if name in results.ensembles) for names in _names(pairs)]
    sentences = [_sentence(row, METRIC_NAMES[row["metric"]]) for _, row in pairs.iterrows()]
    return pairs.assign(sentence=sentences, recommended=recommended or "", ensembles=joined)


def _names(pairs: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(pairs["first"].astype(str), pairs["second"].astype(str), strict=True))


def _members(results: StudyResults) -> dict[str, tuple[str, ...]]:
    """Return the losses of each ensemble."""
    return {name: ensemble.losses for name, ensemble in results.ensembles.items()}


def _question(results: StudyResults, metric: str) -> _Question:
    """Return which comparisons by a metric are not exploratory, and the margin of equivalence."""
    declared = results.primary if results.primary and results.primary.in_time else None
    margin = results.config.evaluation.equivalence_margin if metric == COMPARED[0] else math.nan
    if declared is None:
        return {"endpoint": metric == COMPARED[0], "primary": None, "margin": margin}
    endpoint = metric == declared.metric
    pair = (declared.first, declared.second) if endpoint else None
    return {"endpoint": endpoint, "primary": pair, "margin": margin}


def name_compared(pairs: pd.DataFrame) -> str:
    """Name what the pairs of :func:`compare_pairs` are made of: methods without trainings here are comparators."""
    has_comparators = bool((pairs[["n_seeds_first", "n_seeds_second"]] == 0).any(axis=None)) if len(pairs) else False
    has_ensembles = bool((pairs["ensembles"] != "").any()) if len(pairs) else False
    kinds = ["losses", *(["ensembles"] if has_ensembles else []), *(["comparators"] if has_comparators else [])]
    return enumerate_words(kinds)


def summarize_seeds(results: StudyResults) -> pd.DataFrame:
    """Return how the medians of runs vary, on the test set at tuned thresholds.

    Returns:
        A row per metric and loss: ``metric loss n_seeds mean std lowest highest between_losses between_seeds``; the
        last two are the variance components of the metric, the same in all of its rows.
    """
    scans = run_scores(results, "test", tuned=True)
    scans = scans[~scans["loss"].isin(results.ensembles)]
    if scans.empty:
        return pd.DataFrame(columns=list(SEEDS.names))
    tables = []
    for metric in COMPARED:
        parts = decompose_variance(scans, metric)
        components = {"between_losses": parts.between_losses, "between_seeds": parts.between_seeds}
        tables.append(spread_over_seeds(scans, metric).assign(metric=metric, **components))
    return pd.concat(tables, ignore_index=True)


def _sentence(row: pd.Series, metric: str) -> str:
    """Return the sentence of a pair, with the printed names of losses."""
    values = {field.name: row[field.name] for field in fields(LossComparison)}
    values["needed_subjects"] = None if pd.isna(row["needed_subjects"]) else int(row["needed_subjects"])
    printed = {name: loss_name(str(row[name])) for name in ("first", "second")}
    return LossComparison(**{**values, **printed}).sentence(metric).replace(" -", " −")
