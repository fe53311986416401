"""The three questions of a study, answered in sentences with the numbers and their intervals."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from cordlesion.io.formats import format_fine, format_p, with_interval
from cordlesion.pictures.style import METRIC_NAMES, loss_name
from cordlesion.report.losses import overlaps_little, several_seeds
from cordlesion.report.section import Findings
from cordlesion.report.sections.ranking.comparisons import name_compared
from cordlesion.report.sections.ranking.ranks import LOSS, name_rank
from cordlesion.report.sections.ranking.standings import name_needed, name_reach
from cordlesion.report.sections.thresholds.stability import SHIFT, name_left_out
from cordlesion.report.sections.thresholds.tuning import tuning_verdict
from cordlesion.report.words import enumerate_words
from cordlesion.statistics import MIN_PAIRS, SIGNIFICANT
from cordlesion.study_folder.results import StudyResults

_UNKNOWN_SEEDS = (
    "Every loss was trained with one seed, so this holds for these trainings; for others of the same losses it is "
    "unknown."
)
_VERDICTS = {
    "seed noise unknown": "differ on these subjects, but a loss in each has one seed only",
    "within seed noise": "differ on these subjects, but seed noise may explain it",
    "undecided": "not shown to differ",
    "too few subjects": f"cannot be compared on fewer than {MIN_PAIRS} subjects",
}
_WON = ("better", "worse")
_MANY = 4
"""Fewer winners are named, though they are all others."""
_OPEN = ("undecided", "within seed noise")
"""Verdicts that are printed with the difference that could have been found."""
_NOTHING_LEARNED = "None of the methods whose threshold was tuned has learned anything"
_NO_THRESHOLD = "None of the methods whose threshold was tuned has a threshold for the objective"


@dataclass(frozen=True)
class Answer:
    """A question, and its answer by the numbers."""

    question: str
    text: str


def nothing_learned(results: StudyResults) -> str:
    """Return that no method is ranked; with an objective that has a condition, networks may have learned."""
    return _NO_THRESHOLD if results.goal.is_conditional else _NOTHING_LEARNED


def answer_questions(findings: Findings) -> tuple[Answer, ...]:
    """Answer whether tuning helps each loss, which loss is most stable, and whether the ranking is more than noise."""
    results, frames, refs = findings.results, findings.frames, findings.refs
    if not results.ranked:
        return (Answer("What did the study find?", f"{nothing_learned(results)}, so that nothing can be compared."),)
    questions = [Answer("Does tuning the threshold help?", tuning_answer(frames["tuning"], refs["tuning"]))]
    if len(stability := frames["stability"]) > 1:
        text = stability_answer(stability, refs["stability"], overlaps_little(results))
        questions.append(Answer("Which loss depends least on the threshold?", text))
    if not frames["pairs"].empty:
        text = ranking_answer(frames["pairs"], frames["seeds"], frames["ranks"], several=several_seeds(results))
        questions.append(Answer("Is the ranking more than noise?", text))
    return tuple(questions)


def tuning_answer(tuning: pd.DataFrame, table: str) -> str:
    """Answer for which losses the tuned threshold changed the voxel F1 of the test set.

    Args:
        tuning: From :func:`summarize_tuning`.
        table: How the table of these numbers is referred to.
    """
    rows = tuning[tuning["metric"] == "voxel_f1"]
    by_verdict = rows.groupby(rows.apply(tuning_verdict, axis="columns"), sort=False)
    words = {
        "helps": "It helps {}.",
        "harms": "It harms {}.",
        "undecided": "For {} the effect is unclear (p above 0.05 after Holm's correction, or an interval with 0).",
        "negligible": "It changes {} by less than 0.005, which is negligible.",
        "no change": "For {} it changes no scan.",
        "not tested": "There are too few subjects to test it for {}.",
    }
    named = {str(verdict): [_changed(row) for _, row in part.iterrows()] for verdict, part in by_verdict}
    sentences = [
        sentence.format(enumerate_words(named[verdict])) for verdict, sentence in words.items() if verdict in named
    ]
    return f"{' '.join(sentences)} Median change of V-F1 within test scans, 95 % interval over subjects ({table})."


def stability_answer(stability: pd.DataFrame, table: str, left_out: Sequence[str] = ()) -> str:
    """Answer which loss changes least when its threshold is moved a little, which most, and whether that is chance.

    Args:
        stability: From :func:`summarize_stability`.
        table: How the table of these numbers is referred to.
        left_out: Methods whose overlap is nothing in most scans, so that no threshold changes it.
    """
    first, second, last = (stability.iloc[place] for place in (0, 1, -1))
    moved = f"{_moved(first)} least: by {_median_and_interval(first, 'change', 'low', 'high')} in the median test scan"
    most = f"; {_moved(last)} most: by {_median_and_interval(last, 'change', 'low', 'high')}"
    p = float(second["p_all_pairs"])
    all_pairs = "" if len(stability) == 2 else " after Holm's correction over all pairs of losses"
    counted = f"{second['n_subjects']} subjects"
    chance = f"{'more than' if p <= SIGNIFICANT else 'not beyond'} chance (p {_relation(p)}{all_pairs}, {counted})"
    beyond = chance if second["n_subjects"] >= MIN_PAIRS else "too few subjects to test it"
    excess = _median_and_interval(second, "excess", "excess_low", "excess_high")
    return (
        f"Moving the tuned threshold by {SHIFT:g} changes the V-F1 of {moved}{most}. "
        f"{_moved(second)}, the next, changes by {excess} more: {beyond} ({table}).{name_left_out(left_out)}"
    )


def ranking_answer(pairs: pd.DataFrame, seeds: pd.DataFrame, ranks: pd.DataFrame, *, several: bool) -> str:
    """Answer which loss is first and how surely, how many pairs differ, and how much of it seeds may explain."""
    primary = pairs[pairs["role"] == "primary"]
    others = pairs[pairs["role"] != "primary"]
    parts = [_first(ranks), _counted(primary, pairs) if len(primary) else "", _exploratory(others)]
    parts.append(_components(seeds) if several else _UNKNOWN_SEEDS)
    return " ".join(part for part in parts if part)


def _first(ranks: pd.DataFrame) -> str:
    """Name the first loss on the test set."""
    losses = ranks[ranks["of"] == LOSS]
    if losses.empty:
        return ""
    first = losses.sort_values("rank", kind="stable").iloc[0]
    return f"On the test set {loss_name(str(first['loss']))} has {name_rank(ranks, str(first['loss']))}."


def _exploratory(rows: pd.DataFrame) -> str:
    """Name what is decided among the comparisons that are not primary, and count the rest."""
    if rows.empty:
        return ""
    won = rows[rows["verdict"].isin(_WON)]
    by_metric = ((metric, _winners(part)) for metric, part in rows.groupby("metric", sort=False))
    named = [f"{enumerate_words(phrases)} in {METRIC_NAMES[str(metric)]}" for metric, phrases in by_metric if phrases]
    metrics = enumerate_words([METRIC_NAMES[str(metric)] for metric in rows["metric"].unique()])
    undecided = f"{len(rows) - len(won)} are not decided" if named else "none is decided"
    return f"Of {len(rows)} exploratory comparisons ({metrics}), {'; '.join([*named, undecided])}."


def _winners(rows: pd.DataFrame) -> list[str]:
    """Name which methods beat which others: a phrase for each winner or for each loser, whatever needs fewer."""
    beaten, beats = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    others = defaultdict[str, set[str]](set)
    for _, row in rows.iterrows():
        pair = (loss_name(str(row["second"])), loss_name(str(row["first"])))
        for one, other in (pair, pair[::-1]):
            others[one].add(other)
        if row["verdict"] in _WON:
            winner, loser = pair if row["verdict"] == "better" else pair[::-1]
            beaten[winner].append(loser)
            beats[loser].append(winner)
    if len(beaten) <= len(beats):
        return [f"{winner} beats {enumerate_words(losers)}" for winner, losers in beaten.items()]
    by_winners = defaultdict[str, list[str]](list)
    for loser, winners in beats.items():
        by_winners[_name_winners(winners, others[loser])].append(loser)
    return [
        f"{enumerate_words(losers)} {'is' if len(losers) == 1 else 'are'} beaten by {winners}"
        for winners, losers in by_winners.items()
    ]


def _name_winners(winners: Sequence[str], others: Collection[str]) -> str:
    """Name the winners, out of all others that are compared: by the exceptions where these are fewer."""
    rest = sorted(set(others) - set(winners))
    if len(winners) < _MANY or len(rest) >= len(winners):
        return enumerate_words(list(winners))
    return f"all others but {enumerate_words(rest)}" if rest else f"all {len(winners)} others"


def _changed(row: pd.Series) -> str:
    return f"{loss_name(str(row['loss']))} ({with_interval(row['difference'], row['low'], row['high'], signed=True)})"


def _moved(row: pd.Series) -> str:
    return loss_name(str(row["loss"]))


def _median_and_interval(row: pd.Series, value: str, low: str, high: str, *, signed: bool = False) -> str:
    return with_interval(row[value], row[low], row[high], digits=3, signed=signed)


def _relation(p: float) -> str:
    text = format_p(p)
    return text if text.startswith("<") else f"= {text}"


def _counted(rows: pd.DataFrame, pairs: pd.DataFrame) -> str:
    """Count the verdicts of the primary comparisons."""
    equal = rows["p_equivalent"] <= SIGNIFICANT
    won = rows[rows["verdict"].isin(_WON)]
    better = enumerate_words(_winners(rows)) if len(won) else ""
    parts = [f"{better}, beyond noise between subjects and seeds{_untrained(won)}"] if better else []
    if equal.any():
        parts.append(f"{equal.sum()} as good within {rows['margin'].iloc[0]:g}")
    counts = rows.loc[~equal, "verdict"].value_counts()
    for verdict, words in _VERDICTS.items():
        if verdict in counts:
            found = rows[~equal & (rows["verdict"] == verdict)]
            reach = f"{name_reach(found)}{name_needed(found)}" if verdict in _OPEN else ""
            one = words.replace("differ on", "differs on") if counts[verdict] == 1 else words
            parts.append(f"{counts[verdict]} {one}{f' ({reach})' if reach else ''}")
    metric = str(rows["metric"].iloc[0])
    name = _name_family(rows, pairs[pairs["metric"] == metric])
    return f"{METRIC_NAMES[metric]}, of {name}: {'; '.join(parts)}."


def _name_family(rows: pd.DataFrame, others: pd.DataFrame) -> str:
    """Name the comparisons over which p-values are corrected together, as a part of all that there are."""
    family, n = rows["family"].iloc[0], len(rows)
    if family == "primary":
        return "the declared comparison"
    if family == "recommended":
        return f"the {'one comparison' if n == 1 else f'{n} comparisons'} with {loss_name(rows['recommended'].iloc[0])}"
    other = "other " if len(others) > n else ""
    return f"the {f'one {other}pair' if n == 1 else f'{n} {other}pairs'} of {name_compared(others)}"


def _untrained(rows: pd.DataFrame) -> str:
    """Name the methods whose noise between trainings is unknown: those that were not trained here."""
    sides = [rows.loc[rows[f"n_seeds_{side}"] == 0, side] for side in ("first", "second")]
    names = [loss_name(str(name)) for name in dict.fromkeys(pd.concat(sides))]
    were = "was" if len(names) == 1 else "were"
    return f" (as far as there are seeds: {enumerate_words(names)} {were} not trained here)" if names else ""


def _components(seeds: pd.DataFrame) -> str:
    rows = seeds[seeds["metric"] == "voxel_f1"].iloc[0]
    losses, luck = (format_fine(rows[name] ** 0.5) for name in ("between_losses", "between_seeds"))
    noise = f"Median V-F1 has a standard deviation of {luck} between seeds of one loss"
    if not rows["between_losses"]:
        return f"{noise}; a spread of losses beyond that cannot be made out, which does not show that there is none."
    return f"{noise} and of about {losses} between losses."
