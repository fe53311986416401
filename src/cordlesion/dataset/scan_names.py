"""The scan of a file, from its name alone; and the files below a folder (leaf, standard library only).

Every part of the program uses :func:`scan_file`. ``docs/file_formats.md`` has a table of examples.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from cordlesion.errors import CordlesionError

_ENDING = re.compile(r"\.(nii\.gz|nii|npz|json)$")
_CHANNEL = re.compile(r"_0000$")
"""The ending that nnU-Net adds to the name of an image with one channel."""
_OF_A_RESULT = re.compile(
    r"(_label-[A-Za-z0-9]+(_desc-[A-Za-z0-9]+)?_(mask|seg|dseg|probseg)|_probseg|_lesion-manual)$"
)
"""Endings of our own results and of references, after a name that is not of BIDS."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENTITY = re.compile(r"[A-Za-z]+-.")
_OF_MASKS = {"label", "lesion", "seg"}
"""Entities that describe what a mask or map shows (also ``lesion-manual`` and ``seg-manual``)."""
_OF_VERSIONS = {"desc", "space", "res", "den"}
"""Entities that distinguish versions of a file, not scans: a mask of another version belongs to the same scan."""
_SUFFIXES_OF_MASKS = {"seg", "mask", "dseg", "probseg", "centerline"}
_WORDS_OF_MASKS = {"lesion", "lesions", "manual", "label", "seg", "mask"}
"""Words in names of masks (``sub-01_lesion_manual``); they name no image."""
DEFAULT_SUFFIX = "T2w"
"""Omitted from a scan's name: scans are T2w images unless they have another suffix."""
_MOST_LINKS = 100_000


@dataclass(frozen=True)
class ScanFile:
    """The parts of a file's name that identify its scan."""

    path: Path
    base: str
    """The entities that name a scan in BIDS, e.g. ``sub-01_ses-a_acq-sag``; of any other name, the name itself."""
    entities: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Keys and values of BIDS; empty where the name does not begin with ``sub-``."""
    words: tuple[str, ...] = ()
    """Parts without a hyphen that name an image, such as its suffix: ``T2w``, ``PSIR``, a date."""
    version: tuple[str, ...] = ()
    """Entities that distinguish versions, e.g. ``desc-denoised`` or ``space-other``."""
    unclear: str = ""
    """A last part without a hyphen or a capital letter, which may name an image (``bold``) or not (``pred``)."""
    is_derived: bool = False
    """Whether the name is that of a mask or a map."""

    @property
    def name(self) -> str:
        """The scan's name: of an image all parts except the suffix ``T2w``, of a mask or map the name of its image."""
        own = () if self.is_derived else self.version
        words = (*self.words, self.unclear) if self.unclear else self.words
        return "_".join([self.base, *own, *(word for word in words if word != DEFAULT_SUFFIX)])

    @property
    def key(self) -> str:
        """``base`` for comparison: letters with accents are equal in both forms of Unicode (macOS)."""
        return unicodedata.normalize("NFC", self.base)

    @property
    def subject(self) -> str:
        """``sub-`` and its label; the name itself if it is not of BIDS."""
        return f"sub-{self.entities['sub']}" if "sub" in self.entities else self.base

    @property
    def session(self) -> str:
        """The label of ``ses-``; empty without."""
        return self.entities.get("ses", "")

    def as_image(self) -> "ScanFile":
        """Return the name of a file that is known to be an image: its last part is its suffix."""
        return replace(self, words=(*self.words, self.unclear), unclear="") if self.unclear else self

    def as_matched(self, pattern: str, suffixes: Iterable[str]) -> "ScanFile":
        """Return the name without the words of a pattern: they describe the kind of file, not its image.

        Args:
            pattern: The pattern that the name fits, such as ``*_lesion_manual.nii.gz``.
            suffixes: Words that name images; they are kept.
        """
        gone = (set(re.split(r"[^A-Za-z0-9]+", pattern)) | _WORDS_OF_MASKS) - set(suffixes)
        return replace(self, words=tuple(word for word in self.words if word not in gone))

    def mismatch(self, other: "ScanFile") -> int | None:
        """Return in how many parts two names of one scan differ; None if they are names of two scans.

        One name may have parts that the other lacks. Names with different suffixes (``T2w``, ``PSIR``) never match.
        """
        own, others = set(self.words), set(other.words)
        if self.key != other.key or not (own <= others or others <= own):
            return None
        apart = len((own ^ others) - {DEFAULT_SUFFIX}) + len(set(self.version) ^ set(other.version))
        return apart + (bool(self.unclear and other.unclear) and self.unclear != other.unclear)


def scan_file(path: Path | str) -> ScanFile:
    """Read a file's name: the scan's name and its BIDS entities.

    Names that begin with ``sub-`` follow the rules of BIDS. Any other name is the name of the scan as a whole, with
    hyphens and dots, without ``.nii.gz``, the endings of our own results and the ``_0000`` of nnU-Net.

    Raises:
        CordlesionError: The name is not UTF-8 or holds control characters, so it cannot be written to a table.
    """
    path = Path(path)
    if fault := illegible(path):
        raise CordlesionError(fault)
    stem = _CHANNEL.sub("", file_stem(path))
    if re.match(r"sub-[^_]", stem):
        return _bids_file(path, stem.split("_"))
    plain = _OF_A_RESULT.sub("", stem)
    return ScanFile(path, plain or stem or path.name, is_derived=plain != stem)


