"""The study's answer in a few sentences and four numbers."""

from dataclasses import dataclass

import pandas as pd

from cordlesion.report.results import DEFAULT_THRESHOLD, Run, StudyResults, of_run
from cordlesion.report.style import loss_name
from cordlesion.report.summaries import compare_with_best
from cordlesion.report.tables.layout import MISSING, SIGNIFICANT, format_interval, format_number, format_p

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
    change: str
    """What tuning changed."""
    versus: str
    """How the best run compares with the others."""
    seeds: str
    """How much the seed alone changes the best loss; empty where it has one seed."""


def write_brief(results: StudyResults, summary: pd.DataFrame) -> Brief:
    """Say which loss and threshold won, how they did on the test set, and what tuning changed.

    Args:
        results: The study.
        summary: What :func:`summarize_runs` makes of it.
    """
    best = results.best
    choice = of_run(results.thresholds, best).iloc[0]
    tested = _by_metric(of_run(summary, best, set="test", tuned=True))
    tuning = _by_metric(of_run(summary, best, set="threshold", tuned=True))
    second = results.ranked[1:2]
    return Brief(
        best=results.label(best),
        threshold=format_number(choice["threshold"]),
        objective=results.objective,
        score=format_number(choice["score"]),
        n_threshold=int(tuning["voxel_f1"]["n"]),
        n_test=int(tested["voxel_f1"]["n"]),
        n_free=int(tested["subject_specificity"]["n"]),
        runner_up="".join(f"{results.label(run)} ({_score(results, run)})" for run in second),
        tiles=tuple(_tile(label, tested[metric]) for metric, label in _TILES.items()),
        change=_change(results, summary),
        versus=_versus(results),
        seeds=_seeds(results, summary),
    )


def _by_metric(rows: pd.DataFrame) -> dict[str, pd.Series]:
    return {str(row["metric"]): row for _, row in rows.iterrows()}


def _score(results: StudyResults, run: Run) -> str:
    return format_number(of_run(results.thresholds, run)["score"].iloc[0])


def _tile(label: str, score: pd.Series) -> Tile:
    if not score["n"]:
        return Tile(label, MISSING, "no scan without lesions")
    return Tile(label, format_number(score["value"]), format_interval(score["low"], score["high"]))


def _change(results: StudyResults, summary: pd.DataFrame) -> str:
    """Tell what the tuned threshold changed on the test set, for the best run and where it changed most."""
    rows = summary[(summary["set"] == "test") & (summary["metric"] == "voxel_f1")]
    moved = {run: _medians(rows, run) for run in results.tuned}
    before, after, p = moved[results.best]
    if results.tuned[results.best] != DEFAULT_THRESHOLD and format_number(before) == format_number(after):
        own = (
            f"On the test set the tuned threshold of {results.label(results.best)} did not move its median V-F1 "
            f"({format_number(before)}, as at t = 0.5): what was gained on the threshold set did not carry over."
        )
    elif results.tuned[results.best] == DEFAULT_THRESHOLD:
        own = f"For {results.label(results.best)} the tuned threshold is 0.5 itself, so tuning changed nothing."
    else:
        own = (
            f"Tuning the threshold of {results.label(results.best)} moved its median V-F1 on the test set "
            f"from {format_number(before)} at t = 0.5 to {format_number(after)} (p {_relation(p)})."
        )
    most = max(moved, key=lambda run: abs(moved[run][1] - moved[run][0]))
    before, after, p = moved[most]
    # A change that the printed digits do not show is none to a reader.
    if most == results.best or format_number(before) == format_number(after):
        return own
    return (
        f"{own} The threshold mattered most for {results.label(most)}: {format_number(before)} at t = 0.5, "
        f"{format_number(after)} at t = {format_number(results.tuned[most])} (p {_relation(p)})."
    )


def _medians(rows: pd.DataFrame, run: Run) -> tuple[float, float, float]:
    """Return the median at t = 0.5 and at the tuned threshold, and the p-value of their difference."""
    default, tuned = (of_run(rows, run, tuned=tuned).iloc[0] for tuned in (False, True))
    return float(default["value"]), float(tuned["value"]), float(tuned["p_value"])


def _relation(p: float) -> str:
    text = format_p(p)
    return text if text.startswith("<") else f"= {text}"


def _versus(results: StudyResults) -> str:
    """Tell how many of the other runs the best one differs from on the test set."""
    differences = compare_with_best(results)
    if differences.empty:
        return ""
    voxel = differences[differences["metric"] == "voxel_f1"]
    ahead = int(((voxel["p_holm"] <= SIGNIFICANT) & (voxel["effect"] > 0)).sum())
    behind = int(((voxel["p_holm"] <= SIGNIFICANT) & (voxel["effect"] < 0)).sum())
    others = "1 other run" if len(voxel) == 1 else f"{len(voxel)} other runs"
    better = f"significantly better than {ahead} of {others}"
    worse = f" and worse than {behind}" if behind else ""
    test = f"(Wilcoxon signed-rank test, Holm-corrected, p ≤ {SIGNIFICANT:g})"
    return f"In V-F1 on the test set, {results.label(results.best)} is {better}{worse} {test}."


def _seeds(results: StudyResults, summary: pd.DataFrame) -> str:
    """Tell how the median test V-F1 of the best loss varies over its seeds."""
    seeds = [run for run in results.tuned if run.loss == results.best.loss]
    if len(seeds) < 2:
        return ""
    rows = summary[(summary["set"] == "test") & (summary["metric"] == "voxel_f1")]
    medians = [_medians(rows, run)[1] for run in seeds]
    span = f"from {format_number(min(medians))} to {format_number(max(medians))}"
    return f"Over {len(seeds)} seeds, the median V-F1 of {loss_name(results.best.loss)} on the test set goes {span}."
