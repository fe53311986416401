"""What a printed table is made of, and how numbers are printed (leaf of the tables)."""

import csv
import io
import math
from dataclasses import dataclass

from cordlesion.report.style import METRIC_NAMES as METRIC_NAMES

SIGNIFICANT = 0.05
MISSING = "–"

EMPTY_REFERENCE = (
    "Empty references: scans without a lesion in the reference have no L- and V-values and count in P-specificity "
    "only; where a scan has lesions and nothing is predicted, its values are 0."
)
"""The policy without which no score can be read; part of the caption of every table of scores."""
_KINDS = ("Set", "Metric", "Share", "Cut")
SEEDS_AVERAGED = " Where a loss has several seeds, a scan’s value is their mean."


@dataclass(frozen=True)
class Cell:
    """One printed value."""

    main: str
    detail: str = ""
    """Printed smaller, after the value."""
    interval: str = ""
    """Printed smaller, after the detail."""
    bold: bool = False
    """A significant difference."""
    mark: str = ""
    best: bool = False
    """The best value of its column and set."""

    @property
    def text(self) -> str:
        """The cell as plain text."""
        parts = (self.main + ("*" if self.bold else "") + self.mark, self.detail, self.interval)
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Group:
    """Rows that share their first cell."""

    name: str
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Table:
    """A printed table with its caption."""

    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    n_words: int = 1
    """How many of the first columns hold words; the others hold numbers."""
    label: str = ""
    """Its number, such as ``Table 1.``"""
    note: str = ""
    """The caption after the label: what the table shows and how to read it."""
    how: str = ""
    """How the numbers were made, where it is the same for several tables: ends the caption."""
    bold: str = ""
    """What bold (an asterisk in plain text) stands for; empty where nothing is bold."""
    best: str = ""
    """What marks the best values (shade, underline) stand for; empty where nothing is marked."""

    @property
    def kind(self) -> int | str:
        """The column by whose words rows are of one kind, such as those of one set; no number where all are alike.

        Sorted, rows of one kind stay together: only they can be compared.
        """
        words = self.columns[: self.n_words] if self.n_words > 1 else ()
        return next((number for number, name in enumerate(words) if name in _KINDS), "")

    @property
    def cells(self) -> list[list[str]]:
        """The table as plain text, row by row: the group's name in every row, an asterisk for bold."""
        rows = [[group.name, *(cell.text for cell in row)] for group in self.groups for row in group.rows]
        # A name that holds a tab or a line break must not shift the columns.
        return [[" ".join(value.split()) for value in row] for row in [list(self.columns), *rows]]

    def caption(self, *, bold: str, best: str = "", how: bool = True) -> str:
        """Return the caption as plain text.

        Args:
            bold: How bold is shown where the caption is read, such as ``Bold`` or ``Asterisk``.
            best: How the best values are shown; empty where they are not.
            how: Say too how the numbers were made.
        """
        legends = ((best, self.best), (bold, self.bold))
        marks = [f"{sign}: {meaning}." for sign, meaning in legends if sign and meaning]
        return " ".join(part for part in (self.label, self.note, *marks, self.how if how else "") if part)

    def tsv(self) -> str:
        """Return the table as tab-separated text, for programs."""
        return "".join("\t".join(row) + "\n" for row in self.cells)

    def csv(self) -> str:
        """Return the table as comma-separated text, for spreadsheets: they need the byte-order mark to read ``±``."""
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows(self.cells)
        return "\ufeff" + stream.getvalue()


def format_number(value: float, *, signed: bool = False) -> str:
    """Print with two decimals and a real minus sign."""
    if math.isnan(value):
        return MISSING
    return (f"{value:+.2f}" if signed else f"{value:.2f}").replace("-", "−")


def format_fine(value: float, digits: int = 3, *, signed: bool = False) -> str:
    """Print small values with more decimals."""
    if math.isnan(value):
        return MISSING
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def format_fine_interval(low: float, high: float, *, signed: bool = False) -> str:
    """Print an interval of small values in brackets; a dash where there is none."""
    return _brackets(format_fine(low, signed=signed), format_fine(high, signed=signed))


def format_interval(low: float, high: float, *, signed: bool = False) -> str:
    """Print an interval in brackets; a dash where there is none."""
    return _brackets(format_number(low, signed=signed), format_number(high, signed=signed))


def with_interval(value: float, low: float, high: float, *, digits: int = 2, signed: bool = False) -> str:
    """Print a value of a sentence with its interval in brackets; without one where there is none."""
    printed = [format_fine(one, digits, signed=signed) for one in (value, low, high)]
    return printed[0] if MISSING in printed[1:] else f"{printed[0]} {_brackets(*printed[1:])}"


def format_percent(share: float) -> str:
    """Print a share as a percentage, with a space before the sign."""
    return MISSING if math.isnan(share) else f"{share:.0%}".replace("%", " %")


def _brackets(low: str, high: str) -> str:
    return MISSING if low == high == MISSING else f"[{low}, {high}]"


def format_p(p: float) -> str:
    """Print a p-value with three decimals, or as ``< 0.001``."""
    if math.isnan(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
