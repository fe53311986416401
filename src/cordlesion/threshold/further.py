"""The threshold rules that a model has beside its own, by name (no torch)."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from cordlesion.config import PostprocessConfig
from cordlesion.errors import CordlesionError
from cordlesion.threshold.rules import AnyThresholdRule, ThresholdRule

BALANCED = "balanced"
"""The operating point of a model's own rule, as reports name it beside those that keep a promise."""
_LATER = ("further_rules", "lesion_calibration")


class FurtherRule(BaseModel):
    """A threshold rule of a model beside its own, as ``model.json`` holds it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    rule: AnyThresholdRule
    minimum_volume_mm3: Annotated[float, Field(ge=0)] | None = None
    """In place of that of the model's post-processing, where the study tuned that together with the model's own rule.
    None: the model's post-processing is that of this rule, too."""

    def removal(self, own: PostprocessConfig) -> PostprocessConfig:
        """Return what is removed from masks of this rule.

        Args:
            own: The model's post-processing.
        """
        if self.minimum_volume_mm3 is None:
            return own
        return own.model_copy(update={"minimum_volume_mm3": self.minimum_volume_mm3})


def find_further(own: ThresholdRule | None, further: Mapping[str, FurtherRule], name: str) -> FurtherRule | None:
    """Return the rule of a name; None where it is that of the model's own.

    Args:
        own: The model's own rule.
        further: Its further rules.
        name: Of one of them; of the kind of the model's own (``global``), or ``balanced``, its operating point.

    Raises:
        CordlesionError: It has no such rule.
    """
    if own is not None and name in (own.rule, BALANCED):
        return None
    if name in further:
        return further[name]
    known = dict.fromkeys([*([own.rule] if own is not None else []), *further])
    raise CordlesionError(
        f"has no threshold rule {name!r}; it has {', '.join(known) or 'none'}. Name one of these, or tune it in a "
        "study: `threshold.rules`. A study adds sensitive and specific where their promises can be kept."
    )


def without_empty(card: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON form of a card without keys that hold nothing and that older versions do not know."""
    return {name: value for name, value in card.items() if name not in _LATER or value}
