"""The numbers behind the ranking: every pair of losses, and how much of their difference is noise between seeds."""

from dataclasses import fields

import pandas as pd

from cordlesion.report.losses import run_scores
from cordlesion.report.results import StudyResults
from cordlesion.report.robustness import COMPARED
from cordlesion.report.style import METRIC_NAMES, loss_name
from cordlesion.statistics import LossComparison, compare_losses, decompose_variance, spread_over_seeds


def compare_pairs(results: StudyResults) -> pd.DataFrame:
    """Compare every pair of losses on the test set, at tuned thresholds.

    Returns:
        A row per metric (voxel and lesion F1) and pair: ``metric``, the fields of
        :class:`cordlesion.statistics.LossComparison`, ``verdict`` (of the second against the first) and ``sentence``.
        Each metric has corrections of its own.
    """
    scans = run_scores(results, "test", tuned=True)
    tables = [compare_losses(scans, metric).assign(metric=metric) for metric in COMPARED]
    pairs = pd.concat(tables, ignore_index=True)
    if pairs.empty:
        return pairs
    return pairs.assign(sentence=[_sentence(row, METRIC_NAMES[row["metric"]]) for _, row in pairs.iterrows()])


def name_compared(pairs: pd.DataFrame) -> str:
    """Say what the pairs of :func:`compare_pairs` are of: methods without seeds are comparators."""
    has_comparators = bool((pairs[["n_seeds_first", "n_seeds_second"]] == 0).any(axis=None)) if len(pairs) else False
    return "losses and comparators" if has_comparators else "losses"


def summarize_seeds(results: StudyResults) -> pd.DataFrame:
    """Tell how the medians of runs vary, on the test set at tuned thresholds.

    Returns:
        A row per metric and loss: ``metric loss n_seeds mean std lowest highest between_losses between_seeds``; the
        last two are the variance components of the metric, the same in all of its rows.
    """
    scans = run_scores(results, "test", tuned=True)
    tables = []
    for metric in COMPARED:
        parts = decompose_variance(scans, metric)
        components = {"between_losses": parts.between_losses, "between_seeds": parts.between_seeds}
        tables.append(spread_over_seeds(scans, metric).assign(metric=metric, **components))
    return pd.concat(tables, ignore_index=True)


def _sentence(row: pd.Series, metric: str) -> str:
    """Say what a pair's row says, with the printed names of losses."""
    values = {field.name: row[field.name] for field in fields(LossComparison)}
    printed = {name: loss_name(str(row[name])) for name in ("first", "second")}
    return LossComparison(**{**values, **printed}).sentence(metric).replace(" -", " −")
