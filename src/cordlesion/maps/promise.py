"""A promise in place of the best threshold of an objective, for maps from files (no torch)."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.threshold import GlobalThreshold, RiskName, ThresholdChoice, promise
from cordlesion.threshold.promises import CERTAINTY, check_certainty, check_limits

_OPTIONS: Mapping[RiskName, str] = {"missed": "--at-most-missed", "false_positives": "--at-most-false-positives"}


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
        remedy = "Add subjects to the threshold set, or allow" if found.needed else "Allow"
        options = " and ".join(_OPTIONS[name] for name in limits)
        raise CordlesionError(f"{probability}: {found.text}. {remedy} more with {options}.")
    choice = replace(found.choice, rule=None)
    free = (
        ""
        if any(one.lesion_free for one in choice.promises) or "false_positives" not in limits
        else ("; nothing is promised for lesion-free scans, of which the threshold set has none")
    )
    return GlobalThreshold.chosen(choice), choice, f"{found.text}{free}."
