"""What of the site is made from the program: commands, settings, losses and columns of tables (hooks of MkDocs).

``python docs/generate.py thresholds.tsv`` prints the columns of a table; without a name, those of all tables.
"""

import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cordlesion.cli.app import app
from cordlesion.config import StudyConfig
from cordlesion.config.section import Section
from cordlesion.detectability import tables as detectability
from cordlesion.evaluation import METRICS
from cordlesion.io.columns import Column, TableSpec
from cordlesion.lesions.instances import INSTANCES
from cordlesion.lesions.tables import LESION_AGREEMENT, LESION_LOAD, LESIONS
from cordlesion.losses import LOSSES, LossSpec
from cordlesion.maps.compare import COMPARISON
from cordlesion.metrics import FURTHER_METRICS
from cordlesion.planning.tables import PLAN
from cordlesion.report.methods.references import read_references
from cordlesion.report.summary_tables import SUMMARIES
from cordlesion.simulate.true_lesions import TRUE_LESIONS
from cordlesion.study_folder.tables import ALL

_FILES: tuple[TableSpec, ...] = (
    *(*ALL, METRICS, COMPARISON, LESIONS, LESION_LOAD, LESION_AGREEMENT, INSTANCES),
    *(TRUE_LESIONS, *detectability.ALL, *SUMMARIES, PLAN),
)
TABLES = {spec.file: spec for spec in _FILES}
"""Every table whose columns a page describes."""
FOR_TESTS = re.compile(r"^<!-- test.*?-->\n", re.DOTALL | re.MULTILINE)
_COLUMNS = re.compile("<!-- generated: columns (.+?) -->")
_SELF_EVIDENT = re.compile(r" \*\[default: (?:False|\(\)|\"\")\]\*")
_KINDS = {"share": "number from 0 to 1", "boolean": "`True` or `False`"}
_GROUPS = {"paper": "The losses of Hussein et al.", "sct": "The loss of SCT's lesion network", "other": "Other losses"}
_WORDS = {str: "text", bool: "true, false", int: "integer", float: "number", Any: "any value"}


def on_page_markdown(markdown: str, **_: object) -> str:
    """Fill in what is generated and leave out what only the tests read."""
    markdown = markdown.replace("<!-- generated: commands -->", commands())
    markdown = markdown.replace("<!-- generated: settings -->", settings())
    markdown = _COLUMNS.sub(lambda found: columns(found[1].split(", ")), markdown)
    markdown = markdown.replace("<!-- generated: losses -->", losses())
    markdown = markdown.replace("<!-- generated: further metrics -->", further_metrics())
    markdown = markdown.replace("<!-- generated: sources of losses -->", sources())
    return FOR_TESTS.sub("", markdown)


def on_page_content(html: str, **_: object) -> str:
    """Leave out the roles of docstrings, which mean nothing here."""
    return re.sub(r":(?:class|func|data|meth|mod):(?=<)", "", html)


def commands() -> str:
    """Describe every command that ``cordlesion --help`` lists, and those below them."""
    text = app.generate_docs(output_format="markdown")
    # A second table of contents stands before the groups of commands, which have bold titles.
    return _SELF_EVIDENT.sub("", text[text.index("\n**") :])


def settings() -> str:
    """Describe every key of ``study.yaml``: those of the study itself, then section by section."""
    parts = ["## The study", _table(StudyConfig)]
    for place, section in _sections(StudyConfig):
        parts += [f"## `{place}` {{ #{place} }}", _text(section.__doc__), _table(section)]
    return "\n\n".join(parts)


def columns(files: Sequence[str]) -> str:
    """Describe the columns of a table, or of several of which the last one has all columns.

    Raises:
        KeyError: No such table is declared.
    """
    specs = [TABLES[file] for file in files]
    parts = [f"### {', '.join(f'`{file}`' for file in files)}"]
    parts += [spec.meaning if len(specs) == 1 else f"`{spec.file}`: {spec.meaning}" for spec in specs]
    rows = [f"| `{column.name}` | {_kind(column)} | {_meaning(column, specs)} |" for column in specs[-1].columns]
    return "\n\n".join([*parts, "\n".join(["| column | holds | meaning |", "|---|---|---|", *rows])])


def _kind(column: Column) -> str:
    """Return in words what a column holds."""
    kind = f"number ({column.unit})" if column.unit else _KINDS.get(column.kind, column.kind)
    return f"{kind} or `n/a`" if column.may_be_missing and column.kind != "text" else kind


