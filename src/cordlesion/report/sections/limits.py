"""What a study cannot show, each limit read from the study itself; the grave ones stand in the page's header."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cordlesion.config import SetName
from cordlesion.dataset import origin
from cordlesion.io.formats import format_number, plural
from cordlesion.pictures.style import loss_name
from cordlesion.report.losses import losses, several_seeds
from cordlesion.report.pipeline import name_rule
from cordlesion.report.section import Findings, Section
from cordlesion.report.sections.ends import ends_of_what_was_tried
from cordlesion.report.words import enumerate_words
from cordlesion.study_folder.manifest import margin_before, promises_before
from cordlesion.study_folder.results import learned_methods
from cordlesion.study_folder.runs import lesion_bearing, lesion_free, of_run

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
    short: str = ""
    """As the page's header has it; empty where the text is short enough."""


def find_limits(findings: Findings) -> tuple[Limit, ...]:
    """Read from a study what it cannot show, the grave limits first."""
    found = [limit for check in _CHECKS for limit in check(findings)]
    return tuple(sorted(found, key=lambda limit: not limit.grave))


def _simulated(facts: Findings) -> Iterator[Limit]:
    if origin.is_simulated(facts.results.config.dataset):
        yield Limit(
            "The scans are simulated. What holds for them need not hold for patients: tune and test on scans of your "
            "own before anything is used on them.",
            grave=True,
            short="Simulated scans: results need not hold for patients.",
        )


def _reduced(facts: Findings) -> Iterator[Limit]:
    if facts.results.config.reduced:
        yield Limit(
            f"This is a {facts.results.config.reduced.description}, made to see that all of the study works; its "
            "numbers are not those of the study.",
            grave=True,
            short=f"A {facts.results.config.reduced.description}: its numbers are not those of the study.",
        )


def _unlearned(facts: Findings) -> Iterator[Limit]:
    results = facts.results
    if not results.unlearned:
        return
    names = enumerate_words([results.label(run) for run in results.unlearned])
    also = [loss_name(loss) for loss in learned_methods(results) if loss in {run.loss for run in results.unlearned}]
    they = "It takes" if len(results.unlearned) == 1 else "They take"
    rest = f" Results of {enumerate_words(also)} rest on its other seeds alone." if also else ""
    better = "no threshold scores above marking every voxel as lesion (t = 0)"
    fault, why = "learned nothing", better
    if results.goal.is_conditional:
        fault = f"{'has' if len(results.unlearned) == 1 else 'have'} no threshold for the objective"
        why = f"none meets the condition ({results.objective}), or {better}"
    yield Limit(
        f"{names} {fault}: {why}. {they} part in no ranking, test or recommendation.{rest}",
        grave=True,
        short=f"{names} {fault}.",
    )


def _cut_maps(facts: Findings) -> Iterator[Limit]:
    thresholds = facts.results.thresholds
    for run in facts.results.tuned if "maps_cut_at" in thresholds else ():
        cut = float(of_run(thresholds, run)["maps_cut_at"].iloc[0])
        if not np.isnan(cut):
            yield Limit(
                f"The maps of {facts.results.label(run)} have no values below {cut:g}, as where a tool sets what lies "
                "below its own cut to 0: lower thresholds could not be tried.",
                grave=run == facts.results.best,
            )


def _few_subjects(facts: Findings) -> Iterator[Limit]:
    chose, tested = (lesion_bearing(_scans(facts, name))["subject"].nunique() for name in ("threshold", "test"))
    folds = of_run(facts.results.written_thresholds, facts.results.best)["n_subjects"].astype(int)
    who = f"{plural(chose, 'subject')} with lesions chose the thresholds"
    if len(folds) > 1:
        # Each fold has a threshold of its own: the union of their subjects chose none.
        chose = folds.min()
        fewer = "" if folds.max() == chose else f"{chose} to "
        who = f"in each fold {fewer}{plural(folds.max(), 'subject')} chose the threshold"
    named = f"{who} and {plural(tested, 'subject')} with lesions tested {'them' if len(folds) == 1 else 'all of them'}"
    if min(chose, tested) < FEW_SUBJECTS:
        few = f"Few people: {named}."
        yield Limit(f"{few} Adding one could change the recommendation.", grave=True, short=few)
    else:
        yield Limit(f"{named[0].upper()}{named[1:]}; the intervals show how precise results are.")


def _one_origin(facts: Findings) -> Iterator[Limit]:
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


def _one_seed(facts: Findings) -> Iterator[Limit]:
    if facts.results.histories and not several_seeds(facts.results) and len(losses(facts.results)) > 1:
        yield Limit(
            "Every loss was trained with one seed, so differences between losses include the luck of the training. "
            "Three seeds or more show how large that luck is (seeds in the configuration).",
            grave=True,
            short="One training per loss: differences include its luck.",
        )


def _unseen_false_lesions(facts: Findings) -> Iterator[Limit]:
    chosen = of_run(facts.results.thresholds, facts.results.best).iloc[0]
    if not chosen["n_lesion_free"]:
        by = facts.results.objective.replace("voxel F1", "overlap")
        undefined = facts.results.goal.lesion_free == "left out"
        how = f"by {by}, which is undefined without lesions" if undefined else f"by {by}, on scans with lesions only"
        part = "false positives in lesion-free scans played no part"
        short = f"{part[0].upper()}{part[1:]} in the choice."
        yield Limit(f"The threshold was chosen {how}; {part}.", grave=True, short=short)
    if lesion_free(_scans(facts, "test")).empty:
        yield Limit("No test scan is lesion-free: what the model marks in people without lesions is not known.")


