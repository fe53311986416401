"""Large tables on disk, of which the rows of one group at a time are read (leaf module)."""

import csv
import io
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.io.reading import cannot_read
from cordlesion.io.tables import checked_table, read_rows

Key: TypeAlias = tuple[str, ...]
"""The values of a group in the columns that name it, as they are written."""
_BUFFER_BYTES = 2**20


@dataclass(frozen=True, eq=False)
class TableParts:
    """Where the rows of each group lie in a table; the table itself stays on disk."""

    path: Path
    header: bytes
    """The line of column names."""
    places: "Mapping[Key, array[int]]"
    """First byte of each block of neighbouring rows and the byte behind it, one after the other; groups by first row.
    """
    state: tuple[int, int]
    """Size and time of change of the file that was looked through."""

    def read(self, keys: Sequence[Key], only: Collection[str] | None = None) -> pd.DataFrame:
        """Read the rows of some groups, in the order of the file.

        Args:
            keys: Groups of the table.
            only: The columns that are needed; all by default.

        Raises:
            CordlesionError: The file has changed since it was looked through, or is no table.
        """
        found = (self.places[key] for key in keys)
        blocks = sorted(pair for ends in found for pair in zip(ends[::2], ends[1::2], strict=True))
        try:
            with self.path.open("rb") as stream:
                if _state(self.path) != self.state:
                    raise CordlesionError(f"{self.path}: has changed while it was read. Run the command again.")
                rows = io.BytesIO(self.header + b"".join(_block(stream, *block) for block in blocks))
        except OSError as error:
            raise cannot_read(self.path, error, "a table (.tsv)") from error
        return read_rows(self.path, rows, only)


def find_parts(path: Path, by: Sequence[str]) -> TableParts:
    """Look through a table once and find the rows of each group.

    Args:
        path: A table that :func:`cordlesion.io.tables.write_table` wrote.
        by: The columns that name a group.

    Raises:
        CordlesionError: The file cannot be read, is no table, or lacks one of the columns.
    """
    places: dict[Key, array[int]] = {}
    try:
        with path.open("rb", buffering=_BUFFER_BYTES) as stream:
            header = stream.readline()
            names = checked_table(read_rows(path, io.BytesIO(header)), path, by).columns.tolist()
            columns = [names.index(name) for name in by]
            for key, start, stop in _blocks(path, stream, columns, len(header)):
                places.setdefault(key, array("q")).extend((start, stop))
    except OSError as error:
        raise cannot_read(path, error, "a table (.tsv)") from error
    return TableParts(path, header, places, _state(path))


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _block(stream: BinaryIO, start: int, stop: int) -> bytes:
    stream.seek(start)
    rows = stream.read(stop - start)
    return rows if rows.endswith(b"\n") else rows + b"\n"


def _blocks(path: Path, stream: BinaryIO, columns: Sequence[int], first: int) -> Iterator[tuple[Key, int, int]]:
    """Yield the key, first byte and end of each block of neighbouring rows with one key; ``first`` is that of all."""
    known: list[bytes] | None = None
    start = place = first
    for row in _rows(stream):
        if (key := _key(path, row, columns, place) or known) != known:
            if known is not None:
                yield _decoded(path, known), start, place
            known, start = key, place
        place += len(row)
    if known is not None:
        yield _decoded(path, known), start, place


def _rows(stream: BinaryIO) -> Iterator[bytes]:
    """Yield rows; a quoted cell may hold a line break."""
    for line in stream:
        row = line
        while row.count(b'"') % 2 and (more := stream.readline()):
            row += more
        yield row


def _key(path: Path, row: bytes, columns: Sequence[int], place: int) -> list[bytes] | None:
    """Return the cells that name the group of a row; None for an empty line."""
    cells = _quoted_cells(row) if b'"' in row else row.split(b"\t", max(columns) + 1)
    if len(cells) > max(columns):
        return [cells[column] for column in columns]
    if not row.strip():
        return None
    raise CordlesionError(
        f"{path}: not a table (the row at byte {place} has {len(cells)} columns). A tab-separated file is needed."
    )


def _quoted_cells(row: bytes) -> list[bytes]:
    text = row.decode("utf-8", "surrogateescape")
    cells = next(csv.reader(io.StringIO(text, newline=""), delimiter="\t"))
    return [cell.encode("utf-8", "surrogateescape") for cell in cells]


def _decoded(path: Path, key: Sequence[bytes]) -> Key:
    try:
        return tuple(cell.decode("utf-8") for cell in key)
    except UnicodeDecodeError as error:
        raise CordlesionError(
            f"{path}: not a table ({error}). A tab-separated file is needed. Save it in UTF-8."
        ) from error
