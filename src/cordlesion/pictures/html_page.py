"""What all pages share: how templates are read, and a policy that lets a page's own script run and nothing else."""

import base64
import hashlib
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

SHARED = Path(__file__).parent / "templates"


def page_environment(*templates: Path) -> Environment:
    """Read the templates of some folders, and those that pages share, so that whatever comes from data stays text."""
    environment = Environment(
        loader=FileSystemLoader([*templates, SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = mark_code
    return environment


def mark_code(text: str) -> Markup:
    """Return a text for a page, in which what stands between backticks, as in messages, is marked as code."""
    return Markup(re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(text))))


def content_policy(script: str) -> str:
    """Return the Content-Security-Policy of a page with one inline script, which may show pictures from its own folder.

    If a name ever escapes its escaping, it can still neither run nor load anything.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    rules = {
        "default-src": "'none'",
        "script-src": f"'sha256-{digest}'",
        "style-src": "'unsafe-inline'",
        "img-src": "'self' file: data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())
