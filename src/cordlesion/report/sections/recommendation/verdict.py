"""The recommendation in one line: whether it is settled, and what 0.5 did better on the test set."""

from collections.abc import Mapping

import pandas as pd

from cordlesion.pictures.style import loss_name
from cordlesion.report.section import Findings
from cordlesion.report.sections.ranking.standings import Standing, find_standings, settled
from cordlesion.report.words import enumerate_words
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, StudyResults
from cordlesion.study_folder.runs import of_run


def sum_up(findings: Findings) -> str:
    """Describe how far the recommendation may be relied on, and its price against 0.5; empty where neither is known."""
    results, frames = findings.results, findings.frames
    standings = find_standings(frames["pairs"], results.leader.loss)
    margin = f"{results.config.evaluation.equivalence_margin:g}"
    parts = (
        _replaced(results, margin),
        _standing(standings, margin),
        _price(results, frames["runs"], frames["operation"]),
    )
    said = [part for part in parts if part]
    text = "; ".join([*said[:1], *(f"{part[0].lower()}{part[1:]}" for part in said[1:])])
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _replaced(results: StudyResults, margin: str) -> str:
    """State that a simpler loss takes the place of the one that was chosen."""
    if results.best.loss == results.leader.loss:
        return ""
    return f"as good within {margin} as {loss_name(results.leader.loss)}, the first on the threshold set, and simpler"


def _standing(standings: Mapping[str, Standing], margin: str) -> str:
    """State whether the lead is settled, and which losses dispute it."""
    if not standings:
        return ""
    better = [name for name, standing in standings.items() if standing.startswith("behind")]
    equal = [name for name, standing in standings.items() if standing == "equal"]
    open_still = [name for name, standing in standings.items() if not standing.startswith(("ahead", "equal", "behind"))]
    if better:
        return f"{settled(standings)}: on the test set {enumerate_words(better)} did better"
    if open_still:
        return f"{settled(standings)}: {enumerate_words(open_still)} may be as good or better"
    as_good = f"{enumerate_words(equal)} {'is' if len(equal) == 1 else 'are'} as good within {margin}"
    return f"{settled(standings)}{f': {as_good}' if equal else ''}"


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
