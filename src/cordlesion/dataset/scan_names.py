"""Assigns files to scans by their names; lists the files below a folder (leaf, standard library only).

All parts of the package use :func:`scan_file`. ``docs/file_formats.md`` shows examples of names.
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
_CHANNEL = re.compile(r"_0000(?=$|_label-[A-Za-z0-9]|_probseg$|_lesion-manual$)")
"""nnU-Net appends this to the name of an image with one channel; results may have its name."""
_OF_A_RESULT = re.compile(
    r"(_label-[A-Za-z0-9]+(_desc-[A-Za-z0-9]+)?_(mask|seg|dseg|probseg)|_desc-[A-Za-z0-9]+_dseg|_probseg"
    r"|_lesion-manual)$"
)
"""End of the names of results and references of which the rest is not a BIDS name."""
_KIND = (
    "(?:(?:ms[-_])?lesions?(?:[-_]?(?:seg|mask))?|manual|labels?|seg|segmentation|dseg|instances?|masks?|gt|preds?|prediction|predicted"
    "|softmax|soft|probseg|probs?(?:[-_]?map)?|probabilit(?:y|ies)(?:[-_]?map)?|pmap)"
)
_OF_A_KIND = re.compile(rf"(?:[-_. ]{_KIND})+$|^(?:{_KIND}[-_. ])+", re.IGNORECASE)
"""Words at either end of a name that is not BIDS, which state what the file is and not of which scan."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENTITY = re.compile(r"[A-Za-z]+-.")
_OF_MASKS = {"label", "lesion", "seg"}
"""Entities that describe the content of a mask or map (also ``lesion-manual`` and ``seg-manual``)."""
_OF_VERSIONS = {"desc", "space", "res", "den"}
"""Entities of versions of a file, not of scans: a mask of another version also belongs to the scan."""
_SUFFIXES_OF_MASKS = {"seg", "mask", "dseg", "probseg", "centerline"}
_WORDS_OF_MASKS = {"lesion", "lesions", "manual", "label", "seg", "mask"}
"""Words in names of masks (``sub-01_lesion_manual``); they do not identify an image."""
DEFAULT_SUFFIX = "T2w"
"""Omitted from the name of a scan, because scans are T2w images unless their name has another suffix."""
_MAX_LINKS = 100_000


@dataclass(frozen=True)
class ScanFile:
    """The parts of a file name that identify the scan, or the scan from which the file was made."""

    path: Path
    base: str
    """The BIDS entities of a scan, e.g. ``sub-01_ses-a_acq-sag``; for any other name, the name itself."""
    entities: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Keys and values of BIDS; empty if the name does not begin with ``sub-``."""
    words: tuple[str, ...] = ()
    """Parts without a hyphen that identify an image, such as its suffix: ``T2w``, ``PSIR``, a date."""
    version: tuple[str, ...] = ()
    """Entities that distinguish versions, e.g. ``desc-denoised`` or ``space-other``."""
    unclear: str = ""
    """Last part without hyphen and capital letter; it may be an image suffix (``bold``) or not (``pred``)."""
    is_derived: bool = False
    """Whether the name is that of a mask or map."""

    @property
    def name(self) -> str:
        """Name of the scan: for an image without the suffix ``T2w``, for a mask or map the name of its image."""
        own = () if self.is_derived else self.version
        words = (*self.words, self.unclear) if self.unclear else self.words
        return "_".join([self.base, *own, *(word for word in words if word != DEFAULT_SUFFIX)])

    @property
    def key(self) -> str:
        """``base`` for comparisons: accented letters are equal in both Unicode normal forms (macOS)."""
        return unicodedata.normalize("NFC", self.base)

    @property
    def without_kind(self) -> "ScanFile":
        """Without words such as ``lesion``, ``mask`` or ``pred`` at either end of a name that is not BIDS.

        These are parts of the name of a scan where nothing shows the contrary: only files that match no other by their
        whole names are compared without them.
        """
        base = _OF_A_KIND.sub("", _OF_A_KIND.sub("", self.base))
        return self if self.entities or not base else replace(self, base=base)

    @property
    def subject(self) -> str:
        """``sub-`` and its label; for a name that is not BIDS, the name itself."""
        return f"sub-{self.entities['sub']}" if "sub" in self.entities else self.base

    @property
    def session(self) -> str:
        """The label of ``ses-``; empty without session."""
        return self.entities.get("ses", "")

    def as_image(self) -> "ScanFile":
        """Return the name of a file that is an image, so that its last part is the suffix."""
        return replace(self, words=(*self.words, self.unclear), unclear="") if self.unclear else self

    def as_matched(self, pattern: str, suffixes: Iterable[str]) -> "ScanFile":
        """Return the name without the words of a pattern, because these do not identify an image.

        Args:
            pattern: A pattern that the name matches, such as ``*_lesion_manual.nii.gz``.
            suffixes: Words that identify images; these are kept.
        """
        removed = (set(re.split(r"[^A-Za-z0-9]+", pattern)) | _WORDS_OF_MASKS) - set(suffixes)
        return replace(self, words=tuple(word for word in self.words if word not in removed))

    def mismatch(self, other: "ScanFile") -> int | None:
        """Return the number of parts in which two names differ; None if they cannot be of one scan.

        A name with fewer parts may belong to one with more; names with different suffixes (``T2w``, ``PSIR``) never
        belong together.
        """
        own, others = set(self.words), set(other.words)
        if self.key != other.key or not (own <= others or others <= own):
            return None
        apart = len((own ^ others) - {DEFAULT_SUFFIX}) + len(set(self.version) ^ set(other.version))
        return apart + (bool(self.unclear and other.unclear) and self.unclear != other.unclear)


def scan_file(path: Path | str) -> ScanFile:
    """Parse a file name: the name of the scan and its BIDS entities.

    BIDS rules apply to names that begin with ``sub-``. Any other name is the name of the scan as a whole, with hyphens
    and dots, except for ``.nii.gz``, the ends of our own results and the ``_0000`` of nnU-Net.

    Raises:
        CordlesionError: The name is not UTF-8 or contains control characters, so that tables cannot contain it.
    """
    path = Path(path)
    if fault := illegible(path):
        raise CordlesionError(fault)
    stem = _CHANNEL.sub("", file_stem(path))
    if re.match(r"sub-[^_]", stem):
        return _bids_file(path, stem.split("_"))
    plain = _OF_A_RESULT.sub("", stem)
    return ScanFile(path, plain or stem or path.name or str(path), is_derived=plain != stem)


def _bids_file(path: Path, parts: Sequence[str]) -> ScanFile:
    keys = [part.split("-", 1)[0] if _ENTITY.match(part) else "" for part in parts]
    entities = {key: part.split("-", 1)[1] for key, part in zip(keys, parts, strict=True) if key}
    words = [part for part in parts if "-" not in part]
    last = parts[-1] if "-" not in parts[-1] else ""
    is_derived = bool(_OF_MASKS & entities.keys()) or last in _SUFFIXES_OF_MASKS
    # The suffix of a mask does not identify its image. Suffixes of images usually have a capital letter; a last part
    # without one may be any word for a mask.
    is_doubtful = bool(last) and last not in _SUFFIXES_OF_MASKS and last == last.lower() and not last.isdigit()
    if last in _SUFFIXES_OF_MASKS or is_doubtful:
        words = words[:-1]
    named = [part for key, part in zip(keys, parts, strict=True) if "-" in part and key not in _OF_MASKS | _OF_VERSIONS]
    version = tuple(part for key, part in zip(keys, parts, strict=True) if key in _OF_VERSIONS)
    unclear = last if is_doubtful and not is_derived else ""
    return ScanFile(path, "_".join(named), entities, tuple(words), version, unclear, is_derived)


def file_stem(path: Path) -> str:
    """Return a file name without ``.nii.gz`` and similar suffixes; other dots are kept."""
    return _ENDING.sub("", path.name)


def illegible(path: Path) -> str:
    """Return why a path cannot be written to a table or page, as a sentence; empty if it can."""
    name = str(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        return f"{legible(path)}: its name is not UTF-8; a name in UTF-8 is needed. Rename it."
    if _CONTROL.search(name):
        return f"{legible(path)}: its name contains a control character, such as a line break. Rename it."
    return ""


def legible(path: Path | str) -> str:
    """Return a path with all unprintable characters escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


