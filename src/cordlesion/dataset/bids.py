"""Finds the scans of a BIDS dataset and their masks, by file names only."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

from cordlesion.config import FilePatterns
from cordlesion.dataset.participants import Participants, read_participants
from cordlesion.dataset.scan import Scan
from cordlesion.dataset.scan_names import ScanFile, best_files, files_below, files_by_scan, illegible, scan_file
from cordlesion.errors import CordlesionError
from cordlesion.io.progress import show_message

KINDS = ("reference", "cord_mask", "centerline")
_MAX_SHOWN = 3


@dataclass(frozen=True)
class Dataset:
    """The content of a BIDS dataset, from its file names."""

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
    """List the scans of a BIDS dataset, with reference, cord mask and centerline if they exist.

    Args:
        folder: The dataset; masks may be next to the scans or in ``derivatives``.
        patterns: How files are recognised.

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

    Args:
        folder: The dataset.
        patterns: How files are recognised.

    Raises:
        CordlesionError: The folder does not exist, cannot be read, or contains no scan.
    """
    folder, patterns = Path(folder), patterns or FilePatterns()
    if not folder.is_dir():
        raise CordlesionError(f"{folder}: no such folder; a BIDS dataset is needed. Check the path.")
    if fault := illegible(folder):
        raise CordlesionError(fault)
    files = files_below(folder)
    raw = [path for path in files if _is_raw(path.relative_to(folder))]
    unusable = [(str(path), fault) for path in _matching_any(raw, folder, patterns.image) if (fault := illegible(path))]
    images, refusals = _images([path for path in raw if not illegible(path)], folder, patterns.image)
    if not (images or refusals or unusable):
        raise CordlesionError(
            f"{folder}: no scan found; files named {' or '.join(patterns.image)} in sub-* folders are needed. "
            "Check the folder, or set `patterns` in the study."
        )
    named = [path for path in files if not illegible(path)]
    masks = {kind: _masks(images, named, folder, kind, getattr(patterns, kind)) for kind in KINDS}
    people = read_participants(folder / "participants.tsv")
    scans = [
        replace(_scan(name, file, masks, people), lesion_value=patterns.lesion_value)
        for name, file in sorted(images.items())
    ]
    refusals += masks["reference"].unclear.values()
    return Dataset(scans, [*unusable, *masks["reference"].alone], refusals, people.remarks(list(images.values())))


def _is_raw(relative: Path) -> bool:
    return (
        "derivatives" not in relative.parts
        and relative.parts[0].startswith("sub-")
        and relative.name.startswith("sub-")
    )


@dataclass
class _Masks:
    """The files of one kind, by scan."""

    files: dict[str, Path] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)
    """Why none of several files could be chosen for a scan, as a sentence."""
    passed: dict[str, str] = field(default_factory=dict)
    """Why a file with another suffix was not used for a scan, as a sentence."""
    alone: list[tuple[str, str]] = field(default_factory=list)


def _scan(name: str, image: ScanFile, masks: Mapping[str, _Masks], people: Participants) -> Scan:
    reference, cord_mask, centerline = (masks[kind].files.get(name) for kind in KINDS)
    reasons = {kind: found.unclear.get(name) or found.passed.get(name, "") for kind, found in masks.items()}
    unclear = tuple((kind, reason) for kind, reason in reasons.items() if reason)
    site, scanner = (people.value(image, column) for column in ("site", "scanner"))
    return Scan(
        name, image.subject, image.session, site, image.path, reference, cord_mask, centerline, scanner, unclear
    )


def _images(files: Sequence[Path], folder: Path, patterns: Sequence[str]) -> tuple[dict[str, ScanFile], list[str]]:
    """Name the images by their entities; if these are equal, also by suffix and version."""
    by_base: dict[str, list[ScanFile]] = {}
    for pattern in patterns:
        hidden = set(by_base)
        for path in _matching(files, folder, pattern):
            if (file := scan_file(path).as_image()).base not in hidden:
                by_base.setdefault(file.base, []).append(replace(file, is_derived=False))
    images: dict[str, ScanFile] = {}
    refusals = []
    for base, alike in by_base.items():
        for file in alike:
            name = base if len(alike) == 1 else file.name
            if name in images:
                refusals.append(_second(file.path, images[name].path, name, "image"))
            images.setdefault(name, file)
    return images, refusals


def _masks(
    images: Mapping[str, ScanFile], files: Sequence[Path], folder: Path, kind: str, patterns: Sequence[str]
) -> _Masks:
    """Find the files of a kind; for each scan, earlier patterns have priority over later ones."""
    found, ties = _Masks(), dict[Path, str]()
    words = {word for file in images.values() for word in file.words}
    candidates: list[ScanFile] = []
    for pattern in patterns:
        fitting = [scan_file(path).as_matched(pattern, words) for path in _matching(files, folder, pattern)]
        for name, nearest in _nearest(fitting, images, folder, ties).items():
            if name not in found.files and name not in found.unclear:
                _choose(found, name, nearest, kind)
        candidates += fitting
    _note_other_suffixes(found, images, [file for file in candidates if not words.issuperset(file.words)])
    own = [file for file in candidates if words.issuperset(file.words) and not _is_source(file.path, folder)]
    found.alone = [(str(path), sentence) for path, sentence in ties.items()] + _without_image(own, images)
    return found


def _note_other_suffixes(found: _Masks, images: Mapping[str, ScanFile], others: Sequence[ScanFile]) -> None:
    """Store, for scans without a file, a file with another suffix that may belong to it."""
    by_base = {file.key: file for file in reversed(others)}
    for name, image in images.items():
        if name not in found.files and (file := by_base.get(image.key)):
            found.passed[name] = (
                f"{file.path} has {', '.join(file.words)} in its name, so it does not belong to {image.path.name}; if "
                "it does, add the suffix of the image to its name, or the word to `patterns`."
            )


def _without_image(files: Sequence[ScanFile], images: Mapping[str, ScanFile]) -> list[tuple[str, str]]:
    known = {image.key for image in images.values()}
    first = {file.key: file.path for file in reversed(files) if file.key not in known}
    return [
        (str(path), f"{path}: a reference without an image; {name}_T2w.nii.gz is needed. Add the scan or remove it.")
        for name, path in sorted(first.items())
    ]


def _nearest(
    files: Sequence[ScanFile], images: Mapping[str, ScanFile], folder: Path, ties: dict[Path, str]
) -> dict[str, list[ScanFile]]:
    """Assign masks to scans; those in ``sourcedata`` are used only for scans without others."""
    own = [file for file in files if not _is_source(file.path, folder)]
    copies = [file for file in files if _is_source(file.path, folder)]
    found = files_by_scan(copies, images, ties) | files_by_scan(own, images, ties)
    return {name: best_files(fitting, images[name]) for name, fitting in found.items()}


def _choose(found: _Masks, name: str, fitting: Sequence[ScanFile], kind: str) -> None:
    """Store the only file of a kind for a scan (links to one file count once), or why none can be chosen."""
    paths = [file.path for file in fitting]
    distinct = paths if len(paths) == 1 else list({path.resolve(): path for path in paths}.values())
    if len(distinct) == 1:
        found.files[name] = distinct[0]
    else:
        found.unclear[name] = _second(distinct[1], distinct[0], name, kind.replace("_", " "))


def _second(path: Path, first: Path, name: str, kind: str) -> str:
    return (
        f"{path}: a second {kind} in addition to {first} for scan {name}; one of the {kind}s is needed. Rename or move "
        "the other, or set `patterns` in the study: a pattern with a folder (derivatives/rater1/*_seg.nii.gz) chooses "
        "this folder."
    )


def _is_source(path: Path, folder: Path) -> bool:
    return path.relative_to(folder).parts[0] == "sourcedata"


def _matching(files: Iterable[Path], folder: Path, pattern: str) -> Iterator[Path]:
    """Yield the files that match a pattern: by name, or by relative path if the pattern contains a ``/``."""
    by_place = "/" in pattern
    glob = pattern.replace("**/", "*").removeprefix("./").removeprefix("/")
    for path in files:
        if fnmatch(path.relative_to(folder).as_posix() if by_place else path.name, glob) and path.name.startswith(
            "sub-"
        ):
            yield path


def _matching_any(files: Sequence[Path], folder: Path, patterns: Sequence[str]) -> list[Path]:
    return sorted({path for pattern in patterns for path in _matching(files, folder, pattern)})
