"""Which scans of a person repeat each other, without a change in between: from the column ``repeat`` of tables.

``run-`` in names says nothing of it: two runs may show two parts of the cord. So the column has to be there, in one of
the tables of BIDS: ``scans.tsv`` of a subject or session, ``sessions.tsv`` of a subject, or ``participants.tsv``. The
first of these that has the column and a row of the scan decides; ``n/a`` there says that the scan repeats none. Scans
of a person with the same value repeat each other, if their names differ in session and run only.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cordlesion.dataset.participants import read_cells, read_participants
from cordlesion.dataset.scan import Scan
from cordlesion.dataset.scan_names import DEFAULT_SUFFIX, ScanFile, file_stem, scan_file
from cordlesion.errors import CordlesionError
from cordlesion.io.tables import REPEAT

_SCAN = ("scan", "file", "filename", "scan_id")
_PERSON = ("participant_id", "subject", "subject_id")
_FREE = ("ses", "run")
"""Entities in which scans that repeat each other may differ."""


@dataclass(frozen=True)
class Repeats:
    """The groups of scans that repeat each other."""

    source: Path
    of: Callable[[ScanFile, str, str], tuple[str, str] | None]
    """Takes the file of a scan, its subject and session; returns its group and the person, or None for no group."""
    unmatched: Callable[[Collection[ScanFile]], list[str]] = lambda _files: []
    """Takes all files; returns the scans of a table of the user that are none of these."""
    names_people: bool = True
    """Whether the table of the user, or the dataset, names the person of each scan."""


def read_repeats(given: Path) -> Repeats:
    """Read which scans repeat each other, from a BIDS dataset or a table.

    Args:
        given: Folder of a BIDS dataset; or a table with the columns ``scan`` (or ``file``), ``repeat``, a name for each
            group of scans, and optionally ``participant_id``.

    Raises:
        CordlesionError: There is no such file or folder, or it lacks a column.
    """
    if given.is_dir():
        tables = BidsRepeats.read(given)
        return Repeats(given, tables.group)
    if not given.is_file():
        raise CordlesionError(
            f"{given}: no such file or folder; a table with the columns scan and repeat, or a BIDS dataset, is needed. "
            "Check --pairs."
        )
    return _read_table(given)


def find_repeats(dataset: Path, scans: Iterable[Scan]) -> dict[str, str]:
    """Return the scans of a dataset that repeat others, each with the name of its group.

    Raises:
        CordlesionError: A table is no UTF-8 text.
    """
    tables = BidsRepeats.read(dataset)
    found = {scan.scan_id: tables.group(scan_file(scan.image), scan.subject, scan.session) for scan in scans}
    return {name: group[0] for name, group in found.items() if group is not None}


@dataclass(frozen=True)
class BidsRepeats:
    """The column ``repeat`` in the tables of a BIDS dataset."""

    by_scan: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By subject and name of a scan, from ``scans.tsv``; empty for ``n/a``."""
    by_session: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By subject and session, from ``sessions.tsv``."""
    by_person: Callable[[str, str], str] = field(default=lambda _subject, _session: "")
    """By subject and session, from ``participants.tsv``."""

    @classmethod
    def read(cls, folder: Path) -> "BidsRepeats":
        """Read the tables of a dataset; those without the column mean nothing.

        Raises:
            CordlesionError: A table is no UTF-8 text.
        """
        scans, sessions = dict[tuple[str, str], str](), dict[tuple[str, str], str]()
        for path in sorted(folder.glob("sub-*/*_sessions.tsv")):
            for row in _rows(path, "session_id"):
                sessions[path.parent.name, row["session_id"].removeprefix("ses-")] = row.get(REPEAT, "")
        for path in sorted([*folder.glob("sub-*/*_scans.tsv"), *folder.glob("sub-*/ses-*/*_scans.tsv")]):
            for row in _rows(path, "filename"):
                image = scan_file(Path(row["filename"]))
                scans[image.subject, image.name] = row.get(REPEAT, "")
        people = read_participants(folder / "participants.tsv")
        return cls(scans, sessions, lambda subject, session: people.value(subject, session, REPEAT))

    def value(self, file: ScanFile, subject: str, session: str) -> str:
        """Return the value of a scan; empty where it repeats none."""
        found = self.by_scan.get((file.subject, file.name), self.by_session.get((subject, session)))
        return self.by_person(subject, session) if found is None else found

    def group(self, file: ScanFile, subject: str, session: str) -> tuple[str, str] | None:
        """Return group and person of a scan; see :class:`Repeats`."""
        value = self.value(file, subject, session)
        return (group_name(file, subject, value), subject) if value else None


def group_name(file: ScanFile, subject: str, value: str) -> str:
    """Return the name of a group: its subject, what the names of its scans share, and the value of the column."""
    parts = [part for part in file.base.split("_") if part.partition("-")[0] not in ("sub", *_FREE)]
    words = [word for word in file.words if word != DEFAULT_SUFFIX]
    return "_".join([subject, *(parts if file.entities else []), *words, f"repeat-{value}"])


def _rows(path: Path, key: str) -> list[dict[str, str]]:
    """Return the rows of a table that name something; none without the column."""
    names, rows, _ = read_cells(path)
    return [row for row in rows if row.get(key)] if REPEAT in names else []


def _read_table(path: Path) -> Repeats:
    names, rows, _ = read_cells(path)
    scan, person = (next((name for name in known if name in names), "") for known in (_SCAN, _PERSON))
    if not (scan and REPEAT in names):
        raise CordlesionError(
            f"{path}: has the columns {', '.join(names) or 'none'}; scan (or file) and repeat are needed, and "
            "participant_id where names do not show it. Add them."
        )
    found: dict[str, tuple[str, str]] = {}
    for row in rows:
        if row.get(scan) and row.get(REPEAT):
            key, entry = scan_file(Path(row[scan])).name, (row[REPEAT], row.get(person, ""))
            if found.setdefault(key, entry) != entry:
                raise CordlesionError(f"{path}: has two rows for the scan {key}; one is needed. Mend it.")

    def group(file: ScanFile, subject: str, _session: str) -> tuple[str, str] | None:
        value, owner = next((found[key] for key in _keys(file) if key in found), ("", ""))
        # Names that are not BIDS do not show the person: a group is of one.
        who = owner or (subject if file.entities else value)
        return (f"{who}_repeat-{value}", who) if value else None

    def unmatched(files: Collection[ScanFile]) -> list[str]:
        known = {key for file in files for key in _keys(file)}
        return [name for name in found if name not in known]

    return Repeats(path, group, unmatched, names_people=bool(person))


def _keys(file: ScanFile) -> tuple[str, str, str]:
    """Return the names under which a table may list a file."""
    return file.name, file_stem(file.path), file.without_kind.name
