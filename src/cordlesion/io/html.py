"""Small HTML tables, as notebooks show the results of functions (leaf module)."""

from collections.abc import Iterable, Mapping
from html import escape


def html_rows(title: str, rows: Mapping[str, object]) -> str:
    """Return a table of two columns, names and values, under a title; all text is escaped."""
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in rows.items())
    return f"<table><caption>{escape(title)}</caption><tbody>{body}</tbody></table>"


def html_notes(notes: Iterable[str]) -> str:
    """Return a paragraph for each sentence that is not empty, escaped."""
    return "".join(f"<p>{escape(note)}</p>" for note in notes if note)
