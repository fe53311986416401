"""Effects of losses in a study: a value per training and scan, weighted means, tests over subjects and seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from cordlesion.io.arrays import FloatArray
from cordlesion.losses.table import LOSSES
from cordlesion.report.sections.statements.thresholds import compare_with_half, resampled_thresholds
from cordlesion.report.sections.thresholds.stability import changes_when_moved
from cordlesion.statistics import (
    CrossedTest,
    PlannedTest,
    SeedNoise,
    contrast_test,
    estimate_seed_noise,
    plan_again,
)
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, StudyResults, learned_runs
from cordlesion.study_folder.runs import Run, lesion_bearing, lesion_free

Measure: TypeAlias = Callable[[StudyResults, Run], "pd.Series[float] | None"]
"""Returns a value for each scan of a run, indexed by subject and scan; None where it has none."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """An effect with its test."""

    test: CrossedTest
    plan: PlannedTest
    """Of further studies with the variances that were estimated."""
    n_scans: int
    n_subjects: int
    n_seeds: int
    """Seeds of each loss, the smallest number."""
    over_seeds: bool
    """Whether the test is about other seeds, too; else it is about these trainings."""


def precision_less_sensitivity(results: StudyResults, run: Run) -> "pd.Series[float]":
    """Return V-precision - V-sensitivity at t = 0.5."""
    scans = _at(results, run, DEFAULT_THRESHOLD)
    return scans["voxel_precision"] - scans["voxel_sensitivity"]


def sensitivity_at_half(results: StudyResults, run: Run) -> "pd.Series[float]":
    """Return the V-sensitivity at t = 0.5."""
    return _at(results, run, DEFAULT_THRESHOLD)["voxel_sensitivity"]


def gain_by_tuning(results: StudyResults, run: Run) -> "pd.Series[float]":
    """Return the V-F1 at the tuned threshold less that at t = 0.5."""
    return _at(results, run, results.tuned[run])["voxel_f1"] - _at(results, run, DEFAULT_THRESHOLD)["voxel_f1"]


def unsteadiness(results: StudyResults, run: Run) -> "pd.Series[float]":
    """Return by how much the V-F1 changes if the tuned threshold is moved by 0.05."""
    return changes_when_moved(results, run).set_index(["subject", "scan_id"])["change"]


def change_of_specificity(results: StudyResults, run: Run) -> "pd.Series[float] | None":
    """Return whether scans without lesions stay clean, tuned - at t = 0.5; None unless the tuned t is below 0.5."""
    if not results.tuned[run] < DEFAULT_THRESHOLD:
        return None
    clean = [
        (lesion_free(results.evaluated(run, "test", t)).reset_index().set_index(["subject", "scan_id"])
         ["n_predicted_lesions"] == 0).astype(float)
        for t in (results.tuned[run], DEFAULT_THRESHOLD)
    ]  # fmt: skip
    return clean[0] - clean[1]


def estimate(
    results: StudyResults,
    measure: Measure,
    only: Sequence[str] = (),
    *,
    without: Sequence[str] = (),
    less: Sequence[str] = (),
) -> Estimate | None:
    """Estimate the mean of a measure over some losses, less its mean over others.

    The value of a subject is the mean over its scans; seeds of a loss count together, and losses equally. Losses with
    one training are left out where others of the same side have several.

    Args:
        results: The study.
        measure: What is measured in every training.
        only: The losses; all losses of the paper by default.
        without: Losses that are left out.
        less: The other losses.

    Returns:
        None if the study has none of the losses or none of the others.
    """
    values = {loss: table for loss in _trained(results) if (table := _table(results, measure, loss)) is not None}
    first = _several(values, [loss for loss in values if (not only or loss in only) and loss not in (*without, *less)])
    other = _several(values, [loss for loss in values if loss in less])
    if not first or (less and not other):
        return None
    weights = {loss: 1 / len(first) for loss in first} | {loss: -1 / len(other) for loss in other}
    scans = pd.concat(values, axis=1, join="inner").dropna()
    by_subject = scans.groupby(level="subject").mean()
    scores = {loss: by_subject[loss].to_numpy(dtype=float).T for loss in values}
    return _contrast(scores, weights, len(scans)) if len(by_subject) > 1 else None


def tuned_threshold(results: StudyResults, *, only: Sequence[str] = (), without: Sequence[str] = ()) -> Estimate | None:
    """Estimate the mean tuned threshold of some losses less 0.5, over subjects of the threshold set and seeds.

    None if the study has none of the losses, or several folds, whose thresholds rest on different subjects.
    """
    chosen = [loss for loss in _trained(results) if (not only or loss in only) and loss not in without]
    if not chosen or "fold" in results.written_thresholds:
        return None
    chosen = [loss for loss in chosen if len(_runs(results, loss)) > 1] or chosen
    drawn = {loss: resampled_thresholds(results, _runs(results, loss)) for loss in chosen}
    tuned = {loss: np.array([results.tuned[run] for run in _runs(results, loss)]) for loss in drawn}
    rows = results.thresholds.iloc[0]
    n_subjects = int(rows["n_subjects"])
    if n_subjects < 2:
        return None
    weights = dict.fromkeys(chosen, 1 / len(chosen))
    test, noise = compare_with_half(tuned, drawn, weights, n_subjects)
    return _estimate(test, noise, weights, int(rows["n_scans"]), n_subjects, min(len(tuned[k]) for k in chosen))


def _several(values: dict[str, pd.DataFrame], losses: list[str]) -> list[str]:
    """Return the losses with several trainings; all if none has, because one training shows no noise between seeds."""
    return [loss for loss in losses if values[loss].shape[1] > 1] or losses


def _contrast(scores: dict[str, FloatArray], weights: dict[str, float], n_scans: int) -> Estimate:
    several = [loss for loss, one in scores.items() if len(one) > 1]
    noise = dict(zip(several, estimate_seed_noise([scores[loss] for loss in several]), strict=True))
    known = noise if all(loss in noise for loss in weights) else {}
    weighted = [known[loss].weighted(weight) for loss, weight in weights.items() if known]
    test = contrast_test([scores[loss] for loss in weights], list(weights.values()), weighted)
    n_subjects = next(iter(scores.values())).shape[1]
    return _estimate(test, known, weights, n_scans, n_subjects, min(len(scores[loss]) for loss in weights))


def _estimate(
    test: CrossedTest,
    noise: dict[str, SeedNoise],
    weights: dict[str, float],
    n_scans: int,
    n_subjects: int,
    n_seeds: int,
) -> Estimate:
    plan = plan_again(test, n_subjects, list(noise.values()), list(weights.values()))
    return Estimate(test, plan, n_scans, n_subjects, n_seeds, over_seeds=bool(noise))


def _trained(results: StudyResults) -> list[str]:
    """Return the losses of the package that were trained and learned."""
    found = (run.loss for run in learned_runs(results) if run.seed is not None and run.loss in LOSSES)
    return list(dict.fromkeys(found))


def _runs(results: StudyResults, loss: str) -> list[Run]:
    return [run for run in learned_runs(results) if run.loss == loss and run.seed is not None]


def _table(results: StudyResults, measure: Measure, loss: str) -> pd.DataFrame | None:
    """Return a row per scan (subject, scan_id) and a column per training."""
    found = {run.seed: values for run in _runs(results, loss) if (values := measure(results, run)) is not None}
    return pd.concat(found, axis=1) if found else None


def _at(results: StudyResults, run: Run, threshold: float) -> pd.DataFrame:
    scans = lesion_bearing(results.evaluated(run, "test", threshold))
    indexed: pd.DataFrame = scans.reset_index().set_index(["subject", "scan_id"])
    return indexed
