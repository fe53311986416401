"""Groups of masks or maps whose scans repeat each other, and what is measured in each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cordlesion.dataset.matching import MASK_NAMES, PROBABILITY_NAMES, named_files
from cordlesion.dataset.repeats import Repeats
from cordlesion.dataset.scan_names import ScanFile
from cordlesion.dataset.subjects import Person, read_subjects
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Mask
from cordlesion.io.formats import plural
from cordlesion.io.mask_values import MaskValues
from cordlesion.io.tables import REPEAT
from cordlesion.io.volume import Volume, read_volume
from cordlesion.lesions.found_again import count_found_again
from cordlesion.metrics import LesionRule, binarize, label_components
from cordlesion.nnunet.predictions import EXPORT, list_maps, list_masks, read_map
from cordlesion.threshold.grid import THRESHOLDS
from cordlesion.threshold.mask_rule import MaskRule

GIVEN = -1.0
"""In place of a threshold, where the masks are given, or the rule that makes them."""


@dataclass(frozen=True)
class ScanGroup:
    """Scans that repeat each other."""

    scan_id: str
    """Name of the group."""
    subject: str
    files: tuple[ScanFile, ...]
    sessions: tuple[str, ...]


@dataclass(frozen=True)
class RepeatedMasks:
    """How scans become masks, and what is counted in these."""

    rule: LesionRule
    masks: MaskValues | None
    """None where maps are given."""
    cut: MaskRule | None
    """Of maps: what makes their masks; None for every threshold."""
    lesion_class: int | None
    tolerance_mm: float | None
    """None where scans do not share a space."""

    def measure(self, group: ScanGroup) -> tuple[pd.DataFrame, dict[float, tuple[int, int]]]:
        """Return a row per scan and threshold, and by threshold the lesions found again and those in view."""
        read = [self._read(file.path) for file in group.files]
        rows = [
            {"scan_id": file.name, "subject": group.subject, "session": session, "group": group.scan_id, "threshold": t}
            | self._count(mask, grid)
            for file, session, (grid, masks) in zip(group.files, group.sessions, read, strict=True)
            for t, mask in masks.items()
        ]
        return pd.DataFrame(rows), self._found(read)

    def _read(self, path: Path) -> tuple[Volume, dict[float, Mask]]:
        """Return a scan's grid, and its mask by threshold."""
        if self.masks is not None:
            mask = self.masks.read(path)
            return mask, {GIVEN: np.asarray(mask.data).astype(np.bool_)}
        probability = read_map(path, None, self.lesion_class)
        if self.cut is not None:
            return probability, {GIVEN: self.cut.make_mask(probability)[0]}
        return probability, {t: binarize(probability.data, t) for t in THRESHOLDS if t > 0}

    def _count(self, mask: Mask, grid: Volume) -> dict[str, float]:
        voxel_mm3 = float(np.prod(grid.spacing_mm))
        return {
            "predicted_volume_mm3": float(np.count_nonzero(mask)) * voxel_mm3,
            "n_predicted_lesions": len(label_components(mask, self.rule, voxel_mm3).sizes),
        }

    def _found(self, read: Sequence[tuple[Volume, dict[float, Mask]]]) -> dict[float, tuple[int, int]]:
        if self.tolerance_mm is None:
            return {}
        grids = [grid for grid, _ in read]
        affines, spacings = [grid.affine for grid in grids], [grid.spacing_mm for grid in grids]
        return {
            t: count_found_again([masks[t] for _, masks in read], affines, spacings, self.rule, self.tolerance_mm)
            for t in read[0][1]
        }


def dataset_of(folder: Path) -> Path:
    """Return the BIDS dataset that masks lie in: the folder above ``derivatives``, or of participants.tsv."""
    resolved = folder.resolve()
    above = [resolved, *resolved.parents] if resolved.is_dir() else list(resolved.parents)
    in_dataset = next((one.parent for one in above if one.name == "derivatives"), None)
    return in_dataset or next((one for one in above if (one / "participants.tsv").is_file()), above[0])


def list_predictions(folder: Path, are_maps: bool) -> tuple[list[ScanFile], bool]:
    """Return the masks or maps of a folder, and whether they are maps.

    Args:
        folder: The folder.
        are_maps: Whether that is known.

    Raises:
        CordlesionError: There is no file.
    """
    maps, masks = list_maps(folder), list_masks(folder)
    named = any(path.suffix == EXPORT or any(path.match(name) for name in PROBABILITY_NAMES) for path in maps)
    if maps and not (named or are_maps):
        # Names do not show it. A map holds values between 0 and 1; an empty file may be either.
        contents = (np.asarray(read_volume(file.path).data, dtype=np.float64) for file in named_files(maps, MASK_NAMES))
        named = next((bool(((data > 0) & (data < 1)).any()) for data in contents if data.any()), False)
    chosen = maps if named or are_maps else masks
    if not chosen:
        raise CordlesionError(f"{folder}: no NIfTI file found; .nii.gz or .nii files are needed. Check the folder.")
    return named_files(chosen, () if named or are_maps else MASK_NAMES), bool(named or are_maps)


def group_files(
    files: Sequence[ScanFile], folder: Path, repeats: Repeats, subjects: Path | str | None
) -> list[ScanGroup]:
    """Return the groups of two or more scans that repeat each other.

    Args:
        files: Masks or maps.
        folder: Where they are.
        repeats: Which scans repeat each other.
        subjects: The person of each scan, where names do not show it.

    Raises:
        CordlesionError: Two files are of one scan, or there are fewer than two groups.
    """
    people = None if subjects is None else read_subjects(subjects)
    if repeated := [name for name, n in Counter(file.name for file in files).items() if n > 1]:
        raise CordlesionError(
            f"{folder}: several files are of the scan {repeated[0]}; one each is needed. Put the masks of one method "
            "into a separate folder."
        )
    found: dict[tuple[str, str], list[tuple[ScanFile, Person]]] = {}
    root = folder if folder.is_dir() else folder.parent
    for file in sorted(files, key=lambda one: one.name):
        who = Person(file.subject, file.session) if people is None else people.person(file.path.relative_to(root))
        if (of := repeats.of(file, who.subject, who.session)) is not None:
            found.setdefault(of, []).append((file, who))
    groups = [
        ScanGroup(name, subject, tuple(file for file, _ in scans), tuple(who.session for _, who in scans))
        for (name, subject), scans in found.items()
        if len(scans) > 1
    ]
    if len(groups) < 2:
        raise CordlesionError(
            f"{repeats.source}: of {plural(len(files), 'file')} in {folder} {plural(len(groups), 'group')} of scans "
            f"repeat each other; at least 2 are needed. Name them in a column {REPEAT} of scans.tsv, sessions.tsv or "
            "participants.tsv of the BIDS dataset, or in a table for --pairs (columns scan and repeat, "
            "and participant_id where names do not show the person)."
        )
    return groups
