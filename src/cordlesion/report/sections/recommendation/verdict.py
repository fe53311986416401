"""The recommendation in one line: whether it is settled, and what 0.5 did better on the test set."""

from collections.abc import Mapping

import pandas as pd

from cordlesion.report.section import Findings
from cordlesion.report.sections.ranking.standings import Standing, find_reach, find_standings, settled
from cordlesion.report.words import enumerate_words
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, StudyResults
from cordlesion.study_folder.runs import of_run


def sum_up(findings: Findings) -> str:
    """Describe how far the recommendation may be relied on, and its price against 0.5; empty where neither is known."""
    results, frames = findings.results, findings.frames
    best, pairs = results.best.loss, frames["pairs"]
    standing = _standing(find_standings(pairs, best), find_reach(pairs, best))
    parts = (standing, _price(results, frames["runs"], frames["operation"]))
    text = "; ".join(part for part in parts if part)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _standing(standings: Mapping[str, Standing], reach: str) -> str:
    """State whether the lead is settled, and which losses dispute it."""
    if not standings:
        return ""
    better = [name for name, standing in standings.items() if standing.startswith("behind")]
    equal = [name for name, standing in standings.items() if not standing.startswith("ahead")]
    if better:
        return f"{settled(standings)}: on the test set {enumerate_words(better)} did better"
    if equal:
        return f"{settled(standings)}: {enumerate_words(equal)} may be as good{f' ({reach})' if reach else ''}"
    return settled(standings)


def _price(results: StudyResults, runs: pd.DataFrame, points: pd.DataFrame) -> str:
    """Describe where 0.5 did better, by the numbers as they are printed."""
    best = results.best
    if set(results.chosen(best).values()) == {DEFAULT_THRESHOLD}:
        return ""
    half, tuned = (of_run(points, best, tuned=at_tuned).iloc[0] for at_tuned in (False, True))
    overlap = of_run(runs, best, set="test", metric="voxel_f1").set_index("tuned")["value"].round(2)
    better = {
        "found more lesions": half["n_found"] > tuned["n_found"],
        "marked fewer false lesions": round(half["false"], 1) < round(tuned["false"], 1),
        "left more scans without lesions clean": half["n_clean"] > tuned["n_clean"],
        "reached more overlap": overlap[False] > overlap[True],
    }
    won = enumerate_words([words for words, is_so in better.items() if is_so])
    return f"on the test set 0.50 {won or 'is better in none of the figures below'}"
