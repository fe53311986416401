"""Which threshold rule makes the mask of a scan: the model's own, another one of the model, or the user's threshold."""

from dataclasses import replace
from typing import Any, cast

from cordlesion.errors import CordlesionError
from cordlesion.model.architectures import Predictor
from cordlesion.threshold.further import find_further
from cordlesion.threshold.rules import ThresholdRule, choose_rule


def applied_rule(
    model: Predictor, threshold: float | None, threshold_rule: str | None, name: object
) -> tuple[Predictor, ThresholdRule]:
    """Return the rule that makes masks, and the model with this rule as its own.

    Args:
        model: The model.
        threshold: The user's; None: a rule of the model.
        threshold_rule: The name of a rule of the model; None: its own.
        name: Of the model in messages.

    Raises:
        CordlesionError: There is no such rule, both are given, or the rule finds no lesions.
    """
    if threshold_rule is not None:
        if threshold is not None:
            raise CordlesionError(
                f"a threshold ({threshold:g}) and a threshold rule ({threshold_rule}) are given; one of them is "
                "needed. Leave out --threshold or --threshold-rule."
            )
        model = _with_rule(model, threshold_rule, name)
    card = model.card
    return model, choose_rule(card.threshold, card.built_in_threshold, threshold, name)


def _with_rule(model: Predictor, threshold_rule: str, name: object) -> Predictor:
    card = model.card
    try:
        further = find_further(card.threshold, card.further_rules, threshold_rule)
    except CordlesionError as error:
        raise CordlesionError(f"{name}: {error}") from None
    if further is None:
        return model
    changes: dict[str, object] = {"threshold": further.rule, "postprocess": further.removal(card.postprocess)}
    # The errors that the study measured are those of the model's own rule.
    changes |= {} if card.experience is None else {"test_error": None}
    changed: Any = replace(cast(Any, model), card=card.model_copy(update=changes))
    return cast(Predictor, changed)
