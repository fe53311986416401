"""Globs on the paths of a dataset, and what their stars stand for (leaf, standard library only)."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path, PurePath

_PART = re.compile(r"(\*+|\?|\[!?\]?[^\]]*\])")
_ENDING = re.compile(r"(\.nii)?\.gz$|\.nii$")
_CHANNEL = re.compile(r"_\d{4}$")
"""nnU-Net appends the number of the channel to the name of an image."""


def matching(files: Iterable[Path], folder: Path, glob: str) -> Iterator[Path]:
    """Yield the files that match a glob: by name, or by the path inside the folder if the glob contains a ``/``."""
    whole = _plain(glob)
    for path in files:
        if fnmatch(path.relative_to(folder).as_posix() if "/" in glob else path.name, whole):
            yield path


def stars(relative: PurePath, glob: str) -> tuple[str, ...]:
    """Return what the stars of a glob stand for in a path that it matches, without the ending of NIfTI files.

    A glob without ``/`` matches in any folder, so that the folder comes first.

    Examples:
        >>> stars(PurePath("P01/T2_sag.nii.gz"), "*_sag.nii*")
        ('P01', 'T2')
        >>> stars(PurePath("masks/P01_lesion.nii.gz"), "masks/*_lesion.nii.gz")
        ('P01',)
    """
    text = relative.as_posix() if "/" in glob else relative.name
    found = _compiled(_plain(glob)).fullmatch(text)
    parts = list(found.groups()) if found else [text]
    if parts:
        parts[-1] = _ENDING.sub("", parts[-1])
    folders = [] if "/" in glob else [relative.parent.as_posix().removeprefix(".")]
    return tuple(part for part in (*folders, *parts) if part)


def below_literal_folders(relative: PurePath, glob: str) -> PurePath:
    """Return a path without the folders that a glob names literally at its beginning: they are the same for all files.

    Examples:
        >>> below_literal_folders(PurePath("images/P01/T2.nii"), "images/*.nii").as_posix()
        'P01/T2.nii'
    """
    literal = _PART.split(_plain(glob), maxsplit=1)[0]
    n = literal.count("/") if "/" in glob else 0
    return PurePath(*relative.parts[n:])


def joined(parts: Iterable[str]) -> str:
    """Return parts of a path as one name; accented letters are equal in both Unicode normal forms."""
    text = "_".join(part.replace("/", "_").strip("_") for part in parts if part.strip("_"))
    return unicodedata.normalize("NFC", text)


def stem(relative: PurePath, glob: str = "") -> str:
    """Return a file name without its ending, and without the channel of nnU-Net if the glob names one."""
    name = _ENDING.sub("", relative.name)
    return _CHANNEL.sub("", name) if _CHANNEL.search(_ENDING.sub("", glob)) else name


def _plain(glob: str) -> str:
    return glob.replace("**/", "*").removeprefix("./").removeprefix("/")


@lru_cache(maxsize=256)
def _compiled(glob: str) -> re.Pattern[str]:
    """Return the glob as a regular expression with a group for each star."""
    return re.compile("".join(_translated(part) for part in _PART.split(glob)), re.DOTALL)


def _translated(part: str) -> str:
    if part.startswith("*"):
        return "(.*)"
    if part == "?":
        return "."
    if part.startswith("[") and part.endswith("]"):
        inside = part[1:-1].replace("\\", "\\\\")
        return f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
    return re.escape(part)
