"""Which scan a file belongs to, by its name alone; and the files below a folder (leaf, standard library only).

Every part of the program asks :func:`scan_file`. ``docs/file_formats.md`` shows what it makes of names people use.
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
"""What nnU-Net adds to the name of an image of one channel."""
_OF_A_RESULT = re.compile(
    r"(_label-[A-Za-z0-9]+(_desc-[A-Za-z0-9]+)?_(mask|seg|dseg|probseg)|_probseg|_lesion-manual)$"
)
"""How our own results, and references, end where the rest is no name of BIDS."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENTITY = re.compile(r"[A-Za-z]+-.")
_OF_MASKS = {"label", "lesion", "seg"}
"""Entities that say what a mask or map shows (``lesion-manual`` and ``seg-manual`` too)."""
_OF_VERSIONS = {"desc", "space", "res", "den"}
"""Entities that distinguish versions of a file, not scans: a mask of another version belongs to the scan as well."""
_SUFFIXES_OF_MASKS = {"seg", "mask", "dseg", "probseg", "centerline"}
_WORDS_OF_MASKS = {"lesion", "lesions", "manual", "label", "seg", "mask"}
"""Words that masks are named by (``sub-01_lesion_manual``); they name no image."""
DEFAULT_SUFFIX = "T2w"
"""Left out of a scan's name, since scans are T2w images unless their name says otherwise."""
_MOST_LINKS = 100_000


@dataclass(frozen=True)
class ScanFile:
    """What a file's name says of the scan that it is, or that it was made from."""

    path: Path
    base: str
    """The entities that name a scan in BIDS, e.g. ``sub-01_ses-a_acq-sag``; of any other name, the name itself."""
    entities: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Keys and values of BIDS; empty where the name does not begin with ``sub-``."""
    words: tuple[str, ...] = ()
    """Parts without a hyphen that name an image, as its suffix does: ``T2w``, ``PSIR``, a date."""
    version: tuple[str, ...] = ()
    """Entities that distinguish versions, e.g. ``desc-denoised`` or ``space-other``."""
    unclear: str = ""
    """A last part without a hyphen or a capital letter, which may name an image (``bold``) or not (``pred``)."""
    is_derived: bool = False
    """Its name says that it is a mask or a map of a scan."""

    @property
    def name(self) -> str:
        """The scan's name: of an image all but the suffix ``T2w``, of a mask or map what names the image behind it."""
        own = () if self.is_derived else self.version
        words = (*self.words, self.unclear) if self.unclear else self.words
        return "_".join([self.base, *own, *(word for word in words if word != DEFAULT_SUFFIX)])

    @property
    def key(self) -> str:
        """What ``base`` is compared by: letters with accents are the same in either form of Unicode (macOS)."""
        return unicodedata.normalize("NFC", self.base)

    @property
    def subject(self) -> str:
        """``sub-`` and its label; the name itself where it is not of BIDS."""
        return f"sub-{self.entities['sub']}" if "sub" in self.entities else self.base

    @property
    def session(self) -> str:
        """The label of ``ses-``; empty without."""
        return self.entities.get("ses", "")

    def as_image(self) -> "ScanFile":
        """Return the same of a file that is known to be an image, whose last part therefore is its suffix."""
        return replace(self, words=(*self.words, self.unclear), unclear="") if self.unclear else self

    def as_matched(self, pattern: str, suffixes: Iterable[str]) -> "ScanFile":
        """Return the same without the words that a pattern spells out: they say what is looked for, not of which image.

        Args:
            pattern: That the name fits, such as ``*_lesion_manual.nii.gz``.
            suffixes: Words that name images, which stay.
        """
        gone = (set(re.split(r"[^A-Za-z0-9]+", pattern)) | _WORDS_OF_MASKS) - set(suffixes)
        return replace(self, words=tuple(word for word in self.words if word not in gone))

    def mismatch(self, other: "ScanFile") -> int | None:
        """Return in how many parts two names differ that may be of one scan; None where they cannot be.

        A name that says less may belong to one that says more; different suffixes (``T2w``, ``PSIR``) never do.
        """
        mine, theirs = set(self.words), set(other.words)
        if self.key != other.key or not (mine <= theirs or theirs <= mine):
            return None
        apart = len((mine ^ theirs) - {DEFAULT_SUFFIX}) + len(set(self.version) ^ set(other.version))
        return apart + (bool(self.unclear and other.unclear) and self.unclear != other.unclear)


