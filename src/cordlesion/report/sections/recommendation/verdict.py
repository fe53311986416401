"""How far the recommendation may be relied on, in one line: whether it is settled."""

from collections.abc import Mapping

from cordlesion.pictures.style import loss_name
from cordlesion.report.section import Findings
from cordlesion.report.sections.ranking.standings import Standing, find_standings, settled
from cordlesion.report.words import enumerate_words
from cordlesion.study_folder.results import StudyResults


def sum_up(findings: Findings) -> str:
    """Describe how far the recommendation may be relied on; empty where nothing is known of it."""
    results = findings.results
    standings = find_standings(findings.frames["pairs"], results.leader.loss)
    margin = f"{results.config.evaluation.equivalence_margin:g}"
    parts = (_replaced(results, margin), _standing(standings, margin))
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