def _bids_file(path: Path, parts: Sequence[str]) -> ScanFile:
    keys = [part.split("-", 1)[0] if _ENTITY.match(part) else "" for part in parts]
    entities = {key: part.split("-", 1)[1] for key, part in zip(keys, parts, strict=True) if key}
    words = [part for part in parts if "-" not in part]
    last = parts[-1] if "-" not in parts[-1] else ""
    is_derived = bool(_OF_MASKS & entities.keys()) or last in _SUFFIXES_OF_MASKS
    # The suffix of a mask describes the mask, not its image. Suffixes of images usually have a capital letter; a word
    # without one may describe a mask.
    is_doubtful = bool(last) and last not in _SUFFIXES_OF_MASKS and last == last.lower() and not last.isdigit()
    if last in _SUFFIXES_OF_MASKS or is_doubtful:
        words = words[:-1]
    named = [part for key, part in zip(keys, parts, strict=True) if "-" in part and key not in _OF_MASKS | _OF_VERSIONS]
    version = tuple(part for key, part in zip(keys, parts, strict=True) if key in _OF_VERSIONS)
    unclear = last if is_doubtful and not is_derived else ""
    return ScanFile(path, "_".join(named), entities, tuple(words), version, unclear, is_derived)


def file_stem(path: Path) -> str:
    """Return a file's name without ``.nii.gz`` or a similar ending; other dots are kept."""
    return _ENDING.sub("", path.name)


def illegible(path: Path) -> str:
    """Return why a path cannot be written to a table or page, a sentence; empty if it can."""
    name = str(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        return f"{legible(path)}: its name is not UTF-8; a name in UTF-8 is needed. Rename it."
    if _CONTROL.search(name):
        return f"{legible(path)}: its name holds a control character, such as a line break. Rename it."
    return ""


def legible(path: Path | str) -> str:
    """Return a path in which all characters that cannot be printed are escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


Scan = TypeVar("Scan")


def files_by_scan(
    files: Iterable[ScanFile], scans: Mapping[Scan, ScanFile], ties: dict[Path, str] | None = None
) -> dict[Scan, list[ScanFile]]:
    """Assign each file to the scan with the most similar name.

    Args:
        files: Files of one kind.
        scans: The name of each scan, as read from its file.
        ties: Files that fit two scans equally well are added, each with a sentence.

    Returns:
        The files of each scan that has any, the best fit first.

    Raises:
        CordlesionError: A file fits two scans equally well, and ``ties`` is not given.
    """
    by_base: dict[str, list[ScanFile]] = {}
    for name in scans.values():
        by_base.setdefault(name.key, []).append(name)
    known = {name: scan for scan, name in scans.items()}
    found: dict[Scan, list[tuple[int, ScanFile]]] = {}
    for file in files:
        best = nearest_scans(file, by_base)
        if len(best) > 1 and ties is None:
            raise CordlesionError(_tie(file, best))
        if len(best) > 1 and ties is not None:
            ties[file.path] = _tie(file, best)
        if len(best) == 1:
            found.setdefault(known[best[0]], []).append((file.mismatch(best[0]) or 0, file))
    return {scan: [file for _, file in sorted(ranked, key=itemgetter(0))] for scan, ranked in found.items()}


def best_files(files: Sequence[ScanFile], scan: ScanFile) -> list[ScanFile]:
    """Return the files of a scan that fit it best: several if they fit equally well."""
    return _least([(file.mismatch(scan) or 0, file) for file in files])


def _tie(file: ScanFile, scans: Sequence[ScanFile]) -> str:
    return (
        f"{file.path}: fits {scans[0].path} and {scans[1].path} alike; a name that distinguishes them is needed. Add "
        "the entities or the suffix of its scan to its name."
    )


def nearest_scans(file: ScanFile, by_base: Mapping[str, Sequence[ScanFile]]) -> list[ScanFile]:
    """Return the names, given by their ``key``, that are most similar to a file's."""
    apart = [(steps, name) for name in by_base.get(file.key, ()) if (steps := file.mismatch(name)) is not None]
    return _least(apart) if apart else []


def _least(ranked: Sequence[tuple[int, ScanFile]]) -> list[ScanFile]:
    fewest = min(steps for steps, _ in ranked)
    return [file for steps, file in ranked if steps == fewest]


def files_below(folder: Path) -> list[Path]:
    """Return all files in a folder and below, sorted, except hidden ones; links to folders are followed.

    A link to a file that was never fetched (DataLad) is returned: reading it gives an error, omitting it would not.

    Raises:
        CordlesionError: A folder cannot be read, or its links form endless paths.
    """
    folder = Path(folder)
    return sorted(_walk(folder, folder.resolve(), (), [0]))


def _walk(folder: Path, real: Path, above: tuple[Path, ...], n_links: list[int]) -> Iterator[Path]:
    """Yield the files; ``above`` are the real paths of the parent folders, to which no link may lead back."""
    try:
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError as error:
        reason = error.strerror or str(error)
        raise CordlesionError(f"{folder}: cannot be read ({reason}). Check the folder and its permissions.") from error
    above = (*above, real)
    for entry in entries:
        path = folder / entry.name
        if not entry.is_dir():
            if entry.is_file() or entry.is_symlink():
                yield path
        elif not entry.is_symlink():
            yield from _walk(path, real / entry.name, above, n_links)
        elif not any(place.is_relative_to(path.resolve()) for place in above):
            n_links[0] += 1
            if n_links[0] > _MOST_LINKS:
                raise CordlesionError(f"{folder}: its links to folders multiply without end. Remove some of them.")
            yield from _walk(path, path.resolve(), above, n_links)
