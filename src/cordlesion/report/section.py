"""What a section of the report is made of, and how its tables and figures get their numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, groupby
from string import ascii_lowercase

import pandas as pd
from matplotlib.figure import Figure

from cordlesion.report.table import Table
from cordlesion.study_folder.results import StudyResults


@dataclass(frozen=True, eq=False)
class Findings:
    """What a section is written from."""

    results: StudyResults
    frames: Mapping[str, pd.DataFrame]
    """The numbers of all sections, unrounded, by name; see :attr:`Section.summarize`."""
    refs: Mapping[str, str]
    """How a table or figure is referred to in text, such as ``Table 4a``, by its name."""


@dataclass(frozen=True)
class ReportTable:
    """One printed table of a section."""

    name: str
    """Of its files in ``tables/``, and the key of references to it."""
    build: Callable[[Findings], Table]
    title: str = ""
    """Printed instead of a number."""
    group: str = ""
    """Consecutive tables of one group share a number and differ by letters."""
    has_scores: bool = True
    """Whether its caption describes how scores were computed."""


def _any_results(_: StudyResults) -> bool:
    return True


@dataclass(frozen=True)
class ReportFigure:
    """One figure of a section."""

    name: str
    """Of its files in ``figures/``, and the key of references to it."""
    draw: Callable[[StudyResults], Figure]
    number: int | None = None
    """Declared where it is not the next free one, as for figures that keep their number of the paper."""
    variant: str = ""
    """How it differs from the figure before it, whose number it shares."""
    is_numbered: bool = True
    is_drawn: Callable[[StudyResults], bool] = _any_results
    """Whether a study has what it shows; its number is taken in any case."""


def _no_words(_: Findings) -> Mapping[str, object]:
    return {}


def _always(_: Mapping[str, Table]) -> bool:
    return True


@dataclass(frozen=True)
class Section:
    """One section of the page: its numbers, tables, figures and words.

    Its template is ``sections/templates/<key>.html.j2``. It has ``table(name)``, ``figure(name, caption)``,
    ``copies(texts, of)``, ``tables``, ``figures``, ``refs`` and what ``words`` returns.
    """

    key: str
    """Its address in the page, ``#key``."""
    link: str
    """Its name in the navigation."""
    title: str = ""
    """The heading; empty where the template writes the whole element with a heading of its own."""
    summarize: Mapping[str, Callable[[StudyResults], pd.DataFrame]] = field(default_factory=dict)
    """The numbers of the section by name; each is written to ``tables/summary_<name>.tsv``."""
    tables: tuple[ReportTable, ...] = ()
    figures: tuple[ReportFigure, ...] = ()
    words: Callable[[Findings], Mapping[str, object]] = _no_words
    """Returns what the template needs beyond tables and figures."""
    is_shown: Callable[[Mapping[str, Table]], bool] = _always
    """Decides from the tables of the report whether the section is part of the page."""


def number_all(sections: Sequence[Section]) -> dict[str, str]:
    """Return how each table and figure is referred to, by name, such as ``Table 4a`` or ``Figure 2, test set``.

    Tables and figures are numbered in order of appearance. Those of sections that a study does not show keep their
    numbers, so that a number means the same table in every report.

    Raises:
        ValueError: Two tables or figures have the same name.
    """
    tables = [table for section in sections for table in section.tables]
    figures = [figure for section in sections for figure in section.figures]
    names = [*(table.name for table in tables), *(figure.name for figure in figures)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"Two tables or figures of the report are named {twice[0]}")
    return dict([*_number_tables(tables), *_number_figures(figures)])


def _number_tables(tables: Sequence[ReportTable]) -> Iterator[tuple[str, str]]:
    yield from ((table.name, table.title) for table in tables if table.title)
    numbered = groupby((table for table in tables if not table.title), _group)
    for number, (_, members) in enumerate(numbered, start=1):
        for letter, table in zip(ascii_lowercase, members, strict=False):
            yield table.name, f"Table {number}{letter if table.group else ''}"


def _group(table: ReportTable) -> str:
    return table.group or table.name


def _number_figures(figures: Sequence[ReportFigure]) -> Iterator[tuple[str, str]]:
    declared = {figure.number for figure in figures}
    free = (number for number in count(1) if number not in declared)
    number = 0
    for figure in figures:
        if not figure.is_numbered:
            continue
        if figure.variant:
            yield figure.name, f"Figure {number}, {figure.variant}"
        else:
            number = figure.number or next(free)
            yield figure.name, f"Figure {number}"
