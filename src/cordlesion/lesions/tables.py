"""Tables of the lesions in a folder of segmentations: a row per lesion, a row per scan (no torch).

A JSON file next to each describes its columns, as in BIDS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.io.columns import LARGEST, TableSpec
from cordlesion.io.reading import read_json
from cordlesion.io.tables import read_table, write_table
from cordlesion.io.writing import waiting_lock, write_json
from cordlesion.lesions.columns import COVERAGE
from cordlesion.lesions.columns import LESION_AGREEMENT as LESION_AGREEMENT
from cordlesion.lesions.columns import LESION_LOAD as LESION_LOAD
from cordlesion.lesions.columns import LESIONS as LESIONS
from cordlesion.lesions.coverage import Coverage
from cordlesion.lesions.measure import Lesion, LesionLoad

_COLUMNS = {column.name: column for spec in (LESIONS, LESION_LOAD, LESION_AGREEMENT) for column in spec.columns}


@dataclass(frozen=True)
class Segmented:
    """The content of the tables for one scan."""

    threshold: float
    load: LesionLoad
    lesions: Sequence[Lesion]
    coverage: Coverage | None = None
    """None where the whole image was searched."""


def lesion_table(scans: Mapping[str, Segmented]) -> pd.DataFrame:
    """Return one row per lesion of every scan (``lesions.tsv``)."""
    rows = [{"scan_id": name} | asdict(lesion) for name, scan in scans.items() for lesion in scan.lesions]
    table = pd.DataFrame(rows, columns=list(LESIONS.names))
    optional = [column.name for column in LESIONS.columns if column.optional]
    return table.drop(columns=[name for name in optional if table[name].isna().all()])


def load_table(scans: Mapping[str, Segmented]) -> pd.DataFrame:
    """Return one row per scan, with or without lesions (``lesion_load.tsv``)."""
    rows = [
        {"scan_id": name, "threshold": scan.threshold}
        | asdict(scan.load)
        | (asdict(scan.coverage) if scan.coverage else {})
        for name, scan in scans.items()
    ]
    return pd.DataFrame(rows, columns=list(LESION_LOAD.names))


_TABLES = {LESIONS: lesion_table, LESION_LOAD: load_table}


def check_tables(folder: Path) -> None:
    """Refuse a folder with tables that cannot be extended, before any work is done.

    Raises:
        CordlesionError: One of them is damaged or lacks columns.
    """
    for spec in _TABLES:
        if (folder / spec.file).is_file():
            read_table(folder / spec.file, spec.required_names)


def add_to_tables(folder: Path, scans: Mapping[str, Segmented]) -> None:
    """Write the lesions of scans to the tables of a folder: they replace earlier rows of these scans, and only those.

    Processes that add to one folder at the same time wait for each other, so that no rows are lost.

    Args:
        folder: The folder of the tables.
        scans: The lesions by scan.

    Raises:
        CordlesionError: A table that is there cannot be read, or the folder cannot be written.
    """
    with waiting_lock(folder / ".tables.lock"):
        for spec, table in _TABLES.items():
            path = folder / spec.file
            rows = _with_others(path, table(scans), spec, scans)
            write_table(path, rows, spec)
            about = path.with_suffix(".json")
            write_json(about, describe_columns(rows, _held(about)))


def _held(about: Path) -> dict[str, Any]:
    """Return the column descriptions of a JSON file; none if it is damaged, since only added columns need them."""
    try:
        held = read_json(about) if about.is_file() else {}
    except CordlesionError:
        return {}
    return held if isinstance(held, dict) else {}


def _with_others(path: Path, rows: pd.DataFrame, spec: TableSpec, scans: Mapping[str, Segmented]) -> pd.DataFrame:
    """Put the rows of other scans before those of ``scans``, if there is a table; added columns are kept."""
    if not path.is_file():
        return rows
    held = read_table(path, spec.required_names)
    rows = _with_added(held, rows)
    # Neither a table without rows nor a column without values has a type, and would change that of the other.
    parts = [part.dropna(axis="columns", how="all") for part in (held[~held["scan_id"].isin(list(scans))], rows)]
    filled = [part for part in parts if len(part)]
    columns = list(dict.fromkeys([*rows, *held]))
    return _with_whole_numbers(pd.concat(filled, ignore_index=True).reindex(columns=columns)) if filled else rows


def _with_whole_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Keep counts whole that some of the rows do not have."""
    numbers = table[[column.name for column in COVERAGE if column.kind == "integer" and column.name in table]]
    found = {name: values.dropna() for name, values in numbers.select_dtypes("float").items()}
    whole = [name for name, values in found.items() if ((values % 1 == 0) & (values.abs() < LARGEST)).all()]
    return table.astype(dict.fromkeys(whole, "Int64"))


def _with_added(held: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Copy the values of added columns to the new rows of the same scan, or of the same lesion."""
    added = [str(name) for name in held if name not in rows and name not in _COLUMNS]
    if not added:
        return rows
    notes = held[added].set_axis(_same(held, rows))
    kept = notes[~notes.index.duplicated()].reindex(_same(rows, rows))
    return rows.assign(**{str(name): kept[name].to_numpy() for name in added})


def _same(table: pd.DataFrame, rows: pd.DataFrame) -> pd.MultiIndex:
    """Return the keys of rows: the scan, and the number and size of the lesion."""
    keys = [name for name in ("scan_id", "lesion", "n_voxels") if name in rows]
    return pd.MultiIndex.from_arrays(
        [table[name] if name == "scan_id" else pd.to_numeric(table[name], errors="coerce") * 1.0 for name in keys]
    )


def describe_columns(table: pd.DataFrame, held: Mapping[str, Any] = MappingProxyType({})) -> dict[str, dict[str, Any]]:
    """Describe the columns of a table of lesions, as the JSON file of BIDS does.

    Args:
        table: A table of lesions, perhaps with added columns.
        held: Earlier descriptions; those of added columns are kept.
    """
    return {str(column): _described(str(column), held.get(str(column))) for column in table}


def _described(column: str, held: object) -> dict[str, Any]:
    if column not in _COLUMNS:
        return held if isinstance(held, dict) else {"Description": "Added by hand"}
    declared = _COLUMNS[column]
    return {"Description": declared.meaning} | ({"Units": declared.unit} if declared.unit else {})
