"""The tables of a study, read and checked against their declaration for the report and the explorer."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd

from cordlesion.dataset.acquisition import Acquisition
from cordlesion.errors import CordlesionError
from cordlesion.io.columns import Column, TableSpec
from cordlesion.io.tables import read_table
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.stages import run_stage_of
from cordlesion.study_folder.tables import OF_SOME, SPECS

_RECORD = "tables"
"""The done-marker that lists them."""
_ACQUISITION = tuple(field.name for field in fields(Acquisition))


def required(path: Path) -> Path:
    """Return the path of an artifact that is there.

    Raises:
        CordlesionError: It is not.
    """
    if not path.is_file():
        raise CordlesionError(f"{path}: no such file; the report needs it. {run_stage_of(path.name)}")
    return path


def read_checked(path: Path) -> pd.DataFrame:
    """Read one of the study's tables: its columns, some rows, each once, and numbers where numbers belong.

    Raises:
        CordlesionError: The table is missing, cut, doubled, or holds something else.
    """
    spec = SPECS[required(path).name]
    return checked(path, read_table(path, spec.required_names))


def checked(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Check rows of one of the study's tables, as :func:`read_checked` does.

    Raises:
        CordlesionError: As :func:`read_checked`.
    """
    spec = SPECS[path.name]
    again = run_stage_of(spec.file)
    if table.empty:
        raise CordlesionError(f"{path}: holds no rows; the report needs them. {again}")
    for column in spec.columns:
        if not column.optional or column.kind == "boolean" or column.name == "fold":
            _require_kind(path, table, column, again)
    return _require_rows_once(path, _with_whole_numbers(table, spec), spec, again)


def record_rare_tables(study: StudyFolder) -> None:
    """Record which of the tables that only some studies have this one has, so that a deleted one is missed."""
    there = [path.name for path in map(study.table, OF_SOME) if path.is_file()]
    study.mark_done(_RECORD, "", {"list": there})


def read_rare_tables(study: StudyFolder) -> dict[str, pd.DataFrame]:
    """Read the tables that only some studies have, by name; one that a study never had is without rows.

    Raises:
        CordlesionError: As :func:`read_checked`, or a table that the study had is missing. Studies of earlier versions
            do not state what they had.
    """
    had = study.list_of(_RECORD) or []
    paths = {name: study.table(name) for name in OF_SOME}
    return {
        name: read_checked(path)
        if path in had or path.is_file()
        else pd.DataFrame(columns=list(SPECS[path.name].names))
        for name, path in paths.items()
    }


def with_acquisition(splits: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Complete the columns of a split that describe the acquisition: a split of other origin need not have them.

    Raises:
        CordlesionError: The slice spacing is no number.
    """
    facts = splits.reindex(columns=list(_ACQUISITION))
    words = {
        name: facts[name].astype(object).fillna("").astype(str) for name in _ACQUISITION if name != "slice_spacing_mm"
    }
    try:
        spacing = pd.to_numeric(facts["slice_spacing_mm"]).astype(float)
    except ValueError as error:
        raise CordlesionError(
            f"{path}: the column slice_spacing_mm holds text; millimetres or n/a are needed. Mend the table."
        ) from error
    return splits.assign(**words, slice_spacing_mm=spacing)


def _require_kind(path: Path, table: pd.DataFrame, column: Column, again: str) -> None:
    """Refuse a column, where the table has it, with other values than its kind allows."""
    if column.kind == "boolean":
        if column.name in table and not pd.api.types.is_bool_dtype(table[column.name]):
            raise CordlesionError(f"{path}: the column {column.name} holds other words than True and False. {again}")
    elif column.kind != "text" and column.name in table:
        _require_numbers(path, table[column.name], column, again)


def _require_numbers(path: Path, values: "pd.Series[float]", column: Column, again: str) -> None:
    """Refuse text, numbers outside of the column's range, parts of a whole, n/a where every row has a number."""
    name = f"{path}: the column {column.name}"
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        raise CordlesionError(f"{name} holds text; numbers or n/a are needed. {again}")
    numbers = values.to_numpy(float, na_value=np.nan)
    low, high = column.limits
    if ((numbers < low) | (numbers > high)).any():
        raise CordlesionError(f"{name} holds numbers outside of {low:g} to {high:g}. {again}")
    if column.kind == "integer" and (numbers % 1 > 0).any():
        raise CordlesionError(f"{name} holds parts of a whole; whole numbers are needed. {again}")
    if not column.may_be_missing and np.isnan(numbers).any():
        raise CordlesionError(f"{name} lacks a number in some row; all are needed. {again}")


def _with_whole_numbers(table: pd.DataFrame, spec: TableSpec) -> pd.DataFrame:
    declared = {column.name for column in spec.columns}
    for name in {"seed", "fold"} & declared & set(table):
        table[name] = table[name].astype("Int64") if name == "seed" else table[name].astype(int)
    return table


def _require_rows_once(path: Path, table: pd.DataFrame, spec: TableSpec, again: str) -> pd.DataFrame:
    keys = [name for name in spec.key if name in table]
    if (twice := table.duplicated(keys)).any():
        row = ", ".join(f"{name} {table.loc[twice, name].iloc[0]}" for name in keys)
        raise CordlesionError(f"{path}: has two rows for {row}; one is needed. {again}")
    return table