def _no_lesion_counts(facts: Findings) -> Iterator[Limit]:
    if not of_run(facts.frames["operation"], facts.results.best)["n_lesions"].any():
        yield Limit(
            "No lesion of the test scans is large enough to count, so how many the model finds is not known.",
            grave=True,
        )


def _wide_interval(facts: Findings) -> Iterator[Limit]:
    if not facts.results.ranked:
        return
    chosen = of_run(facts.results.written_thresholds, facts.results.best)
    width = float((chosen["interval_high"] - chosen["interval_low"]).max())
    if width > _WIDE:
        yield Limit(
            f"The 95 % interval of the recommended threshold spans {format_number(width)} of the scale from 0 to 1: "
            "other subjects may lead to quite another threshold."
        )


def _ends(facts: Findings) -> Iterator[Limit]:
    yield from map(Limit, ends_of_what_was_tried(facts.results))


def _late_margin(facts: Findings) -> Iterator[Limit]:
    config = facts.results.config
    if not margin_before(config, facts.results.manifest):
        yield Limit(
            f"The margin of equivalence, {config.evaluation.equivalence_margin:g}, was set after the test set was "
            "opened: “as good” is no test of a question that was asked before."
        )


def _late_promises(facts: Findings) -> Iterator[Limit]:
    if not promises_before(facts.results.config, facts.results.manifest):
        yield Limit("The limits of the operating points’ promises were set after the test set was opened.")


def _unlike_sets(facts: Findings) -> Iterator[Limit]:
    tuned, tested = (
        float(lesion_bearing(_scans(facts, name))["reference_volume_mm3"].median()) for name in ("threshold", "test")
    )
    if max(tuned, tested) > _LOAD_RATIO * min(tuned, tested):
        yield Limit(
            f"The lesions of the threshold set ({tuned:.0f} mm³ in the median scan) and of the test set ({tested:.0f} "
            f"mm³) differ in amount, and the best threshold moves with it ({facts.refs['figure1_cohort']})."
        )
    else:
        yield Limit(
            "The best threshold moves with the amount of lesion: one tuned on scans like these may not suit scans with "
            f"far more or far less ({facts.refs['figure1_cohort']})."
        )


def _unfinished(facts: Findings) -> Iterator[Limit]:
    last = {
        loss_name(run.loss)
        for run, history in facts.results.histories.items()
        if len(history) > 1 and history["validation_loss"].idxmin() == history.index[-1]
    }
    if last:
        yield Limit(
            f"The validation loss of {enumerate_words(sorted(last))} was lowest in the last epoch of a training, so "
            f"longer training may do better ({facts.refs['figure6_training']})."
        )


def _repeated_subjects(facts: Findings) -> Iterator[Limit]:
    tested = _scans(facts, "test")
    if (n := tested["subject"].nunique()) < len(tested):
        yield Limit(
            f"The {len(tested)} test scans are of {plural(n, 'subject')}. Tests and intervals take subjects as "
            "independent, not scans, so further scans of the same people add little to what is known."
        )


def _lesion_rule(facts: Findings) -> Iterator[Limit]:
    rules = facts.frames["rules"]
    mine = rules.loc[rules["loss"] == facts.results.best.loss, "median"].dropna()
    rule = name_rule(facts.results.config.evaluation.rule)
    convention = f"What counts as a true or a false positive is a convention (here the rule {rule})"
    least, most = format_number(mine.min()), format_number(mine.max())
    moved = (
        f", and lesion-wise values move with it: the median L-F1 of the recommended loss from "
        f"{least} to {most} under {len(mine)} rules ({facts.refs['rules']})"
    )
    yield Limit(f"{convention}{moved if least != most else ''}.")


def _comparators(facts: Findings) -> Iterator[Limit]:
    if names := [loss_name(one.name) for one in facts.results.config.comparators]:
        were = "was" if len(names) == 1 else "were"
        yield Limit(
            f"{enumerate_words(names)} {were} not trained here: whether test scans were seen in training elsewhere "
            "cannot be determined from files, and noise between trainings is unknown."
        )


def _excluded(facts: Findings) -> Iterator[Limit]:
    if n := len(facts.results.manifest.get("excluded", {})):
        scans = "scan was" if n == 1 else "scans were"
        yield Limit(f"{n} {scans} left out (see the cohort): results hold for scans that could be processed.")


def _partial(facts: Findings) -> Iterator[Limit]:
    if n := len(facts.results.manifest.get("partial", {})):
        scans = "1 scan" if n == 1 else f"{n} scans"
        yield Limit(
            f"The cord was lost inside {scans} (see the cohort): networks saw a part of it, and lesions beyond the "
            "place count as false negatives."
        )


def _one_reference(_: Findings) -> Iterator[Limit]:
    yield Limit(
        "One reference per scan: how far raters disagree is not known, so neither is how many of the false positives "
        "and false negatives are a matter of opinion."
    )


def _scans(facts: Findings, set_name: SetName) -> pd.DataFrame:
    splits = facts.results.splits
    return splits[splits["set"] == set_name]


_CHECKS: tuple[Callable[[Findings], Iterator[Limit]], ...] = (
    *(_simulated, _reduced, _unlearned, _few_subjects, _one_seed, _wide_interval, _ends, _cut_maps),
    *(
        _unseen_false_lesions,
        _no_lesion_counts,
        _late_margin,
        _late_promises,
        _one_origin,
        _unlike_sets,
        _unfinished,
        _one_reference,
    ),
    *(_lesion_rule, _repeated_subjects, _comparators, _excluded, _partial),
)
"""Every limit that is looked for, in the order of the page."""


def _words(findings: Findings) -> Mapping[str, object]:
    return {"limits": find_limits(findings)}


SECTION = Section(key="limits", title="Limits", words=_words)
