"""Threshold rules of users as they are read, before any of their code runs (no torch)."""

from typing import Self

import pandas as pd
from pydantic import ConfigDict

from cordlesion.errors import CordlesionError
from cordlesion.metrics import RULES, LesionRule
from cordlesion.threshold.objective_names import AnyObjective
from cordlesion.threshold.rule import Probability, Spacing, ThresholdRule


class ForeignRule(ThresholdRule):
    """A rule of a user's own code, as it was read: nothing of it has run, see :mod:`cordlesion.threshold.own_rule`."""

    model_config = ConfigDict(frozen=True, extra="allow")
    rule: str
    """The import path of its class."""

    @classmethod
    def fit(cls, table: pd.DataFrame, objective: AnyObjective, lesion_rule: LesionRule = RULES["study"]) -> Self:  # noqa: ARG003 - of every rule
        """Refuse: its class fits it."""
        raise CordlesionError("A rule that was not imported cannot be fitted; call `fit` of its class.")

    def threshold_in(self, probability: Probability, spacing_mm: Spacing) -> float:  # noqa: ARG002 - of every rule
        """Refuse: its code has not been allowed to run."""
        raise CordlesionError(self.refusal)

    @property
    def refusal(self) -> str:
        """Why it makes no masks."""
        return (
            f"its threshold rule is {self.rule}, Python code from outside of cordlesion, which would be run. If you "
            "trust it, give the folder of its module: --code FOLDER, or code=... in Python."
        )

    @property
    def summary(self) -> str:
        """Its import path."""
        return f"the rule {self.rule}"

    def describe(self) -> str:
        """Return that it is the model's own."""
        return f"the model's own rule {self.rule}"
