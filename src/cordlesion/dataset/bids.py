"""Finds the scans of a dataset and their masks, by file names only: those of BIDS, or any others that globs match."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cordlesion.config import FilePatterns
from cordlesion.dataset.globs import matching
from cordlesion.dataset.mask_files import KINDS, Images, Masks, find_masks, second_file
from cordlesion.dataset.participants import read_participants
from cordlesion.dataset.people import People
from cordlesion.dataset.plain_names import keys_of_images, plain_images
from cordlesion.dataset.scan import Scan
from cordlesion.dataset.scan_names import ScanFile, files_below, illegible, scan_file
from cordlesion.errors import CordlesionError
from cordlesion.io.progress import show_message

_MAX_SHOWN = 3


class NoScanError(CordlesionError):
    """No file of a dataset is named as a scan."""


@dataclass(frozen=True)
class Dataset:
    """The content of a dataset, from its file names."""

    scans: list[Scan]
    """Sorted by name."""
    unusable: list[tuple[str, str]] = field(default_factory=list)
    """Files that belong to no scan or have an invalid name, each with the reason."""
    refusals: list[str] = field(default_factory=list)
    """Why it cannot be used for a study: scans with the same name, several references of a scan; as sentences."""
    remarks: list[str] = field(default_factory=list)
    """Sentences about missing values in participants.tsv, or spellings that differ from BIDS."""

    @property
    def refusals_to_show(self) -> list[str]:
        """The first refusals, and the number of the others: a large dataset may have hundreds."""
        n_more = len(self.refusals) - _MAX_SHOWN
        more = [f"{n_more} more are refused for the same reasons."] if n_more > 0 else []
        return [*self.refusals[:_MAX_SHOWN], *more]


def find_scans(folder: Path | str, patterns: FilePatterns | None = None) -> tuple[list[Scan], list[tuple[str, str]]]:
    """List the scans of a dataset, with reference, cord mask and centerline if they exist.

    Args:
        folder: The dataset; masks may be next to the scans or in ``derivatives``.
        patterns: How files are recognised; by default, the names of BIDS.

    Returns:
        The scans, sorted by name, and the references without an image, each with the reason why it cannot be used.

    Raises:
        CordlesionError: The folder contains no scan, two scans have one name, or two references fit one scan.

    Examples:
        >>> import cordlesion
        >>> scans, unusable = cordlesion.find_scans("cohort")
        >>> len(scans), scans[0].subject, scans[0].image.name, unusable
        (14, 'sub-01', 'sub-01_T2w.nii.gz', [])
    """
    dataset = read_dataset(folder, patterns)
    for remark in dataset.remarks:
        show_message(remark)
    if dataset.refusals:
        raise CordlesionError("\n".join(dataset.refusals_to_show))
    return dataset.scans, dataset.unusable


def read_dataset(folder: Path | str, patterns: FilePatterns | None = None) -> Dataset:
    """Read the content of a dataset; problems are collected, not raised.

    Where ``sub-*`` folders hold scans, only these are scans, as in BIDS. Otherwise the patterns name the scans, in any
    folder, and a mask belongs to the scan for which the stars of the globs stand for the same text.

    Args:
        folder: The dataset.
        patterns: How files are recognised; None: only the names of BIDS.

    Raises:
        CordlesionError: The folder does not exist, cannot be read, or contains no scan.
    """
    folder, globs = Path(folder), patterns or FilePatterns()
    files = list_dataset(folder)
    raw = [path for path in files if _is_raw(path.relative_to(folder))]
    unusable = [(str(path), fault) for path in _matching_any(raw, folder, globs.image) if (fault := illegible(path))]
    named = [path for path in files if not illegible(path)]
    found, refusals = _images([path for path in raw if not illegible(path)], folder, globs.image)
    is_bids = bool(found or refusals or unusable)
    if not is_bids and patterns is not None:
        found = plain_images(named, folder, globs.image, [glob for kind in KINDS for glob in getattr(globs, kind)])
    if not (is_bids or found):
        raise NoScanError(_no_scan(folder, files, globs))
    images = {name: file for name, (file, _) in found.items()}
    known = Images(folder, images, keys_of_images(found, folder), is_bids)
    masks = {kind: find_masks(known, named, kind, getattr(globs, kind)) for kind in KINDS}
    people = People(folder, globs.subjects, read_participants(folder / "participants.tsv"))
    scans = [
        replace(_scan(name, file, masks, people), lesion_value=globs.lesion_value)
        for name, file in sorted(images.items())
    ]
    refusals += [*people.unknown, *masks["reference"].unclear.values()]
    return Dataset(scans, [*unusable, *masks["reference"].alone], refusals, people.remarks(images))


def list_dataset(folder: Path) -> list[Path]:
    """Return all files of a dataset.

    Raises:
        CordlesionError: The folder does not exist, or cannot be read or named.
    """
    if not folder.is_dir():
        raise CordlesionError(f"{folder}: no such folder; the folder of a dataset is needed. Check the path.")
    if fault := illegible(folder):
        raise CordlesionError(fault)
    return files_below(folder)


def _no_scan(folder: Path, files: Sequence[Path], patterns: FilePatterns) -> str:
    images = [path for path in files if path.name.endswith((".nii", ".nii.gz"))]
    seen = f"{len(images)} NIfTI files have other names" + (f" (first: {images[0].name})" if images else "")
    return (
        f"{folder}: no scan found; files named {' or '.join(patterns.image)} are needed, {seen}. Check the folder, or "
        "name the files with `patterns` in the study (`cordlesion study init` proposes them)."
    )


def _is_raw(relative: Path) -> bool:
    return (
        "derivatives" not in relative.parts
        and relative.parts[0].startswith("sub-")
        and relative.name.startswith("sub-")
    )


def _scan(name: str, image: ScanFile, masks: Mapping[str, Masks], people: People) -> Scan:
    reference, cord_mask, centerline = (masks[kind].files.get(name) for kind in KINDS)
    reasons = {kind: found.unclear.get(name) or found.passed.get(name, "") for kind, found in masks.items()}
    unclear = tuple((kind, reason) for kind, reason in reasons.items() if reason)
    subject, session, site, scanner = people.of(name, image)
    return Scan(name, subject, session, site, image.path, reference, cord_mask, centerline, scanner, unclear)


def _images(
    files: Sequence[Path], folder: Path, patterns: Sequence[str]
) -> tuple[dict[str, tuple[ScanFile, str]], list[str]]:
    """Name the images by their entities; if these are equal, also by suffix and version; each with its glob."""
    by_base: dict[str, list[tuple[ScanFile, str]]] = {}
    for pattern in patterns:
        hidden = set(by_base)
        for path in matching(files, folder, pattern):
            if (file := scan_file(path).as_image()).base not in hidden:
                by_base.setdefault(file.base, []).append((replace(file, is_derived=False), pattern))
    images: dict[str, tuple[ScanFile, str]] = {}
    refusals = []
    for base, alike in by_base.items():
        for file, pattern in alike:
            name = base if len(alike) == 1 else file.name
            if name in images:
                refusals.append(second_file(file.path, images[name][0].path, name, "image"))
            images.setdefault(name, (file, pattern))
    return images, refusals


def _matching_any(files: Sequence[Path], folder: Path, patterns: Sequence[str]) -> list[Path]:
    return sorted({path for pattern in patterns for path in matching(files, folder, pattern)})
