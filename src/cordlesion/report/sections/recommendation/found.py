"""What a study found, in a headline and three sentences: overlap, false positives and use, one false positive."""

import math

import pandas as pd

from cordlesion.dataset import origin
from cordlesion.io.formats import format_percent, plural, with_interval
from cordlesion.report.section import Findings
from cordlesion.report.sections.ranking.standings import find_standings, settled
from cordlesion.report.sections.recommendation.budget import describe_budget
from cordlesion.report.sections.recommendation.overlap import find_overlap
from cordlesion.report.sections.recommendation.verdict import sum_up
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import of_run

MOSTLY_FREE, HALF_FREE = 0.9, 0.5
"""Shares of the lesion-free scans without a false positive that separate one use from another: the lower end of the
interval counts."""
LEAST_FOUND = 0.1
"""Share of the lesions that a model must find to be fit for any use: the lower end of the interval counts."""


def head(findings: Findings) -> str:
    """Return how the headline introduces the recommended model, so that no line below it says otherwise."""
    results = findings.results
    standings = find_standings(findings.frames["pairs"], results.leader.loss)
    is_behind = any(standing.startswith("behind") for standing in standings.values())
    is_simpler = results.best.loss != results.leader.loss and not is_behind
    if not results.objective.endswith("voxel F1"):
        first = f"first by {results.objective}"
        return f"As good in overlap as the {first}, and simpler:" if is_simpler else f"Chosen by {results.objective}:"
    if not standings:
        return "No other method to compare with; chosen:"
    if is_behind:
        return "Chosen for overlap:"
    is_settled = settled(standings).startswith(("Settled on", "Ahead"))
    if is_simpler:
        first = "best in overlap" if is_settled else "first on the threshold set"
        return f"As good {'' if is_settled else 'in overlap '}as the {first}, and simpler:"
    if is_settled:
        return "Best overlap:"
    is_part = settled(standings) == "Settled in part" and "ahead" in standings.values()
    return "Among the best in overlap:" if is_part else "No loss stands out in overlap; chosen:"


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
    overlap = find_overlap(results, findings.frames["runs"], tuned=True)
    value = with_interval(overlap.value, overlap.low, overlap.high)
    scans = plural(overlap.n_scans, "test scan")
    standing = sum_up(findings)
    so = f"; {standing[0].lower()}{standing[1:]}" if standing else "."
    return f"Its masks overlap the reference by {value} in the {overlap.summary} of {scans} with lesions{so}"


def _use(results: StudyResults, runs: pd.DataFrame, points: "pd.Series[float]") -> str:
    """State what the model finds and marks falsely, and for which use that is fit."""
    finds = f"It finds {points['n_found']} of {points['n_lesions']} lesions ({format_percent(points['found'])})"
    so_far = f"{finds} and marks" if points["n_lesions"] else "It marks"
    in_patients = "; in patients unknown" if origin.is_simulated(results.config.dataset) else ""
    if not points["n_free"]:
        known = "fit at most for scans known to have lesions, each mark checked"
        fit = f": {unfit}" if (unfit := _unfit(points)) else f", so {known}"
        return (
            f"{so_far} {points['false']:.1f} false positives per scan; no test scan is lesion-free{fit}{in_patients}."
        )
    marked = f"false positives in {points['n_free'] - points['n_clean']} of {points['n_free']} lesion-free test scans"
    free = of_run(runs, results.best, set="test", metric="subject_specificity", tuned=True).iloc[0]
    return f"{so_far} {marked}: {fitness(points, free)}{in_patients}."


def fitness(points: "pd.Series[float]", free: "pd.Series[float]") -> str:
    """Return for which use a model is fit, by the lesions that it finds and the scans without a false positive.

    Args:
        points: ``n_lesions``, ``n_found`` and ``found_low`` (the lower end of the 95 % interval of the share found; NaN
            with too few subjects).
        free: Of the lesion-free scans without a false positive ``low`` (the lower end of the 95 % interval of their
            share; NaN with too few subjects).
    """
    if unfit := _unfit(points):
        return unfit
    if free["low"] >= MOSTLY_FREE:
        return "fit to propose lesions to a reader in any scan"
    if free["low"] > HALF_FREE:
        return "fit to propose lesions that a reader checks one by one, not to find out which scans have any"
    first = (
        "too few lesion-free subjects to know whether it finds out"
        if math.isnan(free["low"])
        else "not fit to find out"
    )
    return f"{first} which scans have lesions; at most to outline them in scans known to have some, each mark checked"


def _unfit(points: "pd.Series[float]") -> str:
    """State why the lesions that a model finds allow no use; empty where they do."""
    if not points["n_lesions"]:
        return "no lesion of these scans counts, so what it finds is unknown"
    if not points["n_found"]:
        return "not fit: it finds none"
    if math.isnan(points["found_low"]):
        return "too few subjects with lesions to know what it finds"
    few = f"not fit: it may find fewer than 1 lesion in {1 / LEAST_FOUND:.0f}"
    return few if points["found_low"] < LEAST_FOUND else ""
