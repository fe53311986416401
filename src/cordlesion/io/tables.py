"""Tables on disk: tab-separated, UTF-8, ``n/a`` where a value is undefined."""

import contextlib
import csv
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np
import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.io.columns import TableSpec
from cordlesion.io.reading import cannot_read
from cordlesion.io.writing import atomic_path, utf8_only

REPEAT = "repeat"
"""Column that names the scans of a subject that repeat each other, without a change in between."""
IDENTIFIERS = ("scan_id", "subject", "session", "site", "set", "loss", "rule", REPEAT)
"""Read as text, even where they look like numbers (``007``); empty where they are undefined."""
_FORMAT: dict[str, Any] = {"sep": "\t", "index": False, "na_rep": "n/a", "lineterminator": "\n"}
_EXACT: dict[str, Any] = {"float_precision": "round_trip"} if int(pd.__version__.split(".")[0]) < 3 else {}
"""How pandas reads every digit; from version 3 on this is its default."""
_PART_ROWS = 50_000
_EXACT_INTEGERS = 2.0**53
"""Below it, every whole number is a float64."""


def write_table(path: Path | str, table: pd.DataFrame, spec: TableSpec | None = None) -> None:
    """Write a table atomically; numbers keep every digit, undefined values become ``n/a``.

    Args:
        path: The file.
        table: Its rows.
        spec: The declaration of its columns, which also gives their order; by default they are written as they are.

    Raises:
        CordlesionError: The file cannot be written.
        ValueError: A column that ``spec`` requires is missing.
    """
    with (
        atomic_path(Path(path)) as temporary,
        utf8_only(Path(path)),
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        _write_rows(stream, _arranged(table, spec), with_header=True)


@contextlib.contextmanager
def table_in_parts(path: Path | str, spec: TableSpec | None = None) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a table part by part, atomically: the bytes of :func:`write_table`, the memory of the largest part.

    Args:
        path: The file.
        spec: As of :func:`write_table`.

    Yields:
        A function that takes the next part. The first part decides which columns there are; where a later one lacks
        a column, its rows are undefined.
    """
    columns: list[str] = []
    with atomic_path(Path(path)) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:

        def append(part: pd.DataFrame) -> None:
            is_first = not columns
            columns.extend(_arranged(part, spec).columns if is_first else ())
            assert set(part) <= set(columns)
            _write_rows(stream, part.reindex(columns=columns), with_header=is_first)

        yield append


def read_table(path: Path | str, columns: TableSpec | Iterable[str] = ()) -> pd.DataFrame:
    """Read a table that :func:`write_table` wrote.

    Args:
        path: The file.
        columns: The columns that must be there: those of a declaration, or names.

    Raises:
        CordlesionError: The file is missing, is no table or lacks a column, or a column holds text that is declared to
            hold numbers.

    Examples:
        >>> import cordlesion
        >>> table = cordlesion.read_table("metrics.tsv")
        >>> len(table), table["rule"].unique().tolist()
        (10, ['study'])
    """
    path = Path(path)
    return checked_table(next(_read(path)), path, columns)


def read_rows(path: Path, rows: BinaryIO, only: Collection[str] | None = None) -> pd.DataFrame:
    """Read some rows of a table from its bytes, as :func:`read_table` reads the file.

    Args:
        path: Where they come from, for messages.
        rows: The line of column names, and the rows.
        only: The columns to read, where not all are needed; those that the table lacks are left out.

    Raises:
        CordlesionError: They are no table.
    """
    return checked_table(next(_parsed(path, rows, only=only)), path, ())


def read_in_parts(path: Path | str, by: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Read a table part by part, where sums are enough and it need not be in memory as a whole.

    Args:
        path: The file.
        by: Columns; neighbouring rows that are equal in all of them stay together.

    Yields:
        Parts of some ten thousand rows, in order; each as :func:`read_table` returns it.

    Raises:
        CordlesionError: As :func:`read_table`.
    """
    path = Path(path)
    held = pd.DataFrame()
    for rows in _read(path, _PART_ROWS):
        held = pd.concat([held, checked_table(rows, path, by)], ignore_index=True)
        keys = held[[*by]].astype(str).fillna("")
        *_, start = (0, *np.flatnonzero(keys.ne(keys.shift()).any(axis="columns")))
        if start:
            yield held.iloc[:start]
            held = held.iloc[start:]
    yield held


def _write_rows(stream: TextIO, table: pd.DataFrame, *, with_header: bool) -> None:
    """Write the bytes of :meth:`pandas.DataFrame.to_csv`, in half of its time where columns are of the usual types."""
    if not (table.columns.is_unique and all(_is_plain(dtype) for dtype in table.dtypes)):
        table.to_csv(stream, header=with_header, **_FORMAT)
        return
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    if with_header:
        writer.writerow(table.columns)
    for start in range(0, len(table), _PART_ROWS):
        part = table.iloc[start : start + _PART_ROWS]
        writer.writerows(zip(*(_written(part[name]) for name in part), strict=True))


def _is_plain(dtype: Any) -> bool:  # noqa: ANN401 - of numpy or pandas
    return str(dtype) in ("float64", "int64", "bool", "object", "str", "Int64")


def _written(column: "pd.Series[Any]") -> list[Any]:
    """Return the values of a column for a writer that prints each as Python does."""
    values: list[Any] = column.tolist()
    if column.dtype.kind in "ib" and column.dtype != "Int64":
        return values
    undefined = np.flatnonzero(column.isna().to_numpy())
    for place in undefined.tolist():
        values[place] = _FORMAT["na_rep"]
    return values


def _arranged(table: pd.DataFrame, spec: TableSpec | None) -> pd.DataFrame:
    return table if spec is None else table[spec.arrange(map(str, table.columns))]


def _read(path: Path, n_rows: int | None = None) -> Iterator[pd.DataFrame]:
    """Read so many rows at a time, or all; at least once, an empty table too."""
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "no such file"
        raise CordlesionError(
            f"{path}: {found}; a table (.tsv) is needed. Check the path, or run the stage that writes it."
        )
    yield from _parsed(path, path, n_rows)


def _parsed(
    path: Path, source: Path | BinaryIO, n_rows: int | None = None, only: Collection[str] | None = None
) -> Iterator[pd.DataFrame]:
    types = dict.fromkeys(IDENTIFIERS, str)
    try:
        with pd.read_csv(
            source,
            sep="\t",
            dtype=types,
            na_values=["n/a"],
            keep_default_na=False,
            chunksize=n_rows or sys.maxsize,
            usecols=None if only is None else set(only).__contains__,
            **_EXACT,
        ) as parts:
            yield from parts
    except OSError as error:
        raise cannot_read(path, error, "a table (.tsv)") from error
    except ValueError as error:
        remedy = " Save it in UTF-8." if isinstance(error, UnicodeDecodeError) else ""
        reason = " ".join(str(error).split())  # pandas ends some with a new line
        raise CordlesionError(f"{path}: not a table ({reason}). A tab-separated file is needed.{remedy}") from error


def checked_table(table: pd.DataFrame, path: Path, columns: TableSpec | Iterable[str]) -> pd.DataFrame:
    """Return a table with empty identifiers and whole seeds.

    Raises:
        CordlesionError: As :func:`read_table`.
    """
    needed = columns.required_names if isinstance(columns, TableSpec) else columns
    table = table.fillna({name: "" for name in IDENTIFIERS if name in table})
    if "seed" in table and pd.api.types.is_float_dtype(table["seed"]) and _are_whole(table["seed"].dropna()):
        table["seed"] = table["seed"].astype("Int64")  # comparators have none; those of runs stay whole numbers
    if missing := [name for name in needed if name not in table]:
        _require_tabs(table, path)
        raise CordlesionError(
            f"{path}: lacks the columns {', '.join(missing)}. If another version of cordlesion wrote it, make it again "
            "or write to another folder."
        )
    if isinstance(columns, TableSpec):
        _require_numbers(table, path, columns)
    return table


def _are_whole(numbers: "pd.Series[float]") -> bool:
    """Return whether numbers are whole, and small enough for integers of 64 bits to hold them exactly."""
    return bool(((numbers % 1 == 0) & (numbers.abs() < _EXACT_INTEGERS)).all())


def _require_numbers(table: pd.DataFrame, path: Path, spec: TableSpec) -> None:
    """Refuse text in a column of numbers."""
    numeric = [column.name for column in spec.required if column.kind not in ("text", "boolean")]
    if texts := [name for name in numeric if len(table) and not pd.api.types.is_numeric_dtype(table[name])]:
        raise CordlesionError(f"{path}: the column {texts[0]} holds text; numbers or n/a are needed. Mend the table.")


def _require_tabs(table: pd.DataFrame, path: Path) -> None:
    """Refuse a table of one column whose name holds the separator of another format."""
    header = str(table.columns[0])
    found = [word for sign, word in ((",", "commas"), (";", "semicolons")) if sign in header]
    if len(table.columns) == 1 and found:
        raise CordlesionError(
            f"{path}: is separated by {found[0]}; tabs are needed. Save it as a tab-separated table (.tsv)."
        )
