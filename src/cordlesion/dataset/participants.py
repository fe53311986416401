"""Reads site and scanner of each subject from participants.tsv."""

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cordlesion.errors import CordlesionError
from cordlesion.io.reading import cannot_read

_SESSION = ("session_id", "session", "ses")
_NOTHING = {"", "n/a"}
_MAX_NAMED = 3


@dataclass(frozen=True)
class Participants:
    """The rows of participants.tsv in the spelling of BIDS, and remarks on other spellings."""

    path: Path
    columns: frozenset[str] = frozenset()
    rows: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)
    """Rows by subject (``sub-01``)."""
    spelling: tuple[str, ...] = ()
    """Sentences about spellings that differ from BIDS, or why the table cannot be used."""

    def value(self, subject: str, session: str, column: str) -> str:
        """Return the value for a scan, from the row of its session if there are several; empty if unknown."""
        rows = self._rows(subject)
        if len({row.get(column, "") for row in rows}) > 1:
            rows = [row for row in rows if _session(row) == session]
        values = {row.get(column, "") for row in rows}
        return next(iter(values)) if len(values) == 1 else ""

    def remarks(self, scans: Collection[tuple[str, str]]) -> list[str]:
        """Return sentences about missing values, and about spellings that differ from BIDS.

        Args:
            scans: Subject and session of each.
        """
        remarks = [f"{self.path}: {remark}" for remark in self.spelling]
        for column in sorted(self.columns & {"site", "scanner"}):
            missing = sorted({subject for subject, session in scans if self._is_unclear(subject, session, column)})
            if missing:
                named = ", ".join(missing[:_MAX_NAMED]) + (" ..." if len(missing) > _MAX_NAMED else "")
                remarks.append(
                    f"{self.path}: the {column} is unknown for {len(missing)} of the subjects ({named}): there is no "
                    "row, or several different rows and none for the session. Add rows (`participant_id`, "
                    "`session_id`)."
                )
        return remarks

    def _is_unclear(self, subject: str, session: str, column: str) -> bool:
        rows = self._rows(subject)
        return not rows or (not self.value(subject, session, column) and any(row.get(column) for row in rows))

    def _rows(self, subject: str) -> Sequence[Mapping[str, str]]:
        return self.rows.get("sub-" + subject.removeprefix("sub-"), ())


def read_participants(path: Path) -> Participants:
    """Read participants.tsv; common deviations are accepted: commas, capitals, ids without ``sub-``.

    Raises:
        CordlesionError: The file is not a UTF-8 text.
    """
    if not path.is_file():
        return Participants(path)
    names, rows, header = read_cells(path)
    if "participant_id" not in names:
        return Participants(
            path, spelling=("has no column participant_id, so sites and scanners are unknown. Add it.",)
        )
    rows = [row for row in rows if row.get("participant_id")]
    remarks = [_SPELLINGS[header.delimiter]] if header.delimiter in _SPELLINGS else []
    spelled = zip(header.names, names, strict=True)
    changed = [name for name, read in spelled if name != read and read in ("site", "scanner")]
    remarks += [f"the column {name!r} is read as {name.strip().casefold()!r}." for name in changed]
    if bare := [row["participant_id"] for row in rows if not row["participant_id"].startswith("sub-")]:
        remarks.append(f"{len(bare)} rows have ids without `sub-` (first: {bare[0]}); it is added.")
    by_subject: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        by_subject.setdefault("sub-" + row["participant_id"].removeprefix("sub-"), []).append(row)
    return Participants(path, frozenset(names), by_subject, tuple(remarks))


@dataclass(frozen=True)
class Header:
    """The first line of a table, as it was written."""

    names: Sequence[str]
    delimiter: str


def read_cells(path: Path) -> tuple[list[str], list[dict[str, str]], Header]:
    """Read a table of text that people write by hand: tabs, commas or semicolons, capitals, ``n/a`` for nothing.

    Returns:
        The names of the columns in small letters; the rows, a value by column; the header as it was written.

    Raises:
        CordlesionError: The file cannot be read, or is not a UTF-8 text.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = [line for line in stream if line.strip()]
        delimiter = _delimiter(lines[0]) if lines else "\t"
        header, *table = list(csv.reader(lines, delimiter=delimiter)) or [[]]
    except OSError as error:
        raise cannot_read(path, error, "the table of the subjects") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CordlesionError(f"{path}: not a table ({error}). Save it as tab-separated text in UTF-8.") from error
    names = [name.strip().casefold() for name in header]
    rows = [dict(zip(names, (_cell(cell) for cell in row), strict=False)) for row in table]
    return names, rows, Header(header, delimiter)


_SPELLINGS = {
    ",": "is separated by commas; it was read, but BIDS requires tabs.",
    ";": "is separated by semicolons; it was read, but BIDS requires tabs.",
}


def _delimiter(header: str) -> str:
    return next((sign for sign in ("\t", ",", ";") if sign in header), "\t")


def _cell(text: str) -> str:
    text = text.strip()
    return "" if text.casefold() in _NOTHING else text


def _session(row: Mapping[str, str]) -> str:
    given = next((row[name] for name in _SESSION if row.get(name)), "")
    return given.removeprefix("ses-")
