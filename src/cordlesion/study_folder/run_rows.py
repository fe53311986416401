"""The rows of single runs in the tables that grow with runs and scans; of large ones only these rows are in memory."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, get_args

import pandas as pd

from cordlesion.io.arrays import IndexArray
from cordlesion.io.table_parts import Key, TableParts, find_parts
from cordlesion.io.tables import IDENTIFIERS, checked_table
from cordlesion.study_folder.checked_tables import checked, read_checked, required
from cordlesion.study_folder.pooling import pool_rows
from cordlesion.study_folder.runs import Run, list_runs, places_by_run
from cordlesion.study_folder.tables import SPECS

LargeTable: TypeAlias = Literal["sweep", "evaluation", "rules", "strata"]
"""The tables with rows for every scan and run."""
LARGE_TABLES: tuple[LargeTable, ...] = get_args(LargeTable)
IN_MEMORY_BYTES = 32 * 2**20
"""A larger file is read run by run."""
_NAMES = ("loss", "seed", "set")
_ALWAYS = frozenset({"scan_id", "threshold", "fold", *_NAMES})
"""Columns by which rows are chosen and pooled."""
_KEPT = 4
"""How many runs' rows are kept: one run is often asked for several times in a row."""


class RunRows(Protocol):
    """One of the large tables."""

    @property
    def runs(self) -> tuple[Run, ...]:
        """Runs and comparators in the order of their first rows."""

    def of(self, run: Run, only: Collection[str] | None, where: Mapping[str, object]) -> pd.DataFrame:
        """Return rows of a run, in order.

        Args:
            run: The run, with all of its folds.
            only: The columns that are needed; all where it is None.
            where: The values that columns must have.
        """

    def whole(self) -> pd.DataFrame:
        """Return the table as a whole."""


@dataclass(frozen=True, eq=False)
class RowsInMemory:
    """A table in memory; see :class:`RunRows`."""

    table: pd.DataFrame

    @cached_property
    def _places(self) -> dict[Run, IndexArray]:
        return places_by_run(self.table)

    @property
    def runs(self) -> tuple[Run, ...]:
        """See :class:`RunRows`."""
        return tuple(self._places)

    def of(self, run: Run, only: Collection[str] | None, where: Mapping[str, object]) -> pd.DataFrame:
        """See :class:`RunRows`."""
        places = self._places.get(run)
        return _chosen(self.table.iloc[:0] if places is None else self.table.iloc[places], only, where)

    def whole(self) -> pd.DataFrame:
        """See :class:`RunRows`."""
        return self.table


@dataclass(frozen=True, eq=False)
class RowsOnDisk:
    """A table on disk, of which one run at a time is in memory; see :class:`RunRows`."""

    parts: TableParts
    keys: Mapping[Run, Sequence[Key]]
    """The parts of each run: one of each set."""
    written: pd.DataFrame
    """The thresholds as they were written: how folds are pooled depends on them."""
    _shared: dict[str, str] = field(default_factory=dict)
    """Names of scans and subjects, each once for all runs."""

    @property
    def runs(self) -> tuple[Run, ...]:
        """See :class:`RunRows`."""
        return tuple(self.keys)

    def of(self, run: Run, only: Collection[str] | None, where: Mapping[str, object]) -> pd.DataFrame:
        """See :class:`RunRows`."""
        needed = None if only is None else frozenset({*only, *where, *_ALWAYS})
        return _chosen(self._kept(run, needed, where.get("set")), only, where)

    def whole(self) -> pd.DataFrame:
        """See :class:`RunRows`."""
        return pool_rows(self.parts.path.stem, read_checked(self.parts.path), self.written)

    @cached_property
    def _kept(self) -> Callable[[Run, Collection[str] | None, object], pd.DataFrame]:
        kept: Callable[..., pd.DataFrame] = lru_cache(_KEPT)(self._read)
        return kept

    def _read(self, run: Run, needed: Collection[str] | None, set_name: object) -> pd.DataFrame:
        keys = [key for key in self.keys.get(run, ()) if set_name in (None, key[-1])]
        rows = self.parts.read(keys, needed)
        names = {name: rows[name].map(self._once) for name in IDENTIFIERS if name in rows}
        seeds = {"seed": rows["seed"].astype("Int64")}
        return pool_rows(self.parts.path.stem, rows.assign(**names, **seeds), self.written)

    def _once(self, name: str) -> str:
        return self._shared.setdefault(name, name)


def read_run_rows(path: Path, written: pd.DataFrame) -> RunRows:
    """Read one of the large tables, or look through it where it is too large to be in memory, and check every row.

    Args:
        path: The table, with every fold.
        written: The thresholds as they were written.

    Raises:
        CordlesionError: As :func:`cordlesion.study_folder.checked_tables.read_checked`.
    """
    if required(path).stat().st_size <= IN_MEMORY_BYTES:
        return RowsInMemory(pool_rows(path.stem, read_checked(path), written))
    parts, keys = find_parts(path, _NAMES), dict[Run, list[Key]]()
    masks = set()
    for group in _by_run(parts):
        rows = checked(path, checked_table(parts.read(group), path, SPECS[path.name].required_names))
        (run,) = list_runs(rows)
        keys.setdefault(run, []).extend(group)
        if "fold" in written and "threshold" in rows and rows["threshold"].isna().all():
            masks.add(run)
    # Pooling puts masks last.
    return RowsOnDisk(parts, {run: keys[run] for run in sorted(keys, key=masks.__contains__)}, written)


def _by_run(parts: TableParts) -> Iterable[Sequence[Key]]:
    """Return the parts of each run, runs in the order of their first rows."""
    groups: dict[Key, list[Key]] = {}
    for key in parts.places:
        groups.setdefault(key[:-1], []).append(key)
    return groups.values()


def _chosen(rows: pd.DataFrame, only: Collection[str] | None, where: Mapping[str, object]) -> pd.DataFrame:
    for column, value in where.items():
        rows = rows[(rows[column] == value).to_numpy(bool)]
    return rows if only is None else rows[[name for name in rows if name in only]]
