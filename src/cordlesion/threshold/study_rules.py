"""Which threshold rules a study tunes beside the one threshold of all scans, and how each is chosen (no torch)."""

import inspect
from typing import TYPE_CHECKING

import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.io.import_path import import_object, is_import_path
from cordlesion.metrics import LesionRule
from cordlesion.metrics.table import METRICS
from cordlesion.threshold.choice import ThresholdChoice
from cordlesion.threshold.objective import Objective
from cordlesion.threshold.objective_names import study_goal
from cordlesion.threshold.own_rule import tried_rule
from cordlesion.threshold.rule import ThresholdRule, TunedRule
from cordlesion.threshold.rules import THRESHOLD_RULES

if TYPE_CHECKING:
    from cordlesion.config import StudyConfig

FOR_LESIONS = ("peak",)
"""What a study tunes that names no rules and whose objective sees lesions: see docs/threshold_rules.md."""


def study_rules(config: "StudyConfig") -> dict[str, type[ThresholdRule]]:
    """Return the further threshold rules of a study by name; the code of a user's rule is run.

    Raises:
        CordlesionError: There is no such rule, or the objective reads a metric of the user, which rules do not measure.
    """
    named, goal = config.threshold.rules, study_goal(config)
    own = [name for name in goal.columns if name not in METRICS]
    if named and own:
        raise CordlesionError(
            f"`threshold.rules` names {named[0]}, but the objective {config.threshold.objective} reads {own[0]}, a "
            "metric of your own; these rules are tuned by the program's metrics. Choose another objective, or no rules."
        )
    if named is None:
        named = FOR_LESIONS if sees_lesions(goal) and not own else ()
    return {name: _kind(name, config) for name in named}


def sees_lesions(goal: Objective) -> bool:
    """Return whether an objective reads a metric of lesions, and not of voxels alone."""
    return any(METRICS[name].level == "lesion" for name in goal.columns if name in METRICS)


def _kind(name: str, config: "StudyConfig") -> type[ThresholdRule]:
    if name in THRESHOLD_RULES:
        return THRESHOLD_RULES[name]
    if not is_import_path(name):
        raise CordlesionError(
            f"{name!r} in `threshold.rules` is no threshold rule; some of {', '.join(THRESHOLD_RULES)} are needed, or "
            "<module>:<class> for one of your own."
        )
    kind = import_object(name, config.code)
    if not (inspect.isclass(kind) and issubclass(kind, ThresholdRule)):
        raise CordlesionError(f"{name} is no class of cordlesion.ThresholdRule; one is needed in `threshold.rules`.")
    return kind


def choose_further(
    kind: type[ThresholdRule], table: pd.DataFrame, goal: Objective, objective: str, lesion_rule: LesionRule
) -> tuple[ThresholdRule, ThresholdChoice | None]:
    """Choose a rule on the threshold set.

    Args:
        kind: Of the rule.
        table: What its ``measure`` returns of each scan, one below the other.
        goal: What is maximised.
        objective: Its name in the study.
        lesion_rule: The one that scans were measured by.

    Returns:
        The rule, and how sure the choice is, which a rule of the user does not state.

    Raises:
        CordlesionError: It cannot be chosen on these scans, or a rule of the user fails.
    """
    if issubclass(kind, TunedRule):
        rule, choice = kind.choose(table, goal, lesion_rule)
        return rule.model_copy(update={"objective": objective}), choice
    arguments = {"lesion_rule": lesion_rule} if "lesion_rule" in inspect.signature(kind.fit).parameters else {}
    try:
        fitted = kind.fit(table, goal, **arguments)
    except CordlesionError:
        raise
    except (Exception, SystemExit) as error:  # the user's code can raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise CordlesionError(f"The threshold rule {kind.__name__} cannot be fitted ({reason}). Mend it.") from error
    return tried_rule(fitted), None
