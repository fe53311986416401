"""How sure the recommendation is, in words: of the model against the others, and of its threshold."""

import pandas as pd

from cordlesion.io.formats import format_number, with_interval
from cordlesion.pictures.style import loss_name
from cordlesion.report.sections.ranking.ranks import name_rank
from cordlesion.report.sections.ranking.standings import Standing, find_reach, find_standings, settled
from cordlesion.report.sections.thresholds.tuning import tuning_verdict
from cordlesion.report.words import enumerate_words
from cordlesion.statistics import MIN_SUBJECTS
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, StudyResults, learned_runs
from cordlesion.study_folder.runs import of_run

_SENTENCES: dict[Standing, str] = {
    "ahead": "{Its} masks overlap the reference better than those of {names}, beyond chance between subjects and "
    "between trainings.",
    "ahead, untrained": "{Its} masks overlap the reference better than those of {names}, beyond chance; noise between "
    "trainings is unknown where a method was not trained here.",
    "ahead, one seed": "{Its} masks overlap the reference better than those of {names}, beyond chance between "
    "subjects; but a loss of each pair was trained once, so this may be luck of the training.",
    "equal": "{It} and {names} are as good within {margin}.",
    "open": "{It} is not shown to differ from {names}{reach}.",
    "seeds": "These trainings differ from those of {names}, but noise between seeds may explain it{reach}.",
    "behind, one seed": "The masks of {names} overlap the reference better on the test set, beyond chance between "
    "subjects, though a loss of each pair was trained once. The choice follows the threshold set.",
    "behind": "The masks of {names} overlap the reference better on the test set, beyond chance. The choice follows "
    "the threshold set.",
    "few": "There are too few subjects to compare it with {names}.",
}
# Below, what another choice would be is known less well.
_FEW_TO_CHOOSE = 10
_TUNING = {
    "helps": "better, beyond chance",
    "harms": "worse, beyond chance",
    "undecided": "not beyond chance",
    "negligible": "beyond chance, but hardly",
    "no change": "no scan changes",
    "not tested": "too few subjects to test it",
}


def sure_of_model(results: StudyResults, pairs: pd.DataFrame, ranks: pd.DataFrame) -> str:
    """Describe where the chosen loss stands against every other, in voxel F1 on the test set.

    Args:
        results: The study.
        pairs: From :func:`compare_pairs`.
        ranks: From :func:`summarize_ranks`.
    """
    loss = results.leader.loss
    standings = find_standings(pairs, loss)
    if not standings:
        return "Nothing else was compared."
    by_standing = {
        standing: [name for name, found in standings.items() if found == standing] for standing in _SENTENCES
    }
    values = {**_named(results), "margin": f"{results.config.evaluation.equivalence_margin:g}"}
    sentences = [
        _SENTENCES[standing].format(names=enumerate_words(names), reach=_reach(results, pairs, standing), **values)
        for standing, names in by_standing.items()
        if names
    ]
    rank = name_rank(ranks, loss)
    ranked = f" On the test set {values['its_loss']} has {rank}." if rank else ""
    return f"{settled(standings)}. {' '.join(sentences)}{ranked}{_about_the_run(results, ranks)}"


def _named(results: StudyResults) -> dict[str, str]:
    """Return how the chosen loss is named: it is the recommended one, unless a simpler one takes its place."""
    name = loss_name(results.leader.loss)
    if results.best.loss == results.leader.loss:
        return {"It": name, "Its": "Its", "its_loss": "it"}
    return {"It": name, "Its": f"{name}’s", "its_loss": name}


def _reach(results: StudyResults, pairs: pd.DataFrame, standing: Standing) -> str:
    reach = find_reach(pairs, results.leader.loss, standing)
    return f" ({reach})" if reach else ""


def _about_the_run(results: StudyResults, ranks: pd.DataFrame) -> str:
    """State what is compared where the recommended run is one of several of its loss, and where the run stands."""
    best, leader = results.best, results.leader
    seeds = sum(run.loss == leader.loss for run in learned_runs(results))
    if seeds == 1:
        return ""
    name = loss_name(leader.loss)
    runs = ranks[ranks["of"] == "run"]
    mine = of_run(runs, best)
    stands = f"; the recommended one has rank {mine['rank'].iloc[0]} of the {len(runs)} models" if len(mine) else ""
    return f" This is about {name} in the mean of its seeds, not about this one training{stands}."


