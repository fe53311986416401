"""Threshold rules of users: classes named by an import path, whose code is run only where the user allows it."""

import contextlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Mask
from cordlesion.io.faults import first_fault
from cordlesion.io.fingerprints import file_hash
from cordlesion.io.import_path import import_object, is_import_path, module_hash
from cordlesion.threshold.rule import Probability, Spacing
from cordlesion.threshold.rules import ForeignRule, ThresholdRule

_TRIED_SHAPE, _TRIED_SPACING = (9, 10, 11), (1.0, 0.8, 2.5)


def resolve_rule(rule: ThresholdRule, code: Path | str | None) -> ThresholdRule:
    """Return a rule that can be applied: that of a user by importing its class, which runs its code.

    Args:
        rule: As it was read.
        code: Folder in which its module is looked for first.

    Raises:
        CordlesionError: There is no such class, it has other fields, or it does not make masks.
    """
    if not isinstance(rule, ForeignRule):
        return rule
    kind = import_object(rule.rule, code)
    if not (inspect.isclass(kind) and issubclass(kind, ThresholdRule)):
        raise CordlesionError(f"{rule.rule} is no class of cordlesion.ThresholdRule; one is needed as threshold rule.")
    content = rule.model_dump(mode="json")
    try:
        resolved: ThresholdRule = kind.model_validate(content)
    except ValidationError as error:
        fault = first_fault(error, content)
        raise CordlesionError(f"The threshold rule {rule.rule} has other fields: {fault}.") from None
    return tried_rule(resolved)


def known_rule(rule: ThresholdRule, recorded: object, code: Path | str) -> ThresholdRule:
    """Return a rule of the user's own code that can be applied, once it is clear that it was fitted with that code.

    Args:
        rule: As it was read.
        recorded: What :func:`code_of` returned when it was written.
        code: Folder that the user gave.

    Raises:
        CordlesionError: The code is another one, or does not make masks.
    """
    hashes = recorded.get(rule.rule) if isinstance(recorded, dict) else None
    # The module is compared before it runs.
    if hashes != [module_hash(rule.rule, code)]:
        raise CordlesionError(
            f"its threshold rule is {rule.rule}, but the module in {code} is not the one that it was fitted with, by "
            "its SHA-256. Get that version of the module, or give a threshold and no code."
        )
    return resolve_rule(rule, code)


def code_of(rule: ThresholdRule) -> dict[str, list[str]]:
    """Return the SHA-256 of the module of a user's rule by its import path; empty for a rule of the program.

    Raises:
        CordlesionError: The rule does not name its class.
    """
    if not is_import_path(rule.rule):
        return {}
    own = f"{type(rule).__module__}:{type(rule).__name__}"
    file = getattr(sys.modules[type(rule).__module__], "__file__", None)
    if rule.rule != own or file is None:
        raise CordlesionError(
            f"The threshold rule {own} names itself {rule.rule}; its field `rule` needs the import path of its class, "
            "in a file."
        )
    return {rule.rule: [file_hash(Path(file))]}


def tried_rule(rule: ThresholdRule) -> ThresholdRule:
    """Try a rule on a random map and return it.

    Raises:
        CordlesionError: It fails, makes no mask of the map's shape, or has no words or fields for a file.
    """
    probability = np.random.default_rng(0).uniform(0.05, 0.95, _TRIED_SHAPE).astype(np.float32)
    _checked(rule, probability, _TRIED_SPACING)
    with _own_code(rule, "when it is written to a file"):
        json_form = type(rule).model_validate(rule.model_dump(mode="json"))
        words = rule.summary, rule.describe()
    if json_form != rule or not all(isinstance(word, str) for word in words):
        raise CordlesionError(
            f"The threshold rule {rule.rule} needs fields that JSON can hold, and texts as `summary` and `describe`."
        )
    return rule


def apply_rule(rule: ThresholdRule, probability: Probability, spacing_mm: Spacing) -> tuple[Mask, float]:
    """Make the mask of a map, and return the threshold too; whatever the code of a user's rule does gets a sentence.

    Args:
        rule: Of the program, or of a user.
        probability: The map, shape (X, Y, Z); it is not changed.
        spacing_mm: Voxel size along the three axes.

    Raises:
        CordlesionError: A user's rule fails, makes no mask of the map's shape, or gives no threshold.
    """
    if is_import_path(rule.rule):
        return _checked(rule, probability, spacing_mm)
    return rule.binarize(probability, spacing_mm), rule.threshold_in(probability, spacing_mm)


def _checked(rule: ThresholdRule, probability: Probability, spacing_mm: Spacing) -> tuple[Mask, float]:
    with _own_code(rule, "on a map"):
        mask = rule.binarize(probability.copy(), spacing_mm)
        threshold = float(rule.threshold_in(probability.copy(), spacing_mm))
    if not isinstance(mask, np.ndarray) or mask.shape != probability.shape or mask.dtype != np.bool_:
        raise CordlesionError(f"The threshold rule {rule.rule} makes no boolean mask of the shape of its map.")
    if not (np.isnan(threshold) or 0 <= threshold <= 1):
        raise CordlesionError(
            f"The threshold rule {rule.rule} gives the threshold {threshold:g}; one from 0 to 1 (or NaN) is needed."
        )
    return mask, threshold


@contextlib.contextmanager
def _own_code(rule: ThresholdRule, when: str) -> Iterator[None]:
    """Turn whatever a user's code raises into a sentence."""
    try:
        yield
    except CordlesionError:
        raise
    except (Exception, SystemExit) as error:  # the user's code can raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise CordlesionError(f"The threshold rule {rule.rule} fails {when} ({reason}).") from error
