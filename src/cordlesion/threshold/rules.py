"""The threshold rules there are, and which one makes the masks of a model (no torch).

A new rule is one class and one row of :data:`THRESHOLD_RULES`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, SerializeAsAny, create_model

from cordlesion.errors import CordlesionError
from cordlesion.io.import_path import is_import_path
from cordlesion.threshold.adaptive import RankDice, VolumeAdaptive
from cordlesion.threshold.components import PeakThreshold, TopComponents
from cordlesion.threshold.fixed import GlobalThreshold as GlobalThreshold
from cordlesion.threshold.foreign import ForeignRule as ForeignRule
from cordlesion.threshold.objective import OBJECTIVES
from cordlesion.threshold.rule import ThresholdRule as ThresholdRule
from cordlesion.threshold.rule import TunedRule

THRESHOLD_RULES: Mapping[str, type[TunedRule]] = MappingProxyType(
    {
        "global": GlobalThreshold,
        "peak": PeakThreshold,
        "top_components": TopComponents,
        "volume_adaptive": VolumeAdaptive,
        "rank_dice": RankDice,
    }
)
"""What makes masks of maps, by the ``rule`` of its JSON form."""

_Named = create_model("_Named", rule=(Literal[tuple(THRESHOLD_RULES)], "global"))  # type: ignore[arg-type]  # made of the table


def load_rule(content: object) -> ThresholdRule:
    """Return the rule of a JSON form (``rule.model_dump(mode="json")``); a rule is returned as it is.

    A rule that is named by an import path is returned as :class:`ForeignRule`, and nothing is imported.

    Raises:
        pydantic.ValidationError: The rule is unknown, or has other fields.
    """
    if isinstance(content, ThresholdRule):
        return content
    if isinstance(content, dict) and is_import_path(str(content.get("rule"))):
        return ForeignRule.model_validate(content)
    return THRESHOLD_RULES[_Named.model_validate(content).model_dump()["rule"]].model_validate(content)


AnyThresholdRule: TypeAlias = Annotated[SerializeAsAny[ThresholdRule], BeforeValidator(load_rule)]
"""The type of a field that holds a rule, of whatever class."""


def describe_origin(own: ThresholdRule | None, used: ThresholdRule) -> str:
    """Return where the rule of a mask comes from, half a sentence.

    Args:
        own: The model's own.
        used: The one that made the mask.
    """
    if own is None:
        return "given by the user; the model has none of its own"
    if own.decisive != used.decisive:
        return f"given by the user; the model's own is {own.summary}"
    return own.describe()


def choose_rule(
    own: ThresholdRule | None, built_in: float | None, threshold: float | None, name: object
) -> ThresholdRule:
    """Return the rule that makes masks of a model's maps: the user's threshold, or else the model's own rule.

    Args:
        own: The model's own rule.
        built_in: The threshold that the model applies by itself, so that its maps are masks.
        threshold: The one that the user gave.
        name: Of the model in messages.

    Raises:
        CordlesionError: There is none, it is out of range, or the model gives masks already.
    """
    if threshold is not None:
        if built_in not in (None, threshold):
            raise CordlesionError(
                f"{name}: gives the mask that SCT ships, but a threshold was given; probabilities are needed for one. "
                "Leave out --threshold, or import the variant soft."
            )
        given = GlobalThreshold.given(threshold)
        return own if own is not None and own.decisive == given.decisive else given
    if own is None:
        raise CordlesionError(
            f"{name}: has no tuned threshold; one is needed to make a mask. Tune it in a study, or give --threshold."
        )
    if isinstance(own, ForeignRule):
        raise CordlesionError(f"{name}: {own.refusal}")
    if not own.finds_lesions:
        raise CordlesionError(f"{name}: {_why_none(own)}. Train it longer, or give --threshold.")
    return own


def _why_none(own: ThresholdRule) -> str:
    """Describe why a model has no threshold; one that learned may break the condition of its objective everywhere."""
    objective = own.objective if isinstance(own, TunedRule) else ""  # rules of a user may have none
    goal = OBJECTIVES.get(objective.partition(":")[0])
    better = "no threshold did better than 0, which marks every voxel"
    if goal is None or not goal.is_conditional:
        return f"the model learned too little: when it was tuned, {better}"
    return f"has no threshold for the objective {objective}: when it was tuned, none met its condition, or {better}"
