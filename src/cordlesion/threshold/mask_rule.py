"""What makes the mask of any map, in one place: a threshold rule with its post-processing, in the file of `tune`.

Commands that apply a rule take a :class:`MaskRule`, so a new row of ``THRESHOLD_RULES`` needs no change in any of them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cordlesion.config import PostprocessConfig
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Mask
from cordlesion.io.volume import Volume
from cordlesion.io.writing import write_json
from cordlesion.threshold.choice import ThresholdChoice
from cordlesion.threshold.lesion_calibration import LesionCalibration
from cordlesion.threshold.own_rule import code_of, known_rule, tried_rule
from cordlesion.threshold.postprocess import make_mask
from cordlesion.threshold.promise import Promise
from cordlesion.threshold.rule import TunedRule
from cordlesion.threshold.rule_file import read_rule_file
from cordlesion.threshold.rules import ForeignRule, GlobalThreshold, ThresholdRule

_BESIDE, _LESIONS = "threshold_rule.json", "lesion_calibration"
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
    code: Mapping[str, list[str]] = field(default_factory=dict)
    """SHA-256 of the module of a user's own rule."""
    lesions: LesionCalibration | None = None
    """The chance that a lesion of its masks is real; None where that is not known."""

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

    @property
    def promises(self) -> tuple[Promise, ...]:
        """What its masks are shown to keep; none of most rules."""
        return self.rule.promises if isinstance(self.rule, TunedRule) else ()

    def record(self) -> dict[str, object]:
        """Return the rule as JSON, as :func:`read_mask_rule` reads it."""
        return {
            "threshold_rule": self.rule.model_dump(mode="json"),
            "postprocess": self.removal.model_dump(mode="json"),
            "scans": dict(self.scans),
            **({"code": dict(self.code)} if self.code else {}),
            **({} if self.lesions is None else {_LESIONS: self.lesions.model_dump(mode="json")}),
        }


def shared_scans(tuned: Mapping[str, str], scans: Mapping[str, str]) -> list[str]:
    """Return which scans are of a subject that a rule was tuned on.

    Args:
        tuned: Subject of each scan that the rule was tuned on, by name of the scan.
        scans: The same of the scans in question.
    """
    people = {subject.removeprefix("sub-") for subject in tuned.values()}
    return sorted(scan for scan, subject in scans.items() if scan in tuned or subject.removeprefix("sub-") in people)


def read_mask_rule(given: Path | str | float, code: Path | str | None = None) -> MaskRule:
    """Read a rule: a number is a threshold for all scans, anything else the path of a file that `tune` wrote.

    Files of older versions hold the threshold only.

    Args:
        given: The number or the path.
        code: Folder of the module of a user's own rule, whose code is run.

    Raises:
        CordlesionError: The number is out of range, the file is missing or holds no rule, or the rule needs code that
            is not given or another one.
    """
    if (value := _number(given)) is not None:
        return MaskRule(GlobalThreshold.given(value))
    path = Path(str(given))
    if not path.is_file():
        raise CordlesionError(f"{path}: no such file; {_NEEDED}. Check --threshold.")
    found = _read(path)
    return replace(found, rule=_with_code(found, code))


def _read(path: Path) -> MaskRule:
    """Read a file; a rule of a user's own code stays as it is."""
    found = read_rule_file(path)
    rule, removal = found.mask_rule, found.postprocess or PostprocessConfig()
    if not rule.finds_lesions:
        raise CordlesionError(f"{path}: holds a threshold that finds nothing; tune again. {_NEEDED.capitalize()}.")
    if removal.cord_margin_mm is not None:
        raise CordlesionError(
            f"{path}: restricts lesions to the cord, and this command has no cord masks; a rule without "
            "`cord_margin_mm` is needed. Cut these maps in a study."
        )
    return MaskRule(rule, removal, found.scans or {}, path, found.code, found.lesion_calibration)


def _with_code(found: MaskRule, code: Path | str | None) -> ThresholdRule:
    """Return a rule that can be applied, where the code of a user's rule may run."""
    if not isinstance(found.rule, ForeignRule):
        return found.rule
    if code is None:
        raise CordlesionError(f"{found.source}: {found.rule.refusal}")
    try:
        return known_rule(found.rule, found.code, code)
    except CordlesionError as error:
        raise CordlesionError(f"{found.source}: {error}") from error


def write_rule(rule: ThresholdRule, path: Path | str, minimum_volume_mm3: float = 0.0) -> None:
    """Write a fitted threshold rule to a file, for ``--threshold`` of `cut` and `evaluate`.

    Args:
        rule: The rule; of one of your own, the SHA-256 of its module is stored, too.
        path: The file (.json).
        minimum_volume_mm3: Predicted components count only if they are larger.

    Raises:
        CordlesionError: The rule does not work or does not name its class, or the file cannot be written.

    Examples:
        >>> import cordlesion
        >>> from cordlesion.threshold import GlobalThreshold
        >>> cordlesion.write_rule(GlobalThreshold.given(0.3), "rule.json")
        >>> len(cordlesion.evaluate_files("references", probability="maps", threshold="rule.json").table)
        10
    """
    removal = PostprocessConfig(minimum_volume_mm3=minimum_volume_mm3)
    write_json(Path(path), MaskRule(tried_rule(rule), removal, code=code_of(rule)).record())


def rule_beside(masks: Path) -> Path:
    """Return where :func:`write_rule_beside` leaves the rule of masks: a mask, or their folder."""
    return (masks if masks.is_dir() else masks.parent) / _BESIDE


def read_tuning_scans(path: Path | None) -> Mapping[str, str]:
    """Return the scans that a rule in a file was tuned on, with their subjects; none if there is no file.

    The rule itself may be one that cannot be applied here.

    Raises:
        CordlesionError: The file is damaged, is no file of a rule, or does not name the scans.
    """
    if path is None or not path.is_file():
        return {}
    scans = read_rule_file(path).scans
    if scans is None:
        raise CordlesionError(f"{path}: does not name the scans that the rule was tuned on; tune again to name them.")
    return scans


def is_other_rule(path: Path, rule: MaskRule) -> bool:
    """Return whether a file is there that holds anything but a rule, by its content and the scans it was tuned on."""
    if not path.is_file():
        return False
    try:
        return _read(path).record() != rule.record()
    except CordlesionError:
        return True


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
