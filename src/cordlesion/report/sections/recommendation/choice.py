"""How optimistic the score is by which the recommended model was chosen, and what the test set shows instead."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cordlesion.report.summary_tables import CHOICE
from cordlesion.study_folder.recommendation import number_losses
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import Run, of_run
from cordlesion.threshold import (
    VOLUME,
    SelectedScore,
    ThresholdScans,
    arrange_scans,
    correct_selection,
    score_interval,
    weigh_runs,
)


def summarize_choice(results: StudyResults) -> pd.DataFrame:
    """Describe the choice on the threshold set, and correct the score of what was chosen.

    Returns:
        A row per run that competes, in the order of their ranks; see :data:`CHOICE`. ``corrected`` and the score on the
        test set are known of the recommended run only. The first is unknown with several folds, whose choices are not
        independent, and for objectives with a condition.
    """
    runs = results.ranked
    if not runs:
        return pd.DataFrame(columns=list(CHOICE.names))
    scores = np.array([float(of_run(results.thresholds, run)["score"].iloc[0]) for run in runs])
    table = pd.DataFrame(
        {
            "loss": [run.loss for run in runs],
            "seed": [run.seed for run in runs],
            "score": scores,
            "compared": weigh_runs(scores, number_losses(runs)),
            "recommended": [run == results.best for run in runs],
            **dict.fromkeys(("chosen", "corrected", "low", "high", "tested", "tested_low", "tested_high"), math.nan),
        }
    ).astype({"seed": "Int64"})
    return _with_corrected(results, table)


def _with_corrected(results: StudyResults, table: pd.DataFrame) -> pd.DataFrame:
    mine, goal = table["recommended"], results.goal
    if goal.is_conditional:
        return table
    tested = results.evaluated(results.best, "test", results.tuned[results.best]).reset_index()
    with_lesions = tested["reference_volume_mm3"] > 0
    if with_lesions.any() and not (goal.lesion_free == "needed" and with_lesions.all()):
        score, (low, high) = score_interval(arrange_scans(_alike(tested), goal), goal)
        table.loc[mine, ["tested", "tested_low", "tested_high"]] = score, low, high
    competing = _competing(results)
    if corrected := _correct(results, competing):
        table.loc[mine, ["corrected", "low", "high"]] = corrected.corrected, corrected.low, corrected.high
        table.loc[[run in competing for run in results.ranked], "chosen"] = corrected.chosen
    return table


def _competing(results: StudyResults) -> Sequence[Run]:
    """Return the runs among which the recommended one was chosen by its score, in the order of their ranks."""
    if results.best == results.leader:
        return results.ranked
    return [run for run in results.ranked if run.loss == results.best.loss]


def _correct(results: StudyResults, runs: Sequence[Run]) -> SelectedScore | None:
    if "fold" in results.written_thresholds:
        return None
    goal = results.goal
    scans = [_threshold_scans(results, run) for run in runs]
    return correct_selection(scans, number_losses(runs), goal)


def _threshold_scans(results: StudyResults, run: Run) -> ThresholdScans:
    goal = results.goal
    return arrange_scans(results.rows("sweep", run, set="threshold"), goal)


def _alike(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a run as those of one threshold and minimum volume: each fold has chosen its own."""
    return rows.drop(columns=["set", VOLUME], errors="ignore").assign(threshold=0.0)
