"""The study's answers in a few sentences and four numbers."""

from dataclasses import dataclass

import pandas as pd

from cordlesion.report.answers import Answer, answer_questions
from cordlesion.report.numbers import Numbers
from cordlesion.report.results import Run, StudyResults, of_run
from cordlesion.report.tables.layout import MISSING, format_interval, format_number

_TILES = {
    "voxel_f1": "V-F1 (Dice), median",
    "lesion_f1": "L-F1, median",
    "subject_sensitivity": "P-sensitivity",
    "subject_specificity": "P-specificity",
}


@dataclass(frozen=True)
class Tile:
    """One number of the best run on the test set."""

    label: str
    value: str
    interval: str


@dataclass(frozen=True)
class Brief:
    """What the top of the page says."""

    best: str
    threshold: str
    objective: str
    score: str
    n_threshold: int
    n_test: int
    n_free: int
    """Test scans without lesions."""
    runner_up: str
    """Empty where there is one run only."""
    tiles: tuple[Tile, ...]
    answers: tuple[Answer, ...]


def write_brief(results: StudyResults, summary: pd.DataFrame, numbers: Numbers) -> Brief:
    """Say which loss and threshold won, how they did on the test set, and what the study's questions come to.

    Args:
        results: The study.
        summary: What :func:`summarize_runs` makes of it.
        numbers: What :func:`compute_numbers` makes of it.
    """
    best = results.best
    choice = of_run(results.thresholds, best).iloc[0]
    tested = _by_metric(of_run(summary, best, set="test", tuned=True))
    tuning = _by_metric(of_run(summary, best, set="threshold", tuned=True))
    second = results.ranked[1:2]
    return Brief(
        best=results.label(best),
        threshold=results.threshold_text(best),
        objective=results.objective,
        score=format_number(choice["score"]),
        n_threshold=int(tuning["voxel_f1"]["n"]),
        n_test=int(tested["voxel_f1"]["n"]),
        n_free=int(tested["subject_specificity"]["n"]),
        runner_up="".join(f"{results.label(run)} ({_score(results, run)})" for run in second),
        tiles=tuple(_tile(label, tested[metric]) for metric, label in _TILES.items()),
        answers=answer_questions(results, numbers),
    )


def _by_metric(rows: pd.DataFrame) -> dict[str, pd.Series]:
    return {str(row["metric"]): row for _, row in rows.iterrows()}


def _score(results: StudyResults, run: Run) -> str:
    return format_number(of_run(results.thresholds, run)["score"].iloc[0])


def _tile(label: str, score: pd.Series) -> Tile:
    if not score["n"]:
        return Tile(label, MISSING, "no scan without lesions")
    return Tile(label, format_number(score["value"]), format_interval(score["low"], score["high"]))