def scan_file(path: Path | str) -> ScanFile:
    """Read a file's name: the scan's name and its BIDS entities.

    BIDS rules hold for names that begin with ``sub-``. Any other name is the scan's, whole, with hyphens and dots, but
    for ``.nii.gz``, the endings of our own results and the ``_0000`` of nnU-Net.

    Raises:
        CordlesionError: The name is not UTF-8 or holds control characters, and so cannot stand in a table.
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
    # The suffix of a mask says what it is, not which image it was drawn on. Suffixes of images have a capital letter
    # as a rule; what has none may be anybody's word for a mask.
    is_doubtful = bool(last) and last not in _SUFFIXES_OF_MASKS and last == last.lower() and not last.isdigit()
    if last in _SUFFIXES_OF_MASKS or is_doubtful:
        words = words[:-1]
    named = [part for key, part in zip(keys, parts, strict=True) if "-" in part and key not in _OF_MASKS | _OF_VERSIONS]
    version = tuple(part for key, part in zip(keys, parts, strict=True) if key in _OF_VERSIONS)
    unclear = last if is_doubtful and not is_derived else ""
    return ScanFile(path, "_".join(named), entities, tuple(words), version, unclear, is_derived)


def file_stem(path: Path) -> str:
    """Return a file's name without ``.nii.gz`` and the like, dots within it included."""
    return _ENDING.sub("", path.name)


def illegible(path: Path) -> str:
    """Return why a path cannot stand in a table or on a page, a sentence; empty where it can."""
    name = str(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        return f"{legible(path)}: its name is not UTF-8; a name in UTF-8 is needed. Rename it."
    if _CONTROL.search(name):
        return f"{legible(path)}: its name holds a control character, such as a line break. Rename it."
    return ""


def legible(path: Path | str) -> str:
    """Return a path with everything that cannot be printed escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


Scan = TypeVar("Scan")


def files_by_scan(
    files: Iterable[ScanFile], scans: Mapping[Scan, ScanFile], ties: dict[Path, str] | None = None
) -> dict[Scan, list[ScanFile]]:
    """Assign each file to the scan whose name is nearest to its own.

    Args:
        files: Of one kind.
        scans: What is known of each scan's name.
        ties: Takes the files that fit two scans alike, each with a sentence.

    Returns:
        The files of each scan that has any, those first that fit it best.

    Raises:
        CordlesionError: A file fits two scans alike, and there is nothing to take it.
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
    """Return those of a scan's files that fit it best: more than one where they fit it alike."""
    return _least([(file.mismatch(scan) or 0, file) for file in files])


def _tie(file: ScanFile, scans: Sequence[ScanFile]) -> str:
    return (
        f"{file.path}: fits {scans[0].path} and {scans[1].path} alike; a name that distinguishes them is needed. Add "
        "the entities or the suffix of its scan to its name."
    )


def nearest_scans(file: ScanFile, by_base: Mapping[str, Sequence[ScanFile]]) -> list[ScanFile]:
    """Return those of the names, given by their ``key``, that are nearest to a file's."""
    apart = [(steps, name) for name in by_base.get(file.key, ()) if (steps := file.mismatch(name)) is not None]
    return _least(apart) if apart else []


def _least(ranked: Sequence[tuple[int, ScanFile]]) -> list[ScanFile]:
    fewest = min(steps for steps, _ in ranked)
    return [file for steps, file in ranked if steps == fewest]


def files_below(folder: Path) -> list[Path]:
    """Return all files in a folder and below, sorted, but for hidden ones; linked folders are entered as real ones.

    A link to a file that was never fetched (DataLad) counts: reading it says so, leaving it out would not.

    Raises:
        CordlesionError: A folder cannot be read, or links multiply it without end.
    """
    folder = Path(folder)
    return sorted(_walk(folder, folder.resolve(), (), [0]))


def _walk(folder: Path, real: Path, above: tuple[Path, ...], n_links: list[int]) -> Iterator[Path]:
    """Yield the files; ``above`` are the real paths of the folders on the way, which a link must not lead back to."""
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