def sure_of_threshold(results: StudyResults) -> str:
    """Describe where the threshold may lie when other subjects choose it, how often, and how much it matters."""
    chosen = of_run(results.written_thresholds, results.best)
    if chosen[["interval_low", "interval_high"]].isna().to_numpy().any():
        return f"Unknown: fewer than {MIN_SUBJECTS} subjects chose it, too few for an interval. {_plateau(chosen)}"
    low, high = chosen["interval_low"].min(), chosen["interval_high"].max()
    where = f"between {format_number(low)} and {format_number(high)}"
    who = "one" if len(chosen) == 1 else f"those of the {len(chosen)} folds"
    often = _often(int(chosen["n_subjects"].min()))
    return f"With other subjects of this kind, tuning would choose {who} {where} {often}. {_plateau(chosen)}"


def _often(n_subjects: int) -> str:
    """State how often a threshold that other subjects choose lies in the 95 % interval.

    The interval is one for the best threshold of all subjects, which it holds in 96 % of cases and more. Another choice
    from as few subjects errs as well: see benchmarks/threshold_rules.py.
    """
    return "roughly 8 times in 10" if n_subjects < _FEW_TO_CHOOSE else "roughly 9 times in 10"


def change_from_half(results: StudyResults, tuning: pd.DataFrame, points: pd.DataFrame) -> str:
    """Describe what the tuned threshold changes against 0.5: lesions, false positives, overlap and its test.

    Args:
        results: The study.
        tuning: From :func:`summarize_tuning`.
        points: From :func:`summarize_operating_points`.
    """
    best = results.best
    if set(results.chosen(best).values()) == {DEFAULT_THRESHOLD}:
        return "0.5 is what tuning chose."
    row = tuning[(tuning["loss"] == best.loss) & (tuning["metric"] == "voxel_f1")].iloc[0]
    seeds = sum(run.loss == best.loss for run in results.ranked)
    mean = f" (mean over the {seeds} seeds of {loss_name(best.loss)})" if seeds > 1 else ""
    changed = with_interval(row["difference"], row["low"], row["high"], signed=True)
    overlap = f"Within a scan the overlap{mean} changes by {changed} in the median ({_TUNING[tuning_verdict(row)]})."
    return f"{_exchange(results, points)} {overlap}"


def _exchange(results: StudyResults, points: pd.DataFrame) -> str:
    default, tuned = (of_run(points, results.best, tuned=tuned).iloc[0] for tuned in (False, True))
    found, false = int(tuned["n_found"] - default["n_found"]), float(tuned["false"] - default["false"])
    lesions = f"{abs(found)} {'more' if found > 0 else 'fewer'} of {tuned['n_lesions']}" if found else "as many"
    finds = f"finds {lesions} lesions, with" if tuned["n_lesions"] else "marks"
    marked = f"{abs(false):.1f} {'more' if false > 0 else 'fewer'}" if round(abs(false), 1) else "about as many"
    return f"Against 0.5 it {finds} {marked} false positives per scan.{_free(default, tuned)}"


def _free(default: pd.Series, tuned: pd.Series) -> str:
    """Count the lesion-free scans without a false positive, at both thresholds."""
    if not tuned["n_free"]:
        return ""
    has = "has" if tuned["n_clean"] == 1 else "have"
    same = tuned["n_clean"] == default["n_clean"]
    count = f"{tuned['n_clean']} of {tuned['n_free']} lesion-free scans {has} none"
    return f" {count}, {'as many as' if same else default['n_clean']} at 0.5."


def _plateau(chosen: pd.DataFrame) -> str:
    """Describe how far the threshold may be moved at little cost: where the plateaus of all folds overlap."""
    low, high = chosen["plateau_low"].max(), chosen["plateau_high"].min()
    if not low < high:
        return "On the threshold set no other threshold of the grid comes within 5 % of its score."
    half = "; 0.5 does too" if low <= DEFAULT_THRESHOLD <= high else "; 0.5 does not"
    return (
        f"On the threshold set every threshold from {format_number(low)} to {format_number(high)} comes within 5 % of "
        f"its score{'' if (chosen['threshold'] == DEFAULT_THRESHOLD).all() else half}."
    )
