"""What the study cannot say, each limit read from the study itself; the grave ones stand beside the recommendation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cordlesion.config import SetName, StudyConfig
from cordlesion.dataset import origin
from cordlesion.io.formats import format_number
from cordlesion.pictures.style import loss_name
from cordlesion.report.answers import enumerate_words
from cordlesion.report.losses import losses, several_seeds
from cordlesion.report.numbers import Numbers
from cordlesion.report.pipeline import name_rule
from cordlesion.study_folder.results import StudyResults, learned_methods, lesion_bearing, lesion_free, of_run
from cordlesion.threshold import parse_objective

FEW_SUBJECTS = 20
"""Below, one subject more or less moves a share of subjects by more than 5 %."""
_WIDE = 0.3
"""An interval of t that spans more of [0, 1] leaves the threshold open."""
_LOAD_RATIO = 1.5
"""Sets whose median lesion volumes differ by more than this factor are not alike."""


@dataclass(frozen=True)
class Limit:
    """One limit as a sentence or two."""

    text: str
    grave: bool = False
    """Without it in mind the recommendation would mislead."""


@dataclass(frozen=True, eq=False)
class _Facts:
    results: StudyResults
    numbers: Numbers

    @property
    def config(self) -> StudyConfig:
        return self.results.config


def find_limits(results: StudyResults, numbers: Numbers) -> tuple[Limit, ...]:
    """Read from a study what it cannot say, the grave limits first.

    Args:
        results: The study.
        numbers: What :func:`compute_numbers` makes of it.
    """
    facts = _Facts(results, numbers)
    found = [limit for rule in _RULES for limit in rule(facts)]
    return tuple(sorted(found, key=lambda limit: not limit.grave))


def is_simulated(config: StudyConfig) -> bool:
    """Say whether the dataset says of itself that `cordlesion simulate` made it; one that is gone says nothing."""
    return origin.is_simulated(config.dataset)


def _simulated(facts: _Facts) -> Iterator[Limit]:
    if is_simulated(facts.config):
        yield Limit(
            "The scans are simulated. What holds for them need not hold for patients: tune and test on scans of your "
            "own before anything is used on them.",
            grave=True,
        )


def _reduced(facts: _Facts) -> Iterator[Limit]:
    if facts.config.reduced:
        yield Limit(
            f"This is a {facts.config.reduced.description}, made to see that all of the study works; its numbers are "
            "not those of the study.",
            grave=True,
        )


def _unlearned(facts: _Facts) -> Iterator[Limit]:
    results = facts.results
    if not results.unlearned:
        return
    names = enumerate_words([results.label(run) for run in results.unlearned])
    also = [loss_name(loss) for loss in learned_methods(results) if loss in {run.loss for run in results.unlearned}]
    they = "It takes" if len(results.unlearned) == 1 else "They take"
    rest = f" What is said of {enumerate_words(also)} rests on its other seeds alone." if also else ""
    yield Limit(
        f"{names} learned nothing: no threshold scores above marking every voxel as lesion (t = 0). {they} "
        f"part in no ranking, test or recommendation.{rest}",
        grave=True,
    )


def _cut_maps(facts: _Facts) -> Iterator[Limit]:
    thresholds = facts.results.thresholds
    for run in facts.results.tuned if "maps_cut_at" in thresholds else ():
        cut = float(of_run(thresholds, run)["maps_cut_at"].iloc[0])
        if not np.isnan(cut):
            yield Limit(
                f"The maps of {facts.results.label(run)} have no values below {cut:g}, as where a tool sets what lies "
                "below its own cut to 0: lower thresholds could not be tried.",
                grave=run == facts.results.best,
            )


def _few_subjects(facts: _Facts) -> Iterator[Limit]:
    chose, tested = (lesion_bearing(_scans(facts, name))["subject"].nunique() for name in ("threshold", "test"))
    folds = of_run(facts.results.written_thresholds, facts.results.best)["n_subjects"].astype(int)
    who = f"{_subjects(chose)} with lesions chose the thresholds"
    if len(folds) > 1:
        # Each fold has a threshold of its own: the union of their subjects chose none.
        chose = folds.min()
        more = "" if folds.max() == chose else f" to {folds.max()}"
        who = f"in each fold {chose}{more} subject{'' if folds.max() == 1 else 's'} chose the threshold"
    named = f"{who} and {_subjects(tested)} with lesions tested {'them' if len(folds) == 1 else 'all of them'}"
    if min(chose, tested) < FEW_SUBJECTS:
        yield Limit(f"Few people: {named}. One more could change the recommendation.", grave=True)
    else:
        yield Limit(f"{named[0].upper()}{named[1:]}; the intervals say how far that carries.")


def _one_origin(facts: _Facts) -> Iterator[Limit]:
    tested = _scans(facts, "test")
    for column, one, none in (
        ("site", "All test scans come from one site ({}). Other sites are not known to give the same.", "site"),
        ("scanner", "All test scans come from one kind of scanner ({}).", "scanner"),
        ("orientation", "All test scans have {} slices.", ""),
    ):
        known = tested.loc[tested[column] != "", column].unique()
        if len(known) == 1 and (tested[column] != "").all():
            yield Limit(one.format(known[0]))
        elif not len(known) and none:
            yield Limit(f"The {none} of the test scans is not recorded, so results by {none} are unknown.")


def _one_seed(facts: _Facts) -> Iterator[Limit]:
    if facts.results.histories and not several_seeds(facts.results) and len(losses(facts.results)) > 1:
        yield Limit(
            "Every loss was trained with one seed, so differences between losses include the luck of the training. "
            "Three seeds or more show how large that luck is (seeds in the configuration).",
            grave=True,
        )


def _unseen_false_lesions(facts: _Facts) -> Iterator[Limit]:
    chosen = of_run(facts.results.thresholds, facts.results.best).iloc[0]
    if not chosen["n_lesion_free"]:
        by = facts.results.objective.replace("voxel F1", "overlap")
        undefined = parse_objective(str(chosen["objective"])).lesion_free == "left out"
        how = f"by {by}, which is undefined without lesions" if undefined else f"by {by}, on scans with lesions only"
        yield Limit(f"The threshold was chosen {how}; false lesions in healthy scans played no part.", grave=True)
    if lesion_free(_scans(facts, "test")).empty:
        yield Limit("No test scan is free of lesions: what the model marks in healthy people is not known.")


def _no_lesion_counts(facts: _Facts) -> Iterator[Limit]:
    if not of_run(facts.numbers.operation, facts.results.best)["n_lesions"].any():
        yield Limit(
            "No lesion of the test scans is large enough to count, so how many the model finds is not known.",
            grave=True,
        )


def _wide_interval(facts: _Facts) -> Iterator[Limit]:
    if not facts.results.ranked:
        return
    chosen = of_run(facts.results.written_thresholds, facts.results.best)
    width = float((chosen["interval_high"] - chosen["interval_low"]).max())
    if width > _WIDE:
        yield Limit(
            f"The 95 % interval of the recommended threshold spans {format_number(width)} of the scale from 0 to 1: "
            "other subjects may lead to quite another threshold."
        )


def _edge_of_grid(facts: _Facts) -> Iterator[Limit]:
    grid = np.unique(facts.results.sweep["threshold"].dropna())
    tuned = facts.results.tuned
    ends = [run for run in facts.results.ranked if tuned[run] <= grid[1] or tuned[run] >= grid[-2]]
    if ends:
        yield Limit(
            f"The best threshold of {enumerate_words([facts.results.label(run) for run in ends])} lies at the end of "
            "the grid that was tried: one beyond or between its last steps may be better."
        )


def _unlike_sets(facts: _Facts) -> Iterator[Limit]:
    tuned, tested = (
        float(lesion_bearing(_scans(facts, name))["reference_volume_mm3"].median()) for name in ("threshold", "test")
    )
    if max(tuned, tested) > _LOAD_RATIO * min(tuned, tested):
        yield Limit(
            f"The lesions of the threshold set ({tuned:.0f} mm³ in the median scan) and of the test set ({tested:.0f} "
            "mm³) differ in amount, and the best threshold moves with it (Figure 1)."
        )
    else:
        yield Limit(
            "The best threshold moves with the amount of lesion: one tuned on scans like these may not suit scans with "
            "far more or far less (Figure 1)."
        )


def _unfinished(facts: _Facts) -> Iterator[Limit]:
    last = {
        loss_name(run.loss)
        for run, history in facts.results.histories.items()
        if len(history) > 1 and history["validation_loss"].idxmin() == history.index[-1]
    }
    if last:
        yield Limit(
            f"The validation loss of {enumerate_words(sorted(last))} was lowest in the last epoch of a training, so "
            "longer training may do better (Figure 6)."
        )


def _repeated_subjects(facts: _Facts) -> Iterator[Limit]:
    tested = _scans(facts, "test")
    if (n := tested["subject"].nunique()) < len(tested):
        yield Limit(
            f"The {len(tested)} test scans are of {_subjects(n)}. Tests and intervals take subjects as independent, "
            "not scans, so further scans of the same people add little to what is known."
        )


def _lesion_rule(facts: _Facts) -> Iterator[Limit]:
    rules = facts.numbers.rules
    mine = rules.loc[rules["loss"] == facts.results.best.loss, "median"].dropna()
    rule = name_rule(facts.config.evaluation.rule)
    convention = f"What counts as a found or a false lesion is a convention (here the rule {rule})"
    least, most = format_number(mine.min()), format_number(mine.max())
    moved = (
        f", and lesion-wise values move with it: the median L-F1 of the recommended loss from "
        f"{least} to {most} under {len(mine)} rules (Table 9)"
    )
    yield Limit(f"{convention}{moved if least != most else ''}.")


def _comparators(facts: _Facts) -> Iterator[Limit]:
    if names := [loss_name(one.name) for one in facts.config.comparators]:
        were = "was" if len(names) == 1 else "were"
        yield Limit(
            f"{enumerate_words(names)} {were} not trained here: whether test scans were seen in training elsewhere "
            "cannot be told from files, and noise between trainings is unknown."
        )


def _excluded(facts: _Facts) -> Iterator[Limit]:
    if n := len(facts.results.manifest.get("excluded", {})):
        scans = "scan was" if n == 1 else "scans were"
        yield Limit(f"{n} {scans} left out (see the cohort): results hold for scans that could be processed.")


def _one_reference(_: _Facts) -> Iterator[Limit]:
    yield Limit(
        "One reference per scan: how far raters disagree is not known, so neither is how much of what is called missed "
        "or false is a matter of opinion."
    )


def _subjects(n: int) -> str:
    return f"{n} subject{'' if n == 1 else 's'}"


def _scans(facts: _Facts, set_name: SetName) -> pd.DataFrame:
    splits = facts.results.splits
    return splits[splits["set"] == set_name]


_RULES: tuple[Callable[[_Facts], Iterator[Limit]], ...] = (
    *(
        _simulated,
        _reduced,
        _unlearned,
        _few_subjects,
        _one_seed,
        _wide_interval,
        _edge_of_grid,
        _cut_maps,
        _unseen_false_lesions,
        _no_lesion_counts,
    ),
    *(_one_origin, _unlike_sets, _unfinished, _one_reference, _lesion_rule, _repeated_subjects, _comparators),
    _excluded,
)
"""Every limit that is looked for, in the order of the page."""
