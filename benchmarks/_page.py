"""Creates the page `docs/benchmarks.md` from all rows."""

from collections.abc import Sequence

from _rows import Figure, Row, quantity

INTRODUCTION = """\
# How fast

Written by `make bench`. For each stage: our time, the time of other libraries for the same work, and the floor, which
no implementation can go below. The candidates of a stage take turns on one machine, so that other programs slow
all of them equally: trust the ratios more than the times. PyTorch and MONAI train and predict in separate processes,
so that they do not profit from the freed memory that ours keeps; in the training loop, MONAI's batches feed our
own step. Each time is a median of several rounds, or the sum over many scans.
"""
COLUMNS = ("stage", "ours", "fastest peer", "floor", "ratio", "target", "met?")
MEANING = """\
The ratio is the one in the target: the fastest peer's time divided by ours (more is better), or ours
divided by the floor or by the limit (less is better). *stated*: from another source, not measured in this run.
"""


REASONS = "Possible reasons, written down with the targets before; this run did not test them."


def page(rows: Sequence[Row], facts: Sequence[str]) -> str:
    """Return the page.

    Args:
        rows: In the order of the page.
        facts: Date, machine and versions, one line each.
    """
    missed = [f"- **{row.stage.name}**: {row.stage.if_missed}" for row in rows if row.is_met is False]
    parts = [
        INTRODUCTION,
        "\n".join(f"- {fact}" for fact in facts),
        _table(COLUMNS, [_summary(row) for row in rows]),
        MEANING.strip(),
        *(["## Targets missed", REASONS, "\n".join(missed)] if missed else []),
        "## Stage by stage",
        *(_section(row) for row in rows),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _summary(row: Row) -> tuple[str, ...]:
    met = {True: "yes", False: "**no**", None: "not measured"}[row.is_met]
    cells = [_cell(figure, row.stage.unit) for figure in (row.ours, row.fastest_peer, row.floor)]
    return (row.stage.name, *cells, "–" if row.ratio is None else f"{row.ratio:.2f}", row.stage.target, met)


def _cell(figure: Figure | None, unit: str) -> str:
    if figure is None:
        return "–"
    return quantity(figure.value, unit) + (" (stated)" if figure.is_stated else "")


def _section(row: Row) -> str:
    lines = [
        (part, figure.name, _cell(figure, row.stage.unit), f"{figure.value / row.ours.value:.2f} ×")
        for part, figure in row.figures
    ]
    table = _table(("", "candidate", "figure", "of ours"), lines)
    return "\n\n".join(part for part in (f"### {row.stage.name}", row.note, table) if part)


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [columns, ["---"] * len(columns), *lines]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |" for cells in rows)
