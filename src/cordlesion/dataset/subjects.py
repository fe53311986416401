"""The subject of each file, where names do not show it: from a table of the user, or a pattern of the names."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from cordlesion.dataset.participants import read_cells
from cordlesion.dataset.scan_names import file_stem, scan_file
from cordlesion.errors import CordlesionError

_SCAN = ("scan", "file", "filename", "scan_id")
_SUBJECT = ("participant_id", "subject", "subject_id")
_SESSION = ("session_id", "session", "ses")
_TABLE_ENDINGS = (".tsv", ".csv", ".txt")
_PLACES = {"subject": "(?P<subject>[^_/]+?)", "session": "(?P<session>[^_/]+?)"}
_HOW = "a table (columns scan and participant_id) or a pattern such as '{subject}_*'"


@dataclass(frozen=True)
class Person:
    """Subject, session and set of a scan."""

    subject: str
    session: str = ""
    """Empty where there is one session, or it is not known."""
    set_name: str = ""
    """The set that the table puts the scan into; empty if it has none."""


class Subjects(Protocol):
    """Knows the subject of each scan."""

    def person(self, path: Path, name: str = "") -> Person:
        """Return the subject of a scan.

        Args:
            path: A file of the scan, relative to the folder of the scans.
            name: Name of the scan, where it is not that of the file.

        Raises:
            CordlesionError: It is not known, or it is not clear.
        """
        ...


def read_subjects(given: Path | str) -> Subjects:
    """Read the subject of each scan from a table, or from a pattern of the file names.

    A table has the columns ``scan`` (a scan's name, its file name, or a pattern with ``*`` for either; also called
    ``file``), ``participant_id``, and optionally ``session_id`` and ``set``; ``splits.tsv`` is one. A pattern is a file
    name without its ending in which ``{subject}``, and optionally ``{session}``, stand for anything without ``_``, and
    ``*`` for anything; with a ``/`` it is a path below the folder of the scans: ``{subject}/*``.

    Args:
        given: Path of the table, or the pattern.

    Raises:
        CordlesionError: The table cannot be read or lacks a column, or the pattern has no ``{subject}``.

    Examples:
        >>> from pathlib import Path
        >>> read_subjects("{subject}_{session}_*").person(Path("P01_M12_T2.nii.gz"))
        Person(subject='P01', session='M12')
    """
    text = str(given)
    if "{subject}" in text and not Path(given).is_file():
        return NamePattern(text)
    if not Path(given).is_file() and not text.endswith(_TABLE_ENDINGS):
        raise CordlesionError(f"{text}: is no file and has no {{subject}}; {_HOW} is needed. Check --subjects.")
    return _read_table(Path(given))


@dataclass(frozen=True)
class NamePattern:
    """A pattern of file names, with a place for the subject."""

    text: str

    def person(self, path: Path, name: str = "") -> Person:
        """Return the subject and session in the name of the file; see :class:`Subjects`."""
        names = (path.as_posix(),) if "/" in self.text else (scan_file(path).name, file_stem(path), name)
        for tried in names:
            if found := self._expression.fullmatch(tried):
                parts = found.groupdict()
                return Person(parts["subject"], (parts.get("session") or "").removeprefix("ses-"))
        raise CordlesionError(
            f"{path}: its name does not fit the pattern {self.text!r} of --subjects; {_HOW} that fits every scan is "
            "needed. Mend the pattern, or give a table."
        )

    @property
    def _expression(self) -> re.Pattern[str]:
        pieces = re.split(r"(\{subject\}|\{session\}|\*|\?)", self.text)
        known = {"*": ".*", "?": "."} | {f"{{{place}}}": expression for place, expression in _PLACES.items()}
        try:
            return re.compile("".join(known.get(piece, re.escape(piece)) for piece in pieces), re.DOTALL)
        except re.error as error:
            raise CordlesionError(
                f"{self.text}: names a place twice; {{subject}} and {{session}} are needed once each. Mend --subjects."
            ) from error


@dataclass(frozen=True)
class SubjectTable:
    """A table of scans and their subjects."""

    path: Path
    named: Mapping[str, frozenset[Person]]
    """People by the name of a scan."""
    patterns: Sequence[tuple[str, Person]] = ()
    """People by a pattern of names or paths."""

    def person(self, path: Path, name: str = "") -> Person:
        """Return the person of the row of a scan; see :class:`Subjects`."""
        own = list(dict.fromkeys((_key(path), *([_normal(name)] if name else ()))))
        keys = (*own, _normal(scan_file(path).without_kind.name))
        places = (*own, path.name, f"/{path.as_posix()}")
        by_pattern = frozenset(person for glob, person in self.patterns if _fits(places, glob))
        found = next((self.named[key] for key in keys if key in self.named), by_pattern)
        if len(found) == 1:
            return next(iter(found))
        if not found:
            raise CordlesionError(
                f"{self.path}: has no row for the scan {name or own[0]} ({path}); every scan needs one. Add it."
            )
        several = " and ".join(sorted(" ".join(filter(None, vars(one).values())) for one in found))
        raise CordlesionError(
            f"{self.path}: gives the scan {name or own[0]} to {several}; one of each is needed. Mend it."
        )


def _read_table(path: Path) -> SubjectTable:
    if not path.is_file():
        raise CordlesionError(f"{path}: no such file; {_HOW} is needed. Check --subjects.")
    names, rows, _ = read_cells(path)
    scan, subject = (_first(names, known) for known in (_SCAN, _SUBJECT))
    if not (scan and subject):
        raise CordlesionError(
            f"{path}: has the columns {', '.join(names) or 'none'}; scan (or file) and participant_id are needed, and "
            "session_id where it is known. Add them."
        )
    session = _first(names, _SESSION)
    named: dict[str, set[Person]] = {}
    patterns = []
    for row in rows:
        cell = row.get(scan, "")
        if not (cell and row.get(subject)):
            continue
        person = Person(row[subject], row.get(session, "").removeprefix("ses-"), row.get("set", "").casefold())
        if any(sign in cell for sign in "*?"):
            patterns.append((_normal(cell), person))
        elif "/" in cell:
            patterns.append((f"*/{_normal(cell).lstrip('./').replace('[', '[[]')}", person))
        else:
            named.setdefault(_key(Path(cell)), set()).add(person)
    return SubjectTable(path, {name: frozenset(people) for name, people in named.items()}, patterns)


def _first(names: Iterable[str], known: Sequence[str]) -> str:
    return next((name for name in known if name in names), "")


def _fits(places: Iterable[str], glob: str) -> bool:
    return any(fnmatchcase(_normal(place), glob) for place in places)


def _key(path: Path) -> str:
    return _normal(scan_file(path).name)


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)
