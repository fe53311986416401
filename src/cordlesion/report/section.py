"""What a section of the report is made of, and how its tables and figures get their numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
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
    variant: str = ""
    """How it differs from the figure before it, whose number it shares."""
    is_numbered: bool = True
    is_drawn: Callable[[StudyResults], bool] = _any_results
    """Whether a study has what it shows; what is not drawn takes no number."""


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


@dataclass(frozen=True)
class Chapter:
    """Sections that share an entry of the navigation."""

    title: str
    """Its heading and its name in the navigation."""
    sections: tuple[Section, ...]
    is_open: bool = False
    """Whether its sections stand open, without a heading of the chapter; others are folded."""


def number_all(sections: Sequence[Section], printed: Callable[[str], bool] = lambda _: True) -> dict[str, str]:
    """Return how each table and figure is referred to, by name, such as ``Table 4a`` or ``Figure 2, test set``.

    Tables and figures are numbered as they come on the page. What a study does not print takes no number and is
    referred to by its name.

    Args:
        sections: In the order of the page.
        printed: Whether the page prints a table or figure, by its name.

    Raises:
        ValueError: Two tables or figures have the same name.
    """
    tables = [table for section in sections for table in section.tables]
    figures = [figure for section in sections for figure in section.figures]
    names = [*(table.name for table in tables), *(figure.name for figure in figures)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"Two tables or figures of the report are named {twice[0]}")
    refs = {name: f"the file {name}" for name in names}
    refs |= _number_tables([table for table in tables if table.title or printed(table.name)])
    return refs | dict(_number_figures([figure for figure in figures if printed(figure.name)]))


def list_printed(refs: Mapping[str, str], section: Section, tables: Mapping[str, Table]) -> str:
    """Name the tables and figures that a section prints: ``Figure 2, Table 3, Table 4a, Table 4b``."""
    figures = [refs[one.name] for one in section.figures if one.is_numbered and not one.variant]
    return ", ".join([*figures, *(refs[one.name] for one in section.tables if tables[one.name].groups)])


def _number_tables(tables: Sequence[ReportTable]) -> dict[str, str]:
    refs = {table.name: table.title for table in tables if table.title}
    numbered = groupby((table for table in tables if not table.title), _group)
    for number, (_, members) in enumerate(numbered, start=1):
        for letter, table in zip(ascii_lowercase, members, strict=False):
            refs[table.name] = f"Table {number}{letter if table.group else ''}"
    return refs


def _group(table: ReportTable) -> str:
    return table.group or table.name


def _number_figures(figures: Sequence[ReportFigure]) -> Iterator[tuple[str, str]]:
    number = 0
    for figure in (one for one in figures if one.is_numbered):
        number += not figure.variant
        yield figure.name, f"Figure {number}{f', {figure.variant}' if figure.variant else ''}"