Scan = TypeVar("Scan")


def files_by_scan(
    files: Iterable[ScanFile], scans: Mapping[Scan, ScanFile], ties: dict[Path, str] | None = None
) -> dict[Scan, list[ScanFile]]:
    """Assign each file to the scan with the most similar name.

    Args:
        files: Files of one kind.
        scans: The parsed name of each scan.
        ties: Collects files that fit two scans equally well, each with a sentence; None: such a file is an error.

    Returns:
        The files of each scan that has any, best match first.

    Raises:
        CordlesionError: A file fits two scans equally well, and ``ties`` is None.
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
    """Return the files that fit a scan best; several if they fit equally well."""
    return _best([(file.mismatch(scan) or 0, file) for file in files])


def _tie(file: ScanFile, scans: Sequence[ScanFile]) -> str:
    return (
        f"{file.path}: fits {scans[0].path} and {scans[1].path} equally well; the name must distinguish them. Add "
        "the entities or the suffix of its scan to its name."
    )


def nearest_scans(file: ScanFile, by_base: Mapping[str, Sequence[ScanFile]]) -> list[ScanFile]:
    """Return the scans with the most similar names to a file; ``by_base`` contains the names by their ``key``."""
    apart = [(steps, name) for name in by_base.get(file.key, ()) if (steps := file.mismatch(name)) is not None]
    return _best(apart) if apart else []


def _best(ranked: Sequence[tuple[int, ScanFile]]) -> list[ScanFile]:
    fewest = min(steps for steps, _ in ranked)
    return [file for steps, file in ranked if steps == fewest]


def files_below(folder: Path) -> list[Path]:
    """Return all files in a folder and its subfolders, sorted, without hidden ones; links to folders are followed.

    Links to files that were not fetched (DataLad) are included, so that reading them raises an error.

    Raises:
        CordlesionError: A folder cannot be read, or there are too many links to folders.
    """
    folder = Path(folder)
    return sorted(_walk(folder, folder.resolve(), (), [0]))


def _walk(folder: Path, real: Path, above: tuple[Path, ...], n_links: list[int]) -> Iterator[Path]:
    """Yield the files; ``above`` are the real paths of the parent folders, to which a link must not lead back."""
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
            if n_links[0] > _MAX_LINKS:
                raise CordlesionError(f"{folder}: it has too many links to folders. Remove some of them.")
            yield from _walk(path, path.resolve(), above, n_links)
