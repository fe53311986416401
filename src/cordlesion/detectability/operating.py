"""The operating points of a method: at which threshold masks are made of its maps (leaf)."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import pandas as pd

Kind: TypeAlias = Literal["own", "given"]
COLUMNS = ["threshold", "operating_point"]
"""The columns of tables that state the operating point."""


@dataclass(frozen=True)
class OperatingPoint:
    """One way of making masks."""

    threshold: float | None
    """None for masks, and for a rule with a threshold for each scan."""
    kind: Kind
    """``own``: of the method; ``given``: of the grid."""

    @property
    def columns(self) -> dict[str, object]:
        """The same as columns of tables."""
        return {"threshold": math.nan if self.threshold is None else self.threshold, "operating_point": self.kind}

    def __str__(self) -> str:
        if self.threshold is None:
            return "in the method's own masks"
        own = " (its own)" if self.kind == "own" else ""
        return f"at t = {self.threshold:g}{own}"


def by_point(table: pd.DataFrame) -> list[tuple[OperatingPoint, pd.DataFrame]]:
    """Return the rows of a table at each operating point, in the order of the table."""
    groups = []
    for keys, rows in table.groupby(COLUMNS, dropna=False, sort=False):
        threshold, kind = cast(tuple[float, Kind], keys)
        point = OperatingPoint(None if math.isnan(threshold) else float(threshold), kind)
        groups.append((point, rows))
    return groups
