"""A promise in place of the best threshold of an objective, and what became of it, for files of any tool (no torch)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.io.formats import format_percent, plural
from cordlesion.threshold import GlobalThreshold, Promise, RiskName, ThresholdChoice, promise
from cordlesion.threshold.mask_rule import MaskRule, rule_beside
from cordlesion.threshold.promise import join_promises, risk_text
from cordlesion.threshold.promises import CERTAINTY, check_certainty, check_limits
from cordlesion.threshold.risks import risks_of_masks
from cordlesion.threshold.rule import TunedRule
from cordlesion.threshold.rule_file import read_rule_file
from cordlesion.threshold.supported import supported_limit

_OPTIONS: Mapping[RiskName, str] = {"missed": "--at-most-missed", "false_positives": "--at-most-false-positives"}
_NO_LIMIT = "These scans support no limit of this kind, however high."


def asked_limits(
    missed: float | None, false_positives: float | None, certainty: float, threshold_rule: str
) -> dict[RiskName, float]:
    """Return the limits that are asked for, checked before maps are read.

    Raises:
        CordlesionError: One is out of range, or given with a threshold rule that has more than a threshold.
    """
    given: dict[RiskName, float | None] = {"missed": missed, "false_positives": false_positives}
    limits = {name: limit for name, limit in given.items() if limit is not None}
    if not limits:
        if certainty != CERTAINTY:
            raise CordlesionError(
                "--certainty is given without a promise; one is needed. Give --at-most-missed or "
                "--at-most-false-positives, too."
            )
        return {}
    options = ", ".join(_OPTIONS[name] for name in limits)
    if threshold_rule != "global":
        raise CordlesionError(
            f"{options} is given with the threshold rule {threshold_rule}; a promise needs the rule global. Leave out "
            "one of the two."
        )
    checks = {options: partial(check_limits, limits), "--certainty": partial(check_certainty, certainty)}
    for option, check in checks.items():
        try:
            check()
        except CordlesionError as error:
            raise CordlesionError(f"{option}: {error}") from None
    return limits


def keep_limits(
    table: pd.DataFrame,
    balanced: ThresholdChoice,
    limits: Mapping[RiskName, float],
    certainty: float,
    lesion_rule: str,
    probability: Path,
) -> tuple[GlobalThreshold, ThresholdChoice, str]:
    """Return the best rule that keeps the limits, its choice, and the promise with its price as a sentence.

    Args:
        table: Of the threshold set.
        balanced: The choice by the objective alone.
        limits: From :func:`asked_limits`; one or more.
        certainty: That all are kept.
        lesion_rule: Its name.
        probability: The maps, for messages.

    Raises:
        CordlesionError: No threshold is shown to keep them.
    """
    found = promise(table, balanced.goal, limits, certainty=certainty, lesion_rule=lesion_rule, balanced=balanced)
    if found.choice is None:
        options = " and ".join(_OPTIONS[name] for name in limits)
        instead = _instead(table, limits, certainty) if found.n_subjects else ""
        remedy = "Add subjects to the threshold set, or allow" if found.needed else "Allow"
        advice = f"{remedy} more with {options}."
        if instead == _NO_LIMIT:
            remedy = "Add subjects to the threshold set" if found.needed else "Give maps of a better model"
            advice = f"{remedy}, or leave out {options}."
        sentences = [f"{probability}: {found.text}.", instead, advice, *balanced.remarks]
        raise CordlesionError(" ".join(filter(None, sentences)))
    choice = replace(found.choice, rule=None)
    free = (
        ""
        if any(one.lesion_free for one in choice.promises) or "false_positives" not in limits
        else ("; nothing is promised for lesion-free scans, of which the threshold set has none")
    )
    return GlobalThreshold.chosen(choice), choice, f"{found.text}{free}."


def _instead(table: pd.DataFrame, limits: Mapping[RiskName, float], certainty: float) -> str:
    """Return what these scans show in place of a limit that they do not show; nothing of two limits together."""
    if len(limits) > 1:
        return ""
    if (found := supported_limit(table, next(iter(limits)), certainty=certainty)) is None:
        return _NO_LIMIT
    if not found.is_shown:
        return (
            f"The smallest limit that they support: {found.text}. It is read from these scans, so that only others can "
            "show it; state it before those are looked at."
        )
    return (
        f"What they show with {format_percent(certainty)} certainty: {found.text}. This holds although it is read from "
        "these scans, but at that threshold only; for any other, state the limit before scans are looked at."
    )


def recall_promises(promises: Sequence[Promise]) -> str:
    """Return what was promised of a threshold, and for whom, as half a sentence; empty where nothing was."""
    if not promises:
        return ""
    who = plural(min(one.n for one in promises), "subject")
    return f"promised: {join_promises(promises)}, for people like the {who} of the threshold set"


def compare_promises(rule: MaskRule | None, predictions: Path, table: pd.DataFrame, lesion_rule: str) -> str:
    """Return what was promised beside what was measured; empty where nothing was promised.

    Args:
        rule: The one that cut the maps; None for masks, whose rule may be beside them.
        predictions: The masks or maps.
        table: A row per scan, of :func:`cordlesion.evaluate_files`.
        lesion_rule: By which it was measured.
    """
    promises = _beside(predictions) if rule is None else rule.promises
    if not promises:
        return ""
    if others := {one.lesion_rule for one in promises} - {lesion_rule}:
        return (
            f"{recall_promises(promises)}, by the lesion rule {min(others)}; these scans were measured by "
            f"{lesion_rule}, so that this shows nothing of the promise"
        )
    return f"{recall_promises(promises)}; measured: {' and '.join(_measured(one, table) for one in promises)}"


def _beside(masks: Path) -> Sequence[Promise]:
    """Return the promises of the rule that made masks; none where it is unknown, which is remarked elsewhere."""
    try:
        path = rule_beside(masks)
        rule = read_rule_file(path).mask_rule if path.is_file() else None
    except CordlesionError:
        return ()
    return rule.promises if isinstance(rule, TunedRule) else ()


def _measured(promise: Promise, table: pd.DataFrame) -> str:
    """Return a risk in the scans for which it was limited."""
    with_lesions = promise.risk == "false_positives" and not promise.lesion_free
    counted = table[table["reference_volume_mm3"] > 0] if with_lesions else table
    found = risks_of_masks(counted).get(promise.risk)
    if found is None:
        return "no scan with a lesion"
    value, low, high, n_subjects = found
    return f"{risk_text(promise.risk, value, low, high)} in the mean over {plural(n_subjects, 'subject')}"
