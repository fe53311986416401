"""The file of a threshold rule, ``thresholds.json`` or ``threshold_rule.json``: all its keys, checked (no torch)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cordlesion.config import PostprocessConfig
from cordlesion.errors import CordlesionError
from cordlesion.io.faults import first_fault
from cordlesion.io.reading import read_json
from cordlesion.io.yaml import fault_at
from cordlesion.threshold.grid import VOLUME
from cordlesion.threshold.lesion_calibration import LesionCalibration
from cordlesion.threshold.rules import AnyThresholdRule, ForeignRule, GlobalThreshold, ThresholdRule

Count: TypeAlias = Annotated[int, Field(ge=0)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
_PARTS = ("threshold_rule", "postprocess", "scans")
"""All are written together; files of the first versions have none of them."""


class RuleFile(BaseModel):
    """A threshold rule with what `tune` found about it, as JSON; the rule beside masks has the first keys only.

    What stands in two places has to be the same in both.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    threshold: Share | None = None
    """In files of the first versions the whole rule."""
    threshold_rule: AnyThresholdRule | None = None
    postprocess: PostprocessConfig | None = None
    scans: dict[str, str] | None = None
    """Subject of each scan that the rule was tuned on, by name of the scan; empty if it was given."""
    code: dict[str, list[str]] = {}
    """SHA-256 of the module of a user's own rule."""
    lesion_calibration: LesionCalibration | None = None
    objective: str = "not recorded"
    score: float | None = None
    interval: tuple[Share, Share] | None = None
    minimum_volume_interval: tuple[float, float] | None = None
    plateau: tuple[Share | None, Share | None] | None = None
    score_lost: Annotated[
        tuple[float | None, float | None] | None, Field(alias="score_lost_at_0.05_below_and_above")
    ] = None
    area_under_curve: float | None = None
    n_scans: Count | None = None
    n_subjects: Count = 0
    n_lesion_free: Count = 0
    n_left_out: Count = 0
    n_groups: Count = 0
    """Of scans that repeat each other, for the objective ``repeatability``."""
    rule: str | None = None
    """The lesion rule."""
    grid: str | None = None
    lesion_free_scans: str | None = None
    maps_cut_at: Share | None = None
    left_out: dict[str, str] = {}
    curve: list[dict[str, float | None]] = []

    @property
    def mask_rule(self) -> ThresholdRule:
        """The rule; of a file of the first versions, its threshold."""
        if self.threshold_rule is not None:
            return self.threshold_rule
        return GlobalThreshold(value=self.threshold or 0.0, objective=self.objective, interval=self.interval)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Refuse a file that lost a part: its masks would be others, or made of scans that nobody knows."""
        lacking = [name for name in _PARTS if getattr(self, name) is None]
        if lacking and (len(lacking) < len(_PARTS) or self.threshold is None):
            raise fault_at("is missing; add this key", lacking[0])
        if self.postprocess is not None and VOLUME not in self.postprocess.model_fields_set:
            raise fault_at("is missing; add this key", "postprocess", VOLUME)
        return self

    @model_validator(mode="after")
    def _in_agreement(self) -> Self:
        """Refuse two values in places that hold the same."""
        for name, there, other in self._elsewhere():
            own = getattr(self, name)
            own = list(own) if isinstance(own, tuple) else own
            if name in self.model_fields_set and own != other:
                raise fault_at(f"is {json.dumps(own)}, but `{there}` is {json.dumps(other)}; one value is needed", name)
        self._require_scans()
        self._require_curve()
        return self

    def _elsewhere(self) -> Iterator[tuple[str, str, object]]:
        """Yield the keys whose value stands in a second place, that place, and the value there."""
        rule = self._fields
        # Earlier versions stated the threshold of rules that are more than one, too.
        if rule and (self.threshold is not None or self.mask_rule.fixed_threshold is not None):
            yield "threshold", "threshold_rule.value", rule.get("value")
        yield from ((name, f"threshold_rule.{name}", rule[name]) for name in ("objective", "interval") if name in rule)
        for number, promise in enumerate(rule.get("promises", ())):
            yield "rule", f"threshold_rule.promises.{number}.lesion_rule", promise["lesion_rule"]
        if self.lesion_calibration is not None:
            yield "rule", "lesion_calibration.lesion_rule", self.lesion_calibration.lesion_rule

    @property
    def _fields(self) -> dict[str, Any]:
        """The fields of the rule as JSON; none in files of the first versions."""
        return {} if self.threshold_rule is None else self.threshold_rule.model_dump(mode="json")

    def _require_scans(self) -> None:
        """Refuse names of scans that are not as many as the rule was tuned on."""
        if self.n_scans is None or self.scans is None:
            return
        used, n_subjects = self.n_scans + self.n_left_out, len(set(self.scans.values()))
        if len(self.scans) != used or n_subjects < self.n_subjects:
            raise fault_at(
                f"names {len(self.scans)} scans of {n_subjects} subjects, but the rule was tuned on {used} scans of "
                f"{self.n_subjects} subjects (`n_scans`, `n_left_out`, `n_subjects`); all are needed",
                "scans",
            )

    def _require_curve(self) -> None:
        """Refuse a threshold, settings or a score that are not those of the curve."""
        removal = {} if self.postprocess is None else self.postprocess.model_dump()
        fields = removal | self._fields
        chosen = fields | {"threshold": fields.get("value", self.threshold), "score": self.score}
        # A curve without minimum volumes is of masks from which nothing was removed.
        known: dict[str, float | None] = {} if isinstance(self.threshold_rule, ForeignRule) else {VOLUME: 0.0}
        if self.curve and not any(_is_row(known | row, chosen) for row in self.curve):
            t = chosen["threshold"]
            where = "" if t is None else f" at t = {t:g}"
            raise fault_at(f"has no row{where} with the chosen settings and the score that `score` holds", "curve")


def _is_row(row: dict[str, float | None], chosen: dict[str, Any]) -> bool:
    """Return whether a row of the curve is that of the chosen rule, as far as its names are those of the rule."""
    return all(value == chosen[name] for name, value in row.items() if chosen.get(name) is not None or name == "score")


def read_rule_file(path: Path) -> RuleFile:
    """Read the file of a threshold rule, also one of an earlier version; no code of a user is run.

    Raises:
        CordlesionError: The file is missing, damaged or of something else, or two of its places contradict each other.
    """
    record = read_json(path, dict)
    if not {"threshold", "threshold_rule"} & record.keys():
        raise CordlesionError(
            f"{path}: holds no threshold rule; the file that `tune` or `cut` wrote is needed. Restore it, or name "
            "another."
        )
    try:
        # As JSON, where a list is a tuple, and strictly: neither "0.3" nor true is a number.
        return RuleFile.model_validate_json(json.dumps(record), strict=True)
    except ValidationError as error:
        fault = first_fault(error, record)
        raise CordlesionError(f"{path}: {fault}. Restore the file as `tune` wrote it, or tune again.") from None
