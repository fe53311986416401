"""Threshold rules: how the lesion mask of a scan is made from its probability map (no torch).

A new rule is one class and one row of :data:`THRESHOLD_RULES`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, TypeAlias

import pandas as pd
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    create_model,
    model_serializer,
)

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Float32Array, Mask
from cordlesion.io.import_path import is_import_path
from cordlesion.metrics import binarize
from cordlesion.threshold.choice import ThresholdChoice, choose_threshold

Probability: TypeAlias = Float32Array
Spacing: TypeAlias = tuple[float, float, float]


class ThresholdRule(BaseModel, ABC):
    """Makes a lesion mask of a probability map, one scan at a time.

    A rule is frozen. Its fields are what fitting found, as values that JSON can hold: they are the ``threshold`` of
    ``model.json``, and :func:`load_rule` reads them back.

    Post-processing is not a part of the rule, and is the same for all rules (:func:`~.postprocess.make_mask`): a map is
    0 beyond the cord's margin before the rule sees it, and small components are removed from the mask that it makes.

    Examples:
        >>> import cordlesion
        >>> rule = cordlesion.load_bundle("bundle").card.threshold
        >>> isinstance(rule, cordlesion.ThresholdRule), rule.summary
        (True, '0.35')
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    rule: str
    """Its key in :data:`THRESHOLD_RULES`; a class declares it as ``rule: Literal["global"] = "global"``. A class of a
    user declares its import path: ``rule: Literal["my_rules:TopShare"] = "my_rules:TopShare"``."""

    @classmethod
    @abstractmethod
    def fit(cls, sweep: pd.DataFrame, objective: str) -> Self:
        """Fit the rule on the threshold set, and on no other scan.

        Args:
            sweep: The metrics of the threshold set, a row per scan and threshold, with the columns ``scan_id``,
                ``subject``, ``threshold`` and those of :class:`cordlesion.metrics.ScanMetrics`. A rule that has to see
                maps takes a further keyword argument with what it needs of each: map, reference and voxel size.
            objective: What is maximised, a name in :data:`cordlesion.threshold.OBJECTIVES`.

        Raises:
            CordlesionError: The rule cannot be fitted on these scans.
        """

    @abstractmethod
    def threshold_in(self, probability: Probability, spacing_mm: Spacing) -> float:
        """Return the threshold that the rule applies in a scan, for the column ``threshold`` of tables.

        Args:
            probability: The map, in [0, 1], shape (X, Y, Z).
            spacing_mm: Voxel size along the three axes.

        Returns:
            A value in [0, 1]; NaN where the rule has no threshold for the scan.
        """

    def binarize(self, probability: Probability, spacing_mm: Spacing) -> Mask:
        """Make the mask of a scan: by default, a voxel is lesion when p is at least the threshold in this scan.

        Args:
            probability: The map, in [0, 1], shape (X, Y, Z).
            spacing_mm: Voxel size along the three axes.

        Returns:
            Shape (X, Y, Z). Where p rises and nothing else changes, no voxel stops to be lesion.
        """
        return binarize(probability, self.threshold_in(probability, spacing_mm))

    @property
    def fixed_threshold(self) -> float | None:
        """The threshold of every scan, for programs that know no rules; None where it differs between scans."""
        return None

    @property
    def finds_lesions(self) -> bool:
        """Whether its masks are better than marking every voxel, as far as fitting has shown."""
        return True

    @property
    @abstractmethod
    def summary(self) -> str:
        """The rule in a few words, to stand after "the model's own is"."""

    @abstractmethod
    def describe(self) -> str:
        """Return where the rule comes from, half a sentence."""

    @property
    def decisive(self) -> object:
        """What masks depend on, as JSON, for their fingerprint."""
        return self.model_dump(mode="json")


class GlobalThreshold(ThresholdRule):
    """One decision threshold for every scan: a voxel is lesion when p >= value."""

    rule: Literal["global"] = "global"
    value: Annotated[float, Field(ge=0, le=1)]
    objective: str
    """What was optimised on the threshold set."""
    interval: tuple[float, float] | None
    """95 % bootstrap interval over subjects; null where they are too few for one."""
    learned: bool = True
    """Whether the model does better at this threshold than marking every voxel does; written only where it does not."""

    @classmethod
    def fit(cls, sweep: pd.DataFrame, objective: str) -> Self:
        """Fit by :func:`cordlesion.choose_threshold`."""
        return cls.chosen(choose_threshold(sweep, objective))

    @classmethod
    def chosen(cls, choice: ThresholdChoice) -> Self:
        """Return the rule of a choice."""
        return cls(value=choice.value, objective=choice.objective, interval=choice.interval, learned=choice.learned)

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
    def finds_lesions(self) -> bool:
        """Whether it was better than marking every voxel, as t = 0 does."""
        return self.value > 0 and self.learned

    @property
    def summary(self) -> str:
        """The value."""
        return f"{self.value:g}"

    def describe(self) -> str:
        """Return whether it was tuned, for what, and how sure it is."""
        if self.objective.startswith("none"):
            return "the model's own, as it was published; it was not tuned"
        span = "" if self.interval is None else ", 95 % interval {:g} to {:g}".format(*self.interval)
        goal = self.objective.replace("_", " ").replace(" f1", " F1")
        return f"the model's own, tuned on scans set aside for that (objective: {goal}{span})"

    @property
    def decisive(self) -> object:
        """The value: where it comes from changes no mask."""
        return self.value

    @model_serializer(mode="wrap")
    def _without_the_usual_answer(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Files of models that learned stay as they are, readable by versions that do not know the field.
        written: dict[str, Any] = serialize(self)
        return {name: value for name, value in written.items() if (name, value) != ("learned", True)}


class ForeignRule(ThresholdRule):
    """A rule of a user's own code, as it was read: nothing of it has run, see :mod:`cordlesion.threshold.own_rule`."""

    model_config = ConfigDict(frozen=True, extra="allow")
    rule: str
    """The import path of its class."""

    @classmethod
    def fit(cls, sweep: pd.DataFrame, objective: str) -> Self:  # noqa: ARG003 - of every rule
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


THRESHOLD_RULES: Mapping[str, type[ThresholdRule]] = MappingProxyType({"global": GlobalThreshold})
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
        raise CordlesionError(
            f"{name}: the model learned too little: when it was tuned, no threshold did better than 0, which marks "
            "every voxel. Train it longer, or give --threshold."
        )
    return own