def _meaning(column: Column, specs: Sequence[TableSpec]) -> str:
    only = [spec for spec in specs if column.name in spec.names]
    where = "" if len(only) == len(specs) else f"Only in {', '.join(f'`{spec.file}`' for spec in only)}"
    return ". ".join(part for part in (column.meaning, where, column.optional) if part) + "."


def losses() -> str:
    """Describe every loss: its value, its parameters and where it comes from."""
    rows = []
    for group, heading in _GROUPS.items():
        rows.append(f"| | **{heading}** | | |")
        rows += [_loss_row(name, loss) for name, loss in LOSSES.items() if loss.group == group]
    return "\n".join(["| name | value | defaults | source |", "|---|---|---|---|", *rows])


def _loss_row(name: str, loss: LossSpec) -> str:
    settings = [f"`{key}` {_printed(value)}" for key, value in loss.parameters.items()]
    settings += ["no smoothing"] if loss.overlap == "unsmoothed" else []
    named = [f"{key[:-4].capitalize()} {key[-4:]}" for key in loss.references]
    return f"| `{name}` | {loss.formula} | {', '.join(settings)} | {', '.join(named)} |"


def _printed(value: float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def sources() -> str:
    """List the publications of the losses."""
    keys = sorted({key for loss in LOSSES.values() for key in loss.references})
    return "\n".join(f"* {read_references()[key].text}" for key in keys)


def further_metrics() -> str:
    """Describe every metric that is measured where it is named."""
    rows = [
        f"| `{name}` | {one.meaning} | {'higher' if one.higher_is_better else 'lower'} | {one.source} |"
        for name, one in FURTHER_METRICS.items()
    ]
    return "\n".join(["| name | value | better | source |", "|---|---|---|---|", *rows])


def _sections(model: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    """Yield the sections of a model, each followed by those inside it."""
    for name, field in _keys(model):
        for leaf in _leaves(field.annotation):
            if inspect.isclass(leaf) and issubclass(leaf, Section):
                yield name, leaf
                yield from _sections(leaf)


def _keys(model: type[Section]) -> list[tuple[str, FieldInfo]]:
    # `reduced` is not for people: commands write it.
    return [(name, field) for name, field in model.model_fields.items() if name != "reduced"]


def _table(model: type[Section]) -> str:
    rows = [
        f"| `{name}` | {_values(name, field)} | {_default(field)} | {_text(field.description or _about(field))} |"
        for name, field in _keys(model)
    ]
    return "\n".join(["| key | value | default | meaning |", "|---|---|---|---|", *rows])


def _about(field: FieldInfo) -> str | None:
    """Return what a section is about; other keys without a description need none."""
    return type(field.default).__doc__ if isinstance(field.default, Section) else None


def _values(name: str, field: FieldInfo) -> str:
    """Say in words what a key takes."""
    kind = get_origin(field.annotation)
    if kind is dict:
        return "keys with values"
    words = ", ".join(dict.fromkeys(_word(name, leaf) for leaf in _leaves(field.annotation)))
    return f"list of {words}" if kind is tuple else words


def _word(name: str, leaf: object) -> str:
    if isinstance(leaf, str):
        return f"`{leaf}`"
    if inspect.isclass(leaf) and issubclass(leaf, Section):
        return f"[section](#{name})"
    return _WORDS.get(leaf, "path")  # type: ignore[call-overload]


def _leaves(annotation: object) -> Iterator[object]:
    """Yield the types, and the choices of literals, that an annotation is made of."""
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        yield from parts
    elif get_origin(annotation) is Annotated:
        yield from _leaves(parts[0])
    elif parts:
        for part in parts:
            yield from _leaves(part)
    elif annotation not in (Ellipsis, type(None)):
        yield annotation


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "**needed**"
    if isinstance(value, Section) or value in ((), {}):
        return ""
    if value is None:
        return "`null`"
    listed = value if isinstance(value, tuple) else (value,)
    if isinstance(value, dict):
        listed = tuple(f"{key}: {part}" for key, part in value.items())
    return ", ".join(f"`{str(part).lower() if isinstance(part, bool) else part}`" for part in listed)


def _text(docstring: str | None) -> str:
    """Return a docstring as one line of Markdown."""
    return " ".join((docstring or "").split()).replace("``", "`").replace("|", "\\|")


def print_columns(files: Sequence[str]) -> None:
    """Print the columns of some tables; without a name, of all."""
    if unknown := sorted({*files} - {*TABLES}):
        sys.exit(f"{unknown[0]} is no table; some of {', '.join(TABLES)} are needed.")
    print("\n\n".join(columns([name]) for name in files or TABLES))


if __name__ == "__main__":
    print_columns(sys.argv[1:])
