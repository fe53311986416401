"""Creates the page `docs/benchmarks.md` from the rows of one kind of processor, or of several side by side."""

from collections.abc import Callable, Sequence

from _results import Results
from _rows import Figure, Row, quantity
from _targets import STAGES

INTRODUCTION = """\
# How fast

Written by `make bench`. For each stage: our time, the time of other libraries for the same work, and the floor, which
no implementation can go below. The candidates of a stage take turns on one machine, so that other programs slow
all of them equally: trust the ratios more than the times. PyTorch and MONAI train and predict in separate processes,
so that they do not profit from the freed memory that ours keeps; in the training loop, MONAI's batches feed our
own step. Each time is a median of several rounds, or the sum over many scans.
"""
COLUMNS = ("stage", "ours", "fastest peer", "floor", "ratio", "target", "met?")
PER_PROCESSOR = ("ours", "fastest peer", "ratio", "met?")
MEANING = """\
The ratio is the one in the target: the fastest peer's time divided by ours (more is better), or ours
divided by the floor or by the limit (less is better). *stated*: from another source, not measured in this run.
"""
BESIDE = """\
Columns are named by what networks compute in on a processor. Where a column is empty, the stage does not depend on it,
or was not measured there.
"""


REASONS = "Possible reasons, written down with the targets before; this run did not test them."


def page(found: Sequence[Results]) -> str:
    """Return the page.

    Args:
        found: Of each kind of processor.
    """
    names, several = _stages(found), len(found) > 1
    parts = [
        INTRODUCTION,
        *(_facts(one, several=several) for one in found),
        _side_by_side(found, names) if several else _table(COLUMNS, [_summary(row) for row in found[0].rows]),
        MEANING.strip(),
        *([BESIDE] if several else []),
        *_missed(found),
        "## Stage by stage",
        *(_section(found, name) for name in names),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _stages(found: Sequence[Results]) -> list[str]:
    """Return the names of all stages in the order of the page."""
    measured = dict.fromkeys(row.stage.name for one in found for row in one.rows)
    order = [stage.name for stage in STAGES]
    return sorted(measured, key=lambda name: order.index(name) if name in order else len(order))


def _facts(one: Results, *, several: bool) -> str:
    lines = "\n".join(f"- {fact}" for fact in one.facts)
    return f"**{one.label}**\n\n{lines}" if several else lines


def _side_by_side(found: Sequence[Results], names: Sequence[str]) -> str:
    columns = ("stage", *(f"{name}, {one.label}" for name in PER_PROCESSOR for one in found), "target")
    lines = []
    for name in names:
        rows = [_row(one, name) for one in found]
        cells = [_cells(row) for row in rows]
        by_name = [cells[k][place] for place in range(len(PER_PROCESSOR)) for k in range(len(found))]
        lines.append((name, *by_name, _each(found, rows, lambda row: row.stage.target)))
    return _table(columns, lines)


def _cells(row: Row | None) -> tuple[str, ...]:
    """Return what :data:`PER_PROCESSOR` names."""
    if row is None:
        return ("",) * len(PER_PROCESSOR)
    _, ours, peer, _, ratio, _, met = _summary(row)
    return ours, peer, ratio, met


def _each(found: Sequence[Results], rows: Sequence[Row | None], text: Callable[[Row], str]) -> str:
    """Return a text of all processors: once where it is the same, else after the name of each."""
    said = {one.label: text(row) for one, row in zip(found, rows, strict=True) if row}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return "; ".join(f"{label}: {words}" for label, words in said.items())


def _row(one: Results, name: str) -> Row | None:
    return next((row for row in one.rows if row.stage.name == name), None)


def _missed(found: Sequence[Results]) -> list[str]:
    several = len(found) > 1
    missed = [
        f"- **{row.stage.name}**{f', {one.label}' if several else ''}: {row.stage.if_missed}"
        for one in found
        for row in one.rows
        if row.is_met is False
    ]
    return ["## Targets missed", REASONS, "\n".join(missed)] if missed else []


def _summary(row: Row) -> tuple[str, ...]:
    met = {True: "yes", False: "**no**", None: "not measured"}[row.is_met]
    cells = [_cell(figure, row.stage.unit) for figure in (row.ours, row.fastest_peer, row.floor)]
    return (row.stage.name, *cells, "–" if row.ratio is None else f"{row.ratio:.2f}", row.stage.target, met)


def _cell(figure: Figure | None, unit: str) -> str:
    if figure is None:
        return "–"
    return quantity(figure.value, unit) + (" (stated)" if figure.is_stated else "")


def _section(found: Sequence[Results], name: str) -> str:
    rows = [(one.label, row) for one in found if (row := _row(one, name))]
    parts = [f"### {name}"]
    for label, row in rows:
        words = f"{label}: {row.note}" if len(found) > 1 else row.note
        parts += [part for part in (words, _candidates(row)) if part]
    return "\n\n".join(parts)


def _candidates(row: Row) -> str:
    lines = [
        (part, figure.name, _cell(figure, row.stage.unit), f"{figure.value / row.ours.value:.2f} ×")
        for part, figure in row.figures
    ]
    return _table(("", "candidate", "figure", "of ours"), lines)


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [columns, ["---"] * len(columns), *lines]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |" for cells in rows)
