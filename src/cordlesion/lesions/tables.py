"""Tables of the lesions in a folder of segmentations: a row per lesion, a row per scan (no torch).

A JSON file next to each describes its columns, as in BIDS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.io.columns import LARGEST, Column, TableSpec, count, volume
from cordlesion.io.reading import read_json
from cordlesion.io.tables import read_table, write_table
from cordlesion.io.writing import waiting_lock, write_json
from cordlesion.lesions.coverage import Coverage
from cordlesion.lesions.measure import Lesion, LesionLoad


def _mm(name: str, meaning: str, *, may_be_missing: bool = False) -> Column:
    return Column(name, meaning, unit="mm", may_be_missing=may_be_missing)


def _probability(name: str, meaning: str) -> Column:
    return Column(name, meaning, "share", may_be_missing=True)


_ALONG = "along the centerline; without one, straight down the scan"
_CENTER = "Centre of mass"
_SCAN = Column("scan_id", "Scan, by its BIDS entities or its file name", "text")
_NUMBER = count("lesion", "Number of the lesion in its mask, from the largest")
_VOLUME = volume("volume_mm3", "Volume of the lesion, or of all lesions of the scan")
_SIZE = (
    _VOLUME,
    _mm("length_mm", f"Length {_ALONG}, between the ends of the axial slices that the lesion spans"),
    _mm("position_mm", f"Depth of the middle of that length below the top of the curve's first slice, {_ALONG}"),
    _mm(
        "left_mm",
        f"{_CENTER}: how far left of the cord's centre, in the axial plane; negative: right",
        may_be_missing=True,
    ),
    _mm(
        "anterior_mm",
        f"{_CENTER}: how far in front of the cord's centre, in the axial plane; negative: behind",
        may_be_missing=True,
    ),
)
_PROBABILITY = (
    _probability("peak_probability", "Largest probability in the lesion; n/a where the model gives a mask"),
    _probability("mean_probability", "Mean probability in the lesion; n/a where the model gives a mask"),
)
_PLACE = (
    count("n_voxels", "Voxels of the lesion"),
    _mm("x_mm", f"{_CENTER} in the scanner's coordinates (RAS+), to the right"),
    _mm("y_mm", f"{_CENTER} in the scanner's coordinates (RAS+), to the front"),
    _mm("z_mm", f"{_CENTER} in the scanner's coordinates (RAS+), upwards"),
    Column("i", f"{_CENTER} as voxel index along the first axis of the scan's file, from 0"),
    Column("j", f"{_CENTER} as voxel index along the second axis of the scan's file, from 0"),
    Column("k", f"{_CENTER} as voxel index along the third axis of the scan's file, from 0"),
)
_OF_ENSEMBLES = "Only in tables with lesions that an ensemble found"
_DOUBT = (
    Column(
        "spread",
        "Mean over the lesion of the standard deviation of the probability over the networks of an ensemble",
        "share",
        may_be_missing=True,
        optional=_OF_ENSEMBLES,
    ),
    Column(
        "disagreement",
        "1 - the mean over the networks of an ensemble of the intersection over union with the network's own lesion",
        "share",
        may_be_missing=True,
        optional=_OF_ENSEMBLES,
    ),
)
LESIONS = TableSpec(
    "lesions.tsv",
    "A row per lesion.",
    (_SCAN, _NUMBER, *_SIZE, *_PROBABILITY, *_PLACE, *_DOUBT),
    key=("scan_id", "lesion"),
)
_NOT_ALWAYS = "Tables of scans that were segmented along a centerline, by this version or a later one"


def _end(name: str, where: str, reasons: str) -> Column:
    meaning = f"Why the search ended at the {where} slice: {reasons}, `lost`, or `drawn` (a centerline from a file)"
    return Column(name, meaning, "text", may_be_missing=True, optional=_NOT_ALWAYS)


def _slices(name: str, meaning: str) -> Column:
    return replace(count(name, meaning, optional=_NOT_ALWAYS), may_be_missing=True)


_COVERAGE = (
    _slices("searched_slices", "Axial slices in which lesions were looked for, those with a centerline"),
    _slices("scan_slices", "Axial slices of the scan"),
    Column(
        "searched_mm",
        "Length of the centerline in the searched slices",
        unit="mm",
        may_be_missing=True,
        optional=_NOT_ALWAYS,
    ),
    Column(
        "slice_axis",
        "Axis of the axial slices in the scan's file: i, j or k",
        "text",
        may_be_missing=True,
        optional=_NOT_ALWAYS,
    ),
    _slices("superior_slice", "Index of the uppermost searched slice along that axis of the scan's file, from 0"),
    _end("superior_end", "uppermost", "`border` of the image, `brainstem`"),
    _slices("inferior_slice", "Index of the lowest searched slice along that axis of the scan's file, from 0"),
    _end("inferior_end", "lowest", "`border` of the image, `conus`"),
    Column(
        "cord_confidence",
        "Probability of the cord along the least sure 10 mm of a centerline that was found",
        "share",
        may_be_missing=True,
        optional=_NOT_ALWAYS,
    ),
)
LESION_LOAD = TableSpec(
    "lesion_load.tsv",
    "A row per scan, also of scans without lesions.",
    (
        _SCAN,
        Column("threshold", "Decision threshold t: a voxel is lesion when its probability is at least t", "share"),
        count("n_lesions", "Lesions: 6-connected components of more than 3 mm3"),
        _VOLUME,
        _mm("affected_mm", f"Length with a lesion somewhere in the cord's section, {_ALONG}; within its ends"),
        _mm("cord_mm", "Length of the cord in the scan, along the centerline", may_be_missing=True),
        count("n_too_small", "Components of the mask that are too small to be counted as lesions"),
        *_COVERAGE,
    ),
    key=("scan_id",),
)
LESION_AGREEMENT = TableSpec(
    "lesion_agreement.tsv",
    "A row per lesion of both masks, from `evaluate --figures`.",
    (
        _SCAN,
        Column("mask", "Mask that the lesion belongs to: reference or prediction", "text"),
        Column(
            "name",
            "Name of the lesion in the pictures: R and number in the reference, P and number in the prediction",
            "text",
        ),
        Column(
            "agrees",
            "1: the other mask confirms the lesion (detected, or true) under the lesion rule; 0: it does not",
            "integer",
        ),
        _NUMBER,
        *_SIZE,
        *_PLACE,
    ),
    key=("scan_id", "name"),
)
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
    doubt = [column.name for column in _DOUBT]
    return table if table[doubt].notna().to_numpy().any() else table.drop(columns=doubt)


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
    numbers = table[[column.name for column in _COVERAGE if column.kind == "integer" and column.name in table]]
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
