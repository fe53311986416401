"""What a threshold rule is: how the lesion mask of a scan is made from its probability map (no torch)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Self, TypeAlias

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from cordlesion.io.arrays import Float32Array, Mask
from cordlesion.metrics import RULES, LesionRule, ScanMetrics, binarize, sweep
from cordlesion.threshold.choice import ThresholdChoice, choose_threshold
from cordlesion.threshold.grid import THRESHOLDS
from cordlesion.threshold.objective_names import AnyObjective
from cordlesion.threshold.promise import Promise, join_promises

Probability: TypeAlias = Float32Array
Spacing: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class TuningScan:
    """A scan of the threshold set: what a rule may be fitted on."""

    scan_id: str
    subject: str
    reference: Mask
    """Shape (X, Y, Z)."""
    probability: Probability
    """The map, in [0, 1], on the same grid."""
    spacing_mm: Spacing


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

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    rule: str
    """Its key in :data:`THRESHOLD_RULES`; a class declares it as ``rule: Literal["global"] = "global"``. A class of a
    user declares its import path: ``rule: Literal["my_rules:TopShare"] = "my_rules:TopShare"``."""

    @classmethod
    def measure(cls, scan: TuningScan, lesion_rule: LesionRule) -> pd.DataFrame:
        """Measure a scan of the threshold set with everything that may be chosen: by default, at every threshold.

        Args:
            scan: The scan.
            lesion_rule: Decides which lesions are detected.

        Returns:
            A row per combination: ``scan_id subject threshold``, settings of :data:`cordlesion.threshold.SETTINGS`, and
            the fields of :class:`cordlesion.metrics.ScanMetrics`.
        """
        measured = sweep(scan.reference, scan.probability, scan.spacing_mm, THRESHOLDS, lesion_rule)
        return as_table(scan, measured, {"threshold": list(THRESHOLDS)})

    @classmethod
    @abstractmethod
    def fit(cls, table: pd.DataFrame, objective: AnyObjective, lesion_rule: LesionRule = RULES["study"]) -> Self:
        """Fit the rule on the threshold set, and on no other scan.

        Args:
            table: What :meth:`measure` returns of each scan, one below the other.
            objective: What is maximised, a name in :data:`cordlesion.threshold.OBJECTIVES`.
            lesion_rule: The one that scans were measured by.

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
            Shape (X, Y, Z). Where p of a lesion voxel rises and nothing else changes, this voxel stays lesion.
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


class TunedRule(ThresholdRule):
    """A rule that was chosen among many on the threshold set."""

    objective: str
    """What was optimised on the threshold set."""
    interval: tuple[float, float] | None
    """95 % bootstrap interval over subjects of the threshold; null where there is none."""
    learned: bool = True
    """Whether the model does better with this rule than marking every voxel does; written only where it does not."""
    tried: ClassVar[Mapping[str, Sequence[float]]] = MappingProxyType({"threshold": THRESHOLDS})
    """What is chosen among: values of the threshold and of each of the settings."""
    promises: tuple[Promise, ...] = ()
    """What its masks are shown to keep, see :mod:`cordlesion.threshold.promises`; written only where there is any."""

    @classmethod
    @abstractmethod
    def choose(
        cls, table: pd.DataFrame, objective: AnyObjective, lesion_rule: LesionRule = RULES["study"]
    ) -> tuple[Self, ThresholdChoice]:
        """Choose the rule on the threshold set, as :meth:`fit` does, and return how sure the choice is, too."""

    @classmethod
    def fit(cls, table: pd.DataFrame, objective: AnyObjective, lesion_rule: LesionRule = RULES["study"]) -> Self:
        """Return the rule of :meth:`choose`."""
        return cls.choose(table, objective, lesion_rule)[0]

    @staticmethod
    def facts(choice: ThresholdChoice) -> dict[str, Any]:
        """Return the fields that every tuned rule has."""
        kept = {"promises": tuple(choice.promises)} if choice.promises else {}
        return {"objective": choice.objective, "interval": choice.interval, "learned": choice.learned, **kept}

    @property
    def finds_lesions(self) -> bool:
        """Whether it was better than marking every voxel, as t = 0 does."""
        return self.learned

    def describe(self) -> str:
        """Return whether it was tuned, for what, and how sure it is."""
        if self.objective.startswith("none"):
            return "the model's own, as it was published; it was not tuned"
        span = "" if self.interval is None else ", 95 % interval {:g} to {:g}".format(*self.interval)
        goal = self.objective.replace("_", " ").replace(" f1", " F1")
        promised = f"; {join_promises(self.promises)}" if self.promises else ""
        return f"the model's own, tuned on scans set aside for that (objective: {goal}{span}{promised})"

    @property
    def decisive(self) -> object:
        """What masks depend on: where it comes from changes none."""
        return self.model_dump(mode="json", exclude={"objective", "interval", "learned", "promises"})

    @model_serializer(mode="wrap")
    def _without_the_usual_answer(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Files of models that learned and promise nothing stay readable by versions that do not know these fields.
        written: dict[str, Any] = serialize(self)
        usual: tuple[tuple[str, object], ...] = (("learned", True), ("promises", ()), ("promises", []))
        return {name: value for name, value in written.items() if (name, value) not in usual}


class RuleWithThreshold(TunedRule):
    """A tuned rule with one threshold, alone or with settings that were chosen together with it."""

    value: Annotated[float, Field(ge=0, le=1, strict=True)]  # true is no threshold of 1

    @classmethod
    def choose(
        cls, table: pd.DataFrame, objective: AnyObjective, lesion_rule: LesionRule = RULES["study"]
    ) -> tuple[Self, ThresholdChoice]:
        """Choose by :func:`cordlesion.choose_threshold`."""
        choice = choose_threshold(table, objective)
        return cls.chosen(choice, lesion_rule), choice

    @classmethod
    @abstractmethod
    def chosen(cls, choice: ThresholdChoice, lesion_rule: LesionRule) -> Self:
        """Return the rule of a choice among the rows of :meth:`measure`.

        Args:
            choice: By :func:`cordlesion.choose_threshold`.
            lesion_rule: The one that scans were measured by.
        """

    @staticmethod
    def facts(choice: ThresholdChoice) -> dict[str, Any]:
        """Return the fields that every such rule has."""
        return {"value": choice.value, **TunedRule.facts(choice)}

    @property
    def finds_lesions(self) -> bool:
        """Whether it was better than marking every voxel, as t = 0 does."""
        return self.value > 0 and self.learned


def as_table(scan: TuningScan, measured: Sequence[ScanMetrics], columns: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """Return a row per measured combination, with the names of the scan and what was combined."""
    names = {"scan_id": scan.scan_id, "subject": scan.subject}
    return pd.DataFrame([asdict(one) for one in measured]).assign(**names, **columns)
