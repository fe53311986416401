"""What a study found, in a headline and three sentences: overlap, false positives and use, one false positive."""

import pandas as pd

from cordlesion.dataset import origin
from cordlesion.io.formats import format_percent, plural, with_interval
from cordlesion.report.section import Findings
from cordlesion.report.sections.ranking.standings import find_standings
from cordlesion.report.sections.recommendation.budget import describe_budget
from cordlesion.report.sections.recommendation.verdict import sum_up
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import of_run

MOSTLY_FREE, HALF_FREE = 0.9, 0.5
"""Shares of the lesion-free scans without a false positive that separate one use from another: the lower end of the
interval counts."""


def head(findings: Findings) -> str:
    """Return how the headline introduces the recommended model, so that no line below it says otherwise."""
    results = findings.results
    standings = find_standings(findings.frames["pairs"], results.leader.loss)
    if results.best.loss != results.leader.loss:
        return "As good as the best in overlap, and simpler:"
    if not results.objective.endswith("voxel F1"):
        return f"Best by {results.objective}:"
    if any(standing.startswith("behind") for standing in standings.values()):
        return "Chosen for overlap:"
    if standings and set(standings.values()) <= {"open", "seeds", "few"}:
        return "No loss stands out in overlap; chosen:"
    return "Best overlap:"


def describe_found(findings: Findings) -> tuple[str, ...]:
    """Describe what was found: overlap; false positives, and the use they allow; who leads where they are few."""
    results, frames = findings.results, findings.frames
    points = of_run(frames["operation"], results.best, tuned=True).iloc[0]
    sentences = [_overlap(findings), _use(results, frames["runs"], points)]
    if points["n_lesions"]:
        sentences.append(describe_budget(results, frames["budget"], findings.refs["figure5_froc"]))
    return tuple(sentences)


def _overlap(findings: Findings) -> str:
    results = findings.results
    row = of_run(findings.frames["runs"], results.best, set="test", metric="voxel_f1", tuned=True).iloc[0]
    value = with_interval(row["value"], row["low"], row["high"])
    scans = plural(int(row["n"]), "test scan")
    standing = sum_up(findings)
    so = f"; {standing[0].lower()}{standing[1:]}" if standing else "."
    return f"Its masks overlap the reference by {value} in the median of {scans} with lesions{so}"


def _use(results: StudyResults, runs: pd.DataFrame, points: "pd.Series[float]") -> str:
    """State what the model finds and marks falsely, and for which use that is fit."""
    finds = f"It finds {points['n_found']} of {points['n_lesions']} lesions ({format_percent(points['found'])})"
    so_far = f"{finds} and marks" if points["n_lesions"] else "It marks"
    in_patients = "; in patients unknown" if origin.is_simulated(results.config.dataset) else ""
    if not points["n_free"]:
        return (
            f"{so_far} {points['false']:.1f} false positives per scan; no test scan is lesion-free, so fit at most for "
            f"scans known to have lesions, each mark checked{in_patients}."
        )
    marked = f"false positives in {points['n_free'] - points['n_clean']} of {points['n_free']} lesion-free test scans"
    free = of_run(runs, results.best, set="test", metric="subject_specificity", tuned=True).iloc[0]
    return f"{so_far} {marked}: {fitness(free)}{in_patients}."


def fitness(free: "pd.Series[float]") -> str:
    """Return for which use a model is fit, by the lesion-free scans without a false positive and their interval.

    Args:
        free: ``value`` (their share) and ``low`` (the lower end of its 95 % interval; NaN with too few subjects).
    """
    if free["low"] >= MOSTLY_FREE:
        return "fit to propose lesions to a reader in any scan"
    if free["low"] > HALF_FREE:
        return "fit to propose lesions that a reader checks one by one, not to find out which scans have any"
    return (
        "not fit to find out which scans have lesions; at most to outline them in scans known to have some, each mark "
        "checked"
    )
