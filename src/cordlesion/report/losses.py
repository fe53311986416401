"""Scores of losses rather than of runs: a scan's score is its mean over the seeds of the loss."""

from collections.abc import Sequence

import pandas as pd

from cordlesion.config import SetName
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, StudyResults, learned_runs
from cordlesion.study_folder.runs import lesion_bearing

COMPARED = ("voxel_f1", "lesion_f1")
"""The metrics by which losses are compared."""
_SCORES = ("scan_id", "subject", "set", "loss", "seed", "threshold", "reference_volume_mm3", *COMPARED)


def losses(results: StudyResults) -> list[str]:
    """Return the losses and comparators in the order of the evaluation."""
    return list(dict.fromkeys(run.loss for run in results.runs))


def run_scores(results: StudyResults, set_name: SetName, *, tuned: bool) -> pd.DataFrame:
    """Return the scores of every run that learned, at one kind of threshold: a row per scan with lesions and run.

    Returns:
        ``scan_id subject set loss seed threshold reference_volume_mm3 voxel_f1 lesion_f1``; no row where no run learned
        anything.
    """
    tables = []
    for run in learned_runs(results):
        threshold = results.tuned.get(run) if tuned else DEFAULT_THRESHOLD
        tables.append(lesion_bearing(results.evaluated(run, set_name, threshold, _SCORES)))
    return pd.concat(tables).reset_index() if tables else pd.DataFrame(columns=list(_SCORES))


def overlaps_little(results: StudyResults) -> tuple[str, ...]:
    """Return the methods with maps whose tuned masks overlap nothing in half of the test scans or more.

    Such an overlap can hardly change with the threshold, which is no merit.
    """
    scores = mean_over_seeds(run_scores(results, "test", tuned=True), ["voxel_f1"])
    tuned = {run.loss for run in results.ranked}
    medians = scores.groupby("loss", sort=False)["voxel_f1"].median()
    return tuple(str(loss) for loss, median in medians.items() if loss in tuned and not median > 0)


def mean_over_seeds(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Average scores over seeds.

    Args:
        rows: A row per scan and run.
        columns: Scores.

    Returns:
        A row per loss and scan, losses in their order: ``loss scan_id subject`` and the scores.
    """
    by = ["loss", "scan_id", "subject"]
    return rows.groupby(by, sort=False)[list(columns)].mean().reset_index()


def without_rank(results: StudyResults) -> str:
    """Name the runs that learned nothing, in a sentence for captions, after a space; nothing where there are none."""
    if not results.unlearned:
        return ""
    names = ", ".join(results.label(run) for run in results.unlearned)
    learned = "Learned nothing (no threshold scores above t = 0)"
    why = "No threshold meets the condition of the objective" if results.goal.is_conditional else learned
    return f" {why}, so neither marked nor tested: {names}."


def several_seeds(results: StudyResults) -> bool:
    """Return whether any loss was trained with more than one seed."""
    return len(results.runs) > len(losses(results))


def has_one_seed(results: StudyResults) -> bool:
    """Return whether all trainings of the study have the same seed."""
    return len({run.seed for run in results.histories}) <= 1
