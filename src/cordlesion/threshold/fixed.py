"""The threshold rule of Hussein et al. 2023: one decision threshold for every scan (no torch)."""

from typing import Literal, Self

from cordlesion.errors import CordlesionError
from cordlesion.metrics import LesionRule
from cordlesion.threshold.choice import ThresholdChoice
from cordlesion.threshold.rule import Probability, RuleWithThreshold, Spacing


class GlobalThreshold(RuleWithThreshold):
    """One decision threshold for every scan: a voxel is lesion when p >= value."""

    rule: Literal["global"] = "global"

    @classmethod
    def chosen(cls, choice: ThresholdChoice, lesion_rule: LesionRule | None = None) -> Self:  # noqa: ARG003 - of every rule
        """Return the rule of a choice."""
        return cls(**cls.facts(choice))

    @classmethod
    def given(cls, value: float) -> Self:
        """Return the rule of a threshold that was not tuned here: the user's, or a published one.

        Raises:
            CordlesionError: It is 0, where every voxel would be lesion, or out of range.
        """
        if not 0 < value <= 1:
            raise CordlesionError(
                f"the threshold is {value:g}; a value above 0 and up to 1 is needed. Give another --threshold."
            )
        return cls(value=value, objective="none: given", interval=None)

    def threshold_in(self, probability: Probability, spacing_mm: Spacing) -> float:  # noqa: ARG002 - of every rule
        """Return the same value for every scan."""
        return self.value

    @property
    def fixed_threshold(self) -> float:
        """The value."""
        return self.value

    @property
    def summary(self) -> str:
        """The value."""
        return f"{self.value:g}"

    @property
    def decisive(self) -> object:
        """The value: where it comes from changes no mask."""
        return self.value
