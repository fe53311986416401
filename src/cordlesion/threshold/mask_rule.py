"""What makes the mask of any map, in one place: a threshold rule with its post-processing, in the file of `tune`.

Commands that apply a rule take a :class:`MaskRule`, so a new row of ``THRESHOLD_RULES`` needs no change in any of them.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cordlesion.config import PostprocessConfig
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Mask
from cordlesion.io.reading import read_json
from cordlesion.io.volume import Volume
from cordlesion.io.writing import write_json
from cordlesion.threshold.choice import ThresholdChoice
from cordlesion.threshold.postprocess import make_mask
from cordlesion.threshold.rules import GlobalThreshold, ThresholdRule, load_rule

_BESIDE = "threshold_rule.json"
_NEEDED = "a number above 0 and up to 1, or the file that `tune` wrote (thresholds.json), is needed"


@dataclass(frozen=True)
class MaskRule:
    """A threshold rule, what is removed from its masks, and on which scans it was tuned."""

    rule: ThresholdRule
    removal: PostprocessConfig = field(default_factory=PostprocessConfig)
    scans: Mapping[str, str] = field(default_factory=dict)
    """Subject of each scan that the rule was tuned on, by name of the scan; empty if it was given."""
    source: Path | None = None
    """The file it came from."""

    @classmethod
    def chosen(cls, choice: ThresholdChoice, scans: Mapping[str, str]) -> "MaskRule":
        """Return the rule of a choice on some scans."""
        volume = choice.minimum_volume_mm3 or 0.0
        return cls(GlobalThreshold.chosen(choice), PostprocessConfig(minimum_volume_mm3=volume), scans)

    def make_mask(self, probability: Volume) -> tuple[Mask, float]:
        """Make the mask of a map; returns the threshold that was applied, too (NaN if there is none for the scan)."""
        return make_mask(probability, self.rule, self.removal, None)

    @property
    def summary(self) -> str:
        """The rule in a few words."""
        volume = self.removal.minimum_volume_mm3
        removed = f", components larger than {volume:g} mm³" if volume else ""
        return f"threshold {self.rule.summary}{removed}"

    def record(self) -> dict[str, object]:
        """Return the rule as JSON, as :func:`read_mask_rule` reads it."""
        return {
            "threshold_rule": self.rule.model_dump(mode="json"),
            "postprocess": self.removal.model_dump(mode="json"),
            "scans": dict(self.scans),
        }

    def shared_with(self, scans: Mapping[str, str]) -> list[str]:
        """Return which scans, of those whose subjects are given, are of a subject that the rule was tuned on."""
        people = {subject.removeprefix("sub-") for subject in self.scans.values()}
        return sorted(
            scan for scan, subject in scans.items() if scan in self.scans or subject.removeprefix("sub-") in people
        )


def read_mask_rule(given: Path | str | float) -> MaskRule:
    """Read a rule: a number is a threshold for all scans, anything else the path of a file that `tune` wrote.

    Files of older versions hold the threshold only.

    Raises:
        CordlesionError: The number is out of range, or the file is missing or holds no rule.
    """
    if (value := _number(given)) is not None:
        return MaskRule(GlobalThreshold.given(value))
    path = Path(str(given))
    if not path.is_file():
        raise CordlesionError(f"{path}: no such file; {_NEEDED}. Check --threshold.")
    record = read_json(path, dict)
    try:
        rule, removal = load_rule(record.get("threshold_rule") or _of_older(record)), _removal(record)
    except (ValidationError, KeyError) as error:
        raise CordlesionError(f"{path}: holds no threshold rule; {_NEEDED}. Check --threshold.") from error
    if not rule.finds_lesions:
        raise CordlesionError(f"{path}: holds a threshold that finds nothing; tune again. {_NEEDED.capitalize()}.")
    if removal.cord_margin_mm is not None:
        raise CordlesionError(
            f"{path}: restricts lesions to the cord, and this command has no cord masks; a rule without "
            "`cord_margin_mm` is needed. Cut these maps in a study."
        )
    return MaskRule(rule, removal, _scans(record), path)


def read_rule_beside(masks: Path) -> MaskRule | None:
    """Return the rule that made the masks of a folder, if :func:`write_rule_beside` left it there.

    Raises:
        CordlesionError: The file is damaged.
    """
    path = (masks if masks.is_dir() else masks.parent) / _BESIDE
    return read_mask_rule(path) if path.is_file() else None


def write_rule_beside(masks: Path, rule: MaskRule) -> None:
    """Write the rule into the folder of the masks that it made, so that their tuning scans stay known."""
    write_json(masks / _BESIDE, rule.record())


def _number(given: Path | str | float) -> float | None:
    try:
        value = float(str(given))
    except ValueError:
        return None
    if math.isnan(value):
        raise CordlesionError(f"the threshold is NaN; {_NEEDED}. Check --threshold.")
    return value


def _of_older(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "rule": "global",
        "value": record["threshold"],
        "objective": record.get("objective", "not recorded"),
        "interval": record.get("interval"),
    }


def _removal(record: Mapping[str, Any]) -> PostprocessConfig:
    return PostprocessConfig.model_validate(record.get("postprocess") or {})


def _scans(record: Mapping[str, Any]) -> dict[str, str]:
    scans = record.get("scans")
    entries: Collection[tuple[object, object]] = scans.items() if isinstance(scans, dict) else ()
    return {str(scan): str(subject) for scan, subject in entries}
