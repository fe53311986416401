"""What a table consists of: its columns are declared once, for the writer, the reader and the documentation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["text", "integer", "number", "share", "boolean"]
"""What a column holds; a share is a number from 0 to 1."""
LARGEST = 1e15
"""No number of a table is larger, except infinity where a column's range allows it."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    meaning: str
    """One sentence without its full stop."""
    kind: Kind = "number"
    unit: str = ""
    range: tuple[float, float] | None = None
    """Lowest and highest value; by default 0 to 1 for shares, and any finite value for other numbers."""
    may_be_missing: bool = False
    """Whether a row may hold ``n/a``."""
    optional: str = ""
    """Which tables have the column, one sentence without its full stop; empty: all."""

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest value that a reader accepts."""
        return self.range or ((0, 1) if self.kind == "share" else (-LARGEST, LARGEST))


@dataclass(frozen=True)
class TableSpec:
    """A table: its file, its columns in order, and what a row is."""

    file: str
    meaning: str
    """What a row is, and what the table is for; Markdown."""
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    """The columns that together identify a row, as far as a table has them."""

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, in order."""
        return names_of(self.columns)

    @property
    def required(self) -> tuple[Column, ...]:
        """The columns that every such table has."""
        return tuple(column for column in self.columns if not column.optional)

    @property
    def required_names(self) -> tuple[str, ...]:
        """The names of the columns that every such table has."""
        return names_of(self.required)

    def only(self, names: Sequence[str]) -> "TableSpec":
        """Return the declaration of some of the columns, for a reader that needs no others."""
        return replace(self, columns=tuple(column for column in self.columns if column.name in names))

    def arrange(self, names: Iterable[str]) -> list[str]:
        """Return the columns of a table that is written, in the declared order; last those that people have added.

        Raises:
            ValueError: A column is missing that every such table has.
        """
        given = list(names)
        if missing := [name for name in self.required_names if name not in given]:
            raise ValueError(f"{self.file}: {', '.join(missing)} is missing")
        return [name for name in self.names if name in given] + [name for name in given if name not in self.names]


def count(name: str, meaning: str, *, optional: str = "") -> Column:
    """Declare a column of numbers of things."""
    return Column(name, meaning, "integer", range=(0, LARGEST), optional=optional)


def volume(name: str, meaning: str, *, may_be_missing: bool = False, optional: str = "") -> Column:
    """Declare a column of volumes in mm3."""
    return Column(name, meaning, "number", "mm3", (0, LARGEST), may_be_missing, optional)


def names_of(columns: Iterable[Column]) -> tuple[str, ...]:
    """Return the names of columns."""
    return tuple(column.name for column in columns)
