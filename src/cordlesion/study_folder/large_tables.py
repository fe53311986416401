"""How the tables that grow with runs and scans are asked for, whether they are in memory or not."""

from collections.abc import Collection
from dataclasses import replace

import pandas as pd

from cordlesion.study_folder.run_rows import LargeTable, RowsInMemory, RunRows
from cordlesion.study_folder.runs import Run


class TableField:
    """A field of a dataclass that is given and got as a table, and whose rows may stay on disk until then."""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, results: object | None, _owner: type) -> pd.DataFrame:
        if results is None:
            raise AttributeError(self._name)  # the field has no default
        rows: RunRows = vars(results)[self._name]
        return rows.whole()

    def __set__(self, results: object, table: pd.DataFrame | RunRows) -> None:
        vars(results)[self._name] = RowsInMemory(table) if isinstance(table, pd.DataFrame) else table


class LargeTables:
    """Methods for fields that are a :class:`TableField`."""

    def rows(self, table: LargeTable, run: Run, only: Collection[str] | None = None, **where: object) -> pd.DataFrame:
        """Return the rows of a run in one of the large tables, the only ones that are in memory where it is large.

        Args:
            table: Its name.
            run: The run, all of its folds together.
            only: The columns that are needed; by default all.
            where: The value that a column must have, such as ``set="test"``.
        """
        return self._large(table).of(replace(run, fold=None), only, where)

    def rows_of_loss(self, table: LargeTable, loss: str, only: Collection[str], **where: object) -> pd.DataFrame:
        """Return the rows of all seeds of a loss, or of a comparator, run after run; arguments as of :meth:`rows`."""
        runs = [run for run in self.runs_in(table) if run.loss == loss]
        return pd.concat([self.rows(table, run, only, **where) for run in runs], ignore_index=True)

    def losses_in(self, table: LargeTable) -> list[str]:
        """Return the losses and comparators of a large table in the order of their first rows."""
        return list(dict.fromkeys(run.loss for run in self.runs_in(table)))

    def runs_in(self, table: LargeTable) -> tuple[Run, ...]:
        """Return the runs and comparators of a large table in the order of their first rows."""
        return self._large(table).runs

    def _large(self, table: LargeTable) -> RunRows:
        rows: RunRows = vars(self)[f"_{table}"]
        return rows
