"""The masks of scans: which file of a kind belongs to which scan, by file names only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from cordlesion.config import FilePatterns
from cordlesion.dataset.globs import matching
from cordlesion.dataset.plain_names import Keys, match_masks
from cordlesion.dataset.scan_names import ScanFile, best_files, files_by_scan, scan_file

KINDS = ("reference", "cord_mask", "centerline")
_ALONE = "a reference without an image"
_OF_BIDS = frozenset(glob for kind in KINDS for glob in getattr(FilePatterns(), kind))


@dataclass(frozen=True)
class Images:
    """The images of a dataset."""

    folder: Path
    """The dataset."""
    files: Mapping[str, ScanFile]
    """By name of the scan."""
    keys: Mapping[str, Keys]
    """Names under which masks may refer to each of them."""
    is_bids: bool
    """Whether they lie in ``sub-*`` folders."""

    @property
    def plain_keys(self) -> dict[str, Keys]:
        """The keys of images with names that are not BIDS."""
        return {name: keys for name, keys in self.keys.items() if not self.files[name].entities}


@dataclass
class Masks:
    """The files of one kind, by scan."""

    files: dict[str, Path] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)
    """Why none of several files could be chosen for a scan, as a sentence."""
    passed: dict[str, str] = field(default_factory=dict)
    """Why a file with another suffix was not used for a scan, as a sentence."""
    alone: list[tuple[str, str]] = field(default_factory=list)


def find_masks(images: Images, files: Sequence[Path], kind: str, patterns: Sequence[str]) -> Masks:
    """Find the files of a kind; for each scan, earlier patterns have priority over later ones.

    Args:
        images: The images of the dataset.
        files: All files of the dataset.
        kind: One of :data:`KINDS`.
        patterns: Globs of the kind.
    """
    found, ties = Masks(), dict[Path, str]()
    words = {word for file in images.files.values() for word in file.words}
    candidates: list[ScanFile] = []
    unmatched: list[Path] = []
    for pattern in patterns:
        named, others = _matched(images, files, pattern)
        fitting = [scan_file(path).as_matched(pattern, words) for path in named]
        nearest = _nearest(fitting, images.files, images.folder, ties)
        plain = _plain_masks(images, named, others, pattern, ties)
        for name, fitting_scan in (plain | nearest).items():
            if name not in found.files and name not in found.unclear:
                _choose(found, name, fitting_scan, kind, pattern, images.folder)
        candidates += fitting
        used = {file.path for files_of in plain.values() for file in files_of}
        unmatched += [path for path in others if path not in used and path not in ties]
    _note_other_suffixes(found, images.files, [file for file in candidates if not words.issuperset(file.words)])
    own = [file for file in candidates if words.issuperset(file.words) and not _is_source(file.path, images.folder)]
    chosen = {*found.files.values()}  # by another pattern
    found.alone = [(str(path), sentence) for path, sentence in ties.items() if path not in chosen]
    found.alone += _without_image(own, images.files)
    found.alone += [(str(path), f"{path}: {_ALONE}. Add the scan or remove it.") for path in unmatched]
    return found


def _matched(images: Images, files: Sequence[Path], pattern: str) -> tuple[list[Path], list[Path]]:
    """Return the files that a pattern matches: those with names of BIDS, and the others.

    In a BIDS dataset the patterns of BIDS match names of BIDS only, as they always did.
    """
    matched = list(matching(files, images.folder, pattern))
    named = [path for path in matched if path.name.startswith("sub-")]
    others = [path for path in matched if not path.name.startswith("sub-")]
    return named, [] if images.is_bids and pattern in _OF_BIDS else others


def _plain_masks(
    images: Images, named: Sequence[Path], others: Sequence[Path], pattern: str, ties: dict[Path, str]
) -> dict[str, list[ScanFile]]:
    """Match masks by what the stars of globs stand for, where the name of the scan or of the mask is not BIDS."""
    found = match_masks(named, images.folder, pattern, images.plain_keys, ties)
    return found | match_masks(others, images.folder, pattern, images.keys, ties)


def _note_other_suffixes(found: Masks, images: Mapping[str, ScanFile], others: Sequence[ScanFile]) -> None:
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
        (str(path), f"{path}: {_ALONE}; {name}_T2w.nii.gz is needed. Add the scan or remove it.")
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


def _choose(found: Masks, name: str, fitting: Sequence[ScanFile], kind: str, pattern: str, folder: Path) -> None:
    """Store the only file of a kind for a scan (links to one file count once), or why none can be chosen."""
    paths = [file.path for file in fitting]
    distinct = paths if len(paths) == 1 else list({path.resolve(): path for path in paths}.values())
    if len(distinct) == 1:
        found.files[name] = distinct[0]
    else:
        glob = _glob_of_the_first(distinct[0].relative_to(folder), distinct[1].relative_to(folder), pattern)
        found.unclear[name] = second_file(distinct[1], distinct[0], name, kind, glob)


def second_file(path: Path, first: Path, name: str, kind: str, glob: str = "") -> str:
    """Return the sentence about a second file for one scan.

    Args:
        path: The second file.
        first: The first one.
        name: Of the scan.
        kind: ``image``, or one of :data:`KINDS`.
        glob: Matches the first file only.
    """
    shown = kind.replace("_", " ")
    choice = f': {kind}: ["{glob}"] uses the first one (`study init` takes it as --{kind})' if glob else ""
    return (
        f"{path}: a second {shown} in addition to {first} for scan {name}; one of the {shown}s is needed. Rename or "
        f"move the other, or set `patterns` in the study{choice}."
    )


def _glob_of_the_first(first: PurePath, second: PurePath, pattern: str) -> str:
    """Return a glob that matches the first of two files of a scan, and files like it of other scans, not the second.

    It names the first folder in which they differ, or the end of the name from the first part in which they differ.
    """
    folders = list(zip(first.parent.parts, second.parent.parts, strict=False))
    apart = next((n for n, (one, other) in enumerate(folders) if one != other), None)
    if apart is not None or first.parent != second.parent:
        place = "/".join(first.parent.parts[: len(folders) if apart is None else apart + 1])
        return f"{place}/{PurePath(pattern).name}"
    names = list(zip(first.name.split("_"), second.name.split("_"), strict=False))
    n = next((n for n, (one, other) in enumerate(names) if one != other), 0)
    return f"*_{'_'.join(first.name.split('_')[n:])}" if n else ""


def _is_source(path: Path, folder: Path) -> bool:
    return path.relative_to(folder).parts[0] == "sourcedata"
