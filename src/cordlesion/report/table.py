"""What a printed table is made of."""

import csv
import io
import re
from dataclasses import dataclass

from cordlesion.statistics import SIGNIFICANT as SIGNIFICANT

EMPTY_REFERENCE = (
    "Empty references: lesion-free scans have no L- and V-values; they count in P-specificity and false positives per "
    "scan. A scan with lesions in which nothing is marked has values of 0."
)
"""The policy without which no score can be read; once on the page, and in the caption of every table of scores."""
_FORMULA_SIGNS = ("=", "+", "-", "@")
_NUMBER = re.compile(r"[+-][\d.,]+[*†‡]*( [\[(].*)?")
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
    """Its number, such as ``Table 1.``, or its title; given by the page."""
    lead: str = ""
    """The caption after the label: what the table shows."""
    note: str = ""
    """How to read it, after the lead; folded on the page."""
    how: str = ""
    """How the numbers were computed, where it is the same for several tables: ends the caption."""
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

    def caption(self, *, bold: str, best: str = "", whole: bool = True) -> str:
        """Return the caption as plain text.

        Args:
            bold: How bold is shown where the caption is read, such as ``Bold`` or ``Asterisk``.
            best: How the best values are shown; empty where they are not.
            whole: With how to read the table, and how its numbers were computed.
        """
        legends = ((best, self.best), (bold, self.bold))
        marks = [f"{sign}: {meaning}." for sign, meaning in legends if sign and meaning]
        rest = (self.note, *marks, self.how) if whole else marks
        return " ".join(part for part in (self.label, self.lead, *rest) if part)

    def tsv(self) -> str:
        """Return the table as tab-separated text, for programs."""
        return "".join("\t".join(row) + "\n" for row in self.cells)

    def csv(self) -> str:
        """Return the table as comma-separated text, for spreadsheets: they need the byte-order mark to read ``±``."""
        stream = io.StringIO()
        rows = [[_not_computed(value) for value in row] for row in self.cells]
        csv.writer(stream, lineterminator="\n").writerows(rows)
        return "\ufeff" + stream.getvalue()


def _not_computed(cell: str) -> str:
    """Keep a spreadsheet from computing a cell, which would run what somebody wrote into a table of a dataset.

    Numbers stay as they are: our own minus sign is none for a spreadsheet, and a plain one may begin a number.
    """
    return f"'{cell}" if cell.startswith(_FORMULA_SIGNS) and not _NUMBER.fullmatch(cell) else cell
