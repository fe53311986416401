"""Results of simulated studies with standard errors, and their table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Row:
    """A share in simulated studies of one design."""

    table: str
    """The question, used as the heading of a table."""
    design: str
    figure: str
    """Quantity: false verdicts, power or coverage."""
    share: float
    se: float
    """Standard error of the share due to the number of simulations."""
    least: float | None = None
    """Lower limit of the target."""
    most: float | None = None
    """Upper limit of the target."""

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met within two standard errors; None without a target."""
        if self.least is None and self.most is None:
            return None
        low, high = self.share - 2 * self.se, self.share + 2 * self.se
        return (self.least is None or high >= self.least) and (self.most is None or low <= self.most)


def measured(
    table: str,
    design: str,
    figure: str,
    happened: npt.ArrayLike,
    *,
    least: float | None = None,
    most: float | None = None,
) -> Row:
    """Return a row from the outcome of each study.

    Args:
        table: What is asked.
        design: Of the studies.
        figure: What the share is of.
        happened: Shape (studies,): whether it happened, or in which share of a study's comparisons.
        least: Target, at least.
        most: Target, at most.
    """
    x = np.asarray(happened, dtype=np.float64)
    se = float(x.std(ddof=1) / math.sqrt(len(x))) if len(x) > 1 else math.nan
    return Row(table, design, figure, float(x.mean()), se, least, most)


def print_rows(rows: Sequence[Row]) -> str:
    """Format rows as a Markdown table per question: percent, standard error in brackets, asterisk if missed."""
    parts = []
    for table in dict.fromkeys(row.table for row in rows):
        mine = [row for row in rows if row.table == table]
        figures = list(dict.fromkeys(row.figure for row in mine))
        cells = {(row.design, row.figure): _cell(row) for row in mine}
        lines = [["design", *figures], ["---"] * (len(figures) + 1)]
        designs = dict.fromkeys(row.design for row in mine)
        lines += [[design, *(cells.get((design, figure), "") for figure in figures)] for design in designs]
        parts.append(f"## {table}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts)


def _cell(row: Row) -> str:
    return f"{100 * row.share:.1f} ({100 * row.se:.1f}){' *' if row.is_met is False else ''}"
