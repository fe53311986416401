"""What the functions of this door share: pairs of files with their people and lesion values, names, excluded files."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, TypeVar

import numpy as np

from cordlesion.config import SETS, SetName
from cordlesion.dataset.matching import MASK_NAMES, MapPair, pair_files
from cordlesion.dataset.scan_names import scan_file
from cordlesion.dataset.subjects import read_subjects
from cordlesion.errors import CordlesionError
from cordlesion.execution.outcome import Outcome
from cordlesion.io.formats import plural
from cordlesion.io.progress import show_message
from cordlesion.io.volume import Volume
from cordlesion.metrics.rules import row_name
from cordlesion.nnunet.predictions import list_instances, list_maps, list_masks, list_part, read_map
from cordlesion.threshold.mask_rule import MaskRule, read_tuning_scans, rule_beside, shared_scans

Result = TypeVar("Result")


class _OfScan(Protocol):
    @property
    def scan_id(self) -> str: ...


Item = TypeVar("Item", bound=_OfScan)
FigureFormat: TypeAlias = Literal["png", "svg"]
"""Formats of pictures."""


def pair_by_name(
    reference: Path,
    prediction: Path,
    *,
    are_maps: bool = False,
    lesion_value: float | None = None,
    predicted_value: float | None = None,
    subjects: Path | str | None = None,
    set_name: SetName | None = None,
    numbered_references: bool = False,
    numbered_predictions: bool = False,
) -> tuple[list[MapPair], dict[str, str]]:
    """Match references with predictions; note which values are lesion in them, and of whom the scans are.

    Args:
        reference: A mask, or a folder of masks.
        prediction: The same, or probability maps.
        are_maps: Whether predictions are probability maps, NIfTI or nnU-Net's exports.
        lesion_value: The value of lesions in references.
        predicted_value: The same in predicted masks.
        subjects: The subject of each scan, as :func:`cordlesion.dataset.subjects.read_subjects` takes it; by default
            that of its name.
        set_name: The set that is used where ``subjects`` divides the scans into sets.
        numbered_references: Whether references are instance maps.
        numbered_predictions: Whether predictions are.

    Returns:
        The pairs, sorted by name; and the files that cannot be used, each with the reason.

    Raises:
        CordlesionError: As :func:`cordlesion.dataset.matching.pair_files`, or the subject of a scan is not known, or
            no scan is in the set.
    """
    people = None if subjects is None else read_subjects(subjects)
    names, listing = ((), list_maps) if are_maps else (MASK_NAMES, list_masks)
    if numbered_predictions:
        names, listing = (), list_instances
    theirs = list_instances if numbered_references else partial(list_part, part="labels")
    pairs, unmatched = pair_files(reference, prediction, names, listing, theirs)
    valued = [replace(pair, lesion_value=lesion_value, predicted_value=predicted_value) for pair in pairs]
    if people is not None:
        root = reference if reference.is_dir() else reference.parent
        known = [people.person(pair.reference.relative_to(root), pair.scan_id) for pair in valued]
        named = [
            replace(pair, subject=one.subject, session=one.session) for pair, one in zip(valued, known, strict=True)
        ]
        valued = _of_set(named, [one.set_name for one in known], set_name, subjects)
    return valued, dict(unmatched)


def _of_set(
    pairs: list[MapPair], sets: Sequence[str], wanted: SetName | None, table: Path | str | None
) -> list[MapPair]:
    """Return the pairs of a set, where a table divides them into sets."""
    if wanted is None or not any(sets):
        return pairs
    if unknown := sorted({*sets} - {*SETS}):
        raise CordlesionError(
            f"{table}: has the set {unknown[0]!r}; each scan needs one of {', '.join(SETS)} in the column set. Mend it."
        )
    first: dict[str, str] = {}
    for pair, name in zip(pairs, sets, strict=True):
        if first.setdefault(pair.subject, name) != name:
            raise CordlesionError(
                f"{table}: puts the subject {pair.subject} into the sets {first[pair.subject]} and {name}; all scans "
                "of a subject are needed in one set, or scores look too good. Mend it."
            )
    chosen = [pair for pair, name in zip(pairs, sets, strict=True) if name == wanted]
    if not chosen:
        raise CordlesionError(
            f"{table}: puts none of these {plural(len(pairs), 'scan')} into the set {wanted}; scans of it are needed. "
            "Mend the column set, or give other scans."
        )
    show_message(f"{table}: {len(chosen)} of {plural(len(pairs), 'scan')} are in the set {wanted}.")
    return chosen


def remark_people(pairs: Sequence[MapPair], subjects: Path | str | None) -> list[str]:
    """Remark that files are counted as people, where neither names nor the user name the subjects."""
    bare = [pair.scan_id for pair in pairs if not scan_file(pair.reference).entities]
    if subjects is not None or len(bare) < 2:
        return []
    guess = _guess_pattern(bare)
    example = f" (by their names perhaps --subjects '{guess}')" if guess else ""
    remark = (
        f"{len(bare)} files count as {len(bare)} people, because their names have no sub- (first: {bare[0]}). If some "
        "are of one person, intervals are too narrow, and a person may be in the threshold set and the test set "
        f"unnoticed: name the subjects with --subjects, a table or a pattern{example}."
    )
    return [remark]


def _guess_pattern(names: Sequence[str]) -> str:
    """Return a pattern by which some files, but not all, are of one person; empty if there is none."""
    parts = [name.split("_") for name in names]
    n_fixed = next((k for k, words in enumerate(zip(*parts, strict=False)) if len(set(words)) > 1), 0)
    people = {tuple(words[: n_fixed + 1]) for words in parts}
    if len(people) == len(names) or any(len(words) < n_fixed + 2 for words in parts):
        return ""
    return "_".join([*parts[0][:n_fixed], "{subject}", "*"])


def remark_shared(rule: MaskRule | None, predictions: Path, pairs: Sequence[MapPair]) -> list[str]:
    """Remark that scans are measured whose subjects the threshold was tuned on.

    Args:
        rule: The one that was given; None for masks, whose rule may be beside them.
        predictions: The masks or maps.
        pairs: The scans.
    """
    source = rule_beside(predictions) if rule is None else rule.source
    try:
        tuned = read_tuning_scans(source)
    except CordlesionError as error:
        return [f"{error} Until then it is unknown whether the threshold was tuned on these subjects."]
    shared = shared_scans(tuned, {pair.scan_id: pair.subject for pair in pairs})
    if not shared:
        return []
    remark = (
        f"{source}: was tuned on the subjects of {len(shared)} of these {plural(len(pairs), 'scan')} (first: "
        f"{shared[0]}), so their scores look too good. Report scans of other subjects."
    )
    return [remark]


def only_zeros_and_ones(probability: Volume) -> bool | None:
    """Return whether a map holds 0 and 1 only, as a mask does; None if it holds one value, which any map may."""
    low, high = float(probability.data.min()), float(probability.data.max())
    if low == high:
        return None
    # Slice by slice, so that a map that is no mask is recognised at once.
    slices = np.moveaxis(probability.data, -1, 0)
    return (low, high) == (0, 1) and all(bool(np.all((part == 0) | (part == 1))) for part in slices)


def refuse_masks(maps: Path) -> CordlesionError:
    """Return the error for maps that are masks."""
    return CordlesionError(
        f"{maps}: holds only 0 and 1, as masks do, which no threshold changes; probability maps are needed. Export the "
        "network's probabilities before they are cut (nnU-Net: --save_probabilities)."
    )


@dataclass(frozen=True)
class CutMaps:
    """Reads masks that it makes of probability maps, by a rule."""

    rule: MaskRule
    source: Path
    """The maps, for messages."""
    lesion_class: int | None = None
    _are_masks: list[bool | None] = field(default_factory=list)

    def read(self, path: Path, like: Volume | None = None) -> Volume:
        """Return the mask of a map; see :func:`cordlesion.nnunet.predictions.read_map`.

        Raises:
            CordlesionError: The map cannot be used.
        """
        return self.read_both(path, like)[0]

    def read_both(self, path: Path, like: Volume | None = None) -> tuple[Volume, Volume]:
        """Return the mask of a map, and the map."""
        probability = read_map(path, like, self.lesion_class)
        self._are_masks.append(only_zeros_and_ones(probability))
        return replace(probability, data=self.rule.make_mask(probability)[0]), probability

    def require_one(self) -> None:
        """Refuse maps that are all masks.

        Raises:
            CordlesionError: They are.
        """
        if any(self._are_masks) and False not in self._are_masks:
            raise refuse_masks(self.source)


def usable_results(
    outcomes: Sequence[Outcome[Item, Result]], unmatched: Mapping[str, str]
) -> tuple[list[Result], dict[str, str]]:
    """Return the results, and the excluded scans and files, each with the reason.

    Raises:
        CordlesionError: There is no result; the first reason.
    """
    excluded = {outcome.item.scan_id: outcome.fault for outcome in outcomes if outcome.fault} | dict(unmatched)
    results = [outcome.result for outcome in outcomes if outcome.result is not None]
    if not results:
        raise CordlesionError(next(iter(excluded.values())))
    return results, excluded


def require_name(name: str, table: Iterable[str], kind: str) -> str:
    """Return the key of a table that a name stands for, or refuse the name.

    Raises:
        CordlesionError: The table has no such row; the sentence lists the names.
    """
    names = list(table)
    key = row_name(name, names)
    if key not in names:
        raise CordlesionError(f"{name!r} is no {kind}; one of {', '.join(names)} is needed.")
    return key
