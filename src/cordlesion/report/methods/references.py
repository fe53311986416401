"""The publications that the methods come from, read from ``references.bib``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

BIBLIOGRAPHY = Path(__file__).parent / "references.bib"
"""In plain BibTeX: one field a line, no macros."""

_ENTRY = re.compile(r"@misc\{(\w+),\n(.*?)\n\}\n", re.DOTALL)
_FIELD = re.compile(r"^  (\w+) = \{(.*?)\},?$", re.MULTILINE)


@dataclass(frozen=True)
class Reference:
    """One publication."""

    authors: str
    """Names as in BibTeX, joined by `` and ``; ``others`` ends a shortened list."""
    title: str
    venue: str
    year: int
    locator: str
    """Volume and pages, or an address of its own; empty where there is none."""
    bibtex: str
    """Its entry of the bibliography."""

    @property
    def text(self) -> str:
        """As in a list of references."""
        names = self.authors.replace(" and others", " et al.").split(" and ")
        listed = ", ".join(names[:-1]) + " & " + names[-1] if len(names) > 1 else names[0]
        place = f"{self.venue} {self.locator}".strip()
        return f"{listed}{'' if listed.endswith('.') else '.'} {self.title}. {place}, {self.year}."


@cache
def read_references() -> Mapping[str, Reference]:
    """Return the bibliography by key: first author and year."""
    text = BIBLIOGRAPHY.read_text(encoding="utf-8")
    return {entry[1]: _reference(entry[0], dict(_FIELD.findall(entry[2]))) for entry in _ENTRY.finditer(text)}


def _reference(bibtex: str, fields: Mapping[str, str]) -> Reference:
    return Reference(
        authors=fields["author"],
        title=fields["title"].removeprefix("{").removesuffix("}"),
        venue=fields["howpublished"],
        year=int(fields["year"]),
        locator=fields.get("note", ""),
        bibtex=bibtex,
    )
