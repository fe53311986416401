"""Folders that show of whom files are: two files of one name in different folders of patients are not of one scan."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cordlesion.dataset.scan_names import Scan, scan_file

_SAME_FOLDERS = "Use the same folders in both trees, or files in one folder."
_OF_A_KIND = re.compile(
    "anat|derivatives|sourcedata|raw(data)?|nii|nifti|scans?|manual|lesions?|segs?|segmentations?|masks?|maps?|preds?"
    "|out(puts?)?|results?|drawn|drawings?|delineations?|annotations?|contours?|consensus|ground_?truths?"
    "|(im(g|age)s?|labels?|references?|predictions?)(tr|ts|val)?",
    re.IGNORECASE,
)
"""Names of folders that are no patient's, as those of nnU-Net and BIDS."""


@dataclass(frozen=True)
class Placed:
    """A file, and the folders that may show of whom it is."""

    path: Path
    folders: tuple[str, ...]
    """Outermost first; without those that a glob or the user names."""

    @classmethod
    def below(cls, path: Path, root: Path, named: Sequence[str] = ()) -> Self:
        """Return a file below a folder, without the folders that are named in ``named``; a file itself is a root."""
        inside = path.parent.relative_to(root).parts if path.is_relative_to(root) and path != root else ()
        shown = [part for part in inside if part not in named and not _OF_A_KIND.fullmatch(part)]
        return cls(path, tuple(map(_normal, shown)))

    def names(self, folder: str) -> bool:
        """Return whether the file's name has that of a folder as a whole word."""
        return bool(re.search(rf"(?<![^\W_]){re.escape(folder)}(?![^\W_])", _normal(self.path.name)))


@dataclass(frozen=True)
class FolderPairs:
    """The folders of two kinds of files, such as scans and masks."""

    ones: frozenset[str]
    """Those of the first kind."""
    others: frozenset[str]
    """Those of the second kind."""
    common: frozenset[str]
    """Those in which all files of both kinds lie; they say nothing."""
    single: tuple[frozenset[str], frozenset[str]]
    """Of each kind, those in which all its files lie, and none of the other kind, even in one that differs by its
    numbers only (``P1`` and ``P2``). They say nothing where a file of the other kind lies in no folder of its own."""

    @classmethod
    def of(cls, ones: Sequence[Placed], others: Sequence[Placed]) -> Self:
        """Compare the folders of all files."""
        (all_ones, some_ones), (all_others, some_others) = _shared(ones), _shared(others)
        single = _unlike(all_ones, some_others), _unlike(all_others, some_ones)
        return cls(some_ones, some_others, all_ones & all_others, single)

    @property
    def are_alike(self) -> bool:
        """Whether some folder, besides the common ones, is in both kinds, so that both have folders of patients."""
        return bool((self.ones & self.others) - self.common)

    def fault(self, one: Placed, other: Placed, remedy: str) -> str:
        """Return why a file of the second kind may be of another patient than one of the first; empty if it is not.

        The folders of one must be among those of the other, in their order. If the two kinds share no folder at all, a
        file name may have the folders of the other instead: ``P1/P1_T2.nii.gz`` and ``rater_2/P1_lesion.nii.gz``.

        Args:
            one: A file of the first kind.
            other: A file of the second kind that has its name.
            remedy: What the user can do, as a sentence.
        """
        own, its = self._compared(one, other)
        if _is_part(own, its, self.ones) or _is_part(its, own, self.others):
            return ""
        first, second = next(pair for pair in zip(own, its, strict=False) if pair[0] != pair[1])
        if not self.are_alike and (_names(other, own, its, self.ones) or _names(one, its, own, self.others)):
            return ""
        return (
            f"{other.path}: has the name of {one.path}, but lies in {second} and not in {first}, so that it may be of "
            f"another patient; the same folders are needed. {remedy}"
        )

    def _compared(self, one: Placed, other: Placed) -> tuple[list[str], list[str]]:
        """Return the folders of two files that are compared."""
        own, its = _without(one.folders, self.common), _without(other.folders, self.common)
        rest = _without(own, self.single[0]), _without(its, self.single[1])
        # A folder of one kind alone may be the only patient of that kind, if the other file lies in another one.
        return own if {*rest[1]} - self.ones else rest[0], its if {*rest[0]} - self.others else rest[1]


def other_patients(
    found: Mapping[Scan, Path], scans: Mapping[Scan, Path], root: Path, files: Sequence[Path], folder: Path
) -> dict[Scan, str]:
    """Return which scans got the file of another patient, by the folders of files with names that are not BIDS.

    Args:
        found: The file of each scan.
        scans: A file of each of all scans, below ``root``.
        root: Their folder.
        files: All files of the kind, below ``folder``.
        folder: Their folder.
    """
    placed = {path: Placed.below(path, folder) for path in files}
    own = {scan: Placed.below(path, root) for scan, path in scans.items()}
    folders = FolderPairs.of([*own.values()], [*placed.values()])
    plain = {scan: path for scan, path in found.items() if not scan_file(path).entities}
    faults = {scan: folders.fault(own[scan], placed[path], _SAME_FOLDERS) for scan, path in plain.items()}
    return {scan: fault for scan, fault in faults.items() if fault}


def _shared(files: Sequence[Placed]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the folders of all files (none for a single file), and those of any."""
    folders = [frozenset(file.folders) for file in files]
    return frozenset.intersection(*folders) if len(folders) > 1 else frozenset(), frozenset().union(*folders)


def _unlike(folders: frozenset[str], others: frozenset[str]) -> frozenset[str]:
    """Return the folders that are no others, by their names without numbers."""
    return frozenset(folder for folder in folders if not _is_like(folder, others))


def _is_like(folder: str, others: Iterable[str]) -> bool:
    return re.sub(r"\d+", "0", folder) in {re.sub(r"\d+", "0", other) for other in others}


def _names(file: Placed, folders: Sequence[str], its: Sequence[str], patients: frozenset[str]) -> bool:
    """Return whether a file's name has the folders of another file, and its own folders are no patients like those.

    Numbers alone name nobody: they are those of runs, too.
    """
    wanted = [part for part in folders if part not in its and re.search(r"[^\W\d_]", part)]
    rivals = [part for part in its if part not in folders and _is_like(part, patients)]
    return bool(wanted) and not rivals and all(map(file.names, wanted))


def _without(parts: Sequence[str], usual: frozenset[str]) -> list[str]:
    return [part for part in parts if part not in usual]


def _is_part(short: Sequence[str], long: Sequence[str], known: frozenset[str]) -> bool:
    """Return whether folders are among others, in their order, and below none of the ``known`` ones.

    ``rater_2/P1`` has the files of ``P1``, unless there is a patient ``rater_2``.
    """
    rest = iter(long)
    above = long[: long.index(short[0])] if short and short[0] in long else []
    return all(part in rest for part in short) and known.isdisjoint(above)


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)
