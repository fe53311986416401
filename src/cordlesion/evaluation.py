"""Masks or probability maps, and references: one tidy table, a row per scan (no torch)."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordlesion.config import PostprocessConfig
from cordlesion.dataset.matching import MapPair
from cordlesion.errors import CordlesionError
from cordlesion.io.mask_values import MaskValues
from cordlesion.io.reading import cannot_read
from cordlesion.io.volume import Volume, read_probability
from cordlesion.io.writing import atomic_path, utf8_only
from cordlesion.metrics import LesionRule, ScanMetrics, evaluate, sweep
from cordlesion.threshold.postprocess import postprocess, read_cord

METRIC_COLUMNS = tuple(field.name for field in fields(ScanMetrics))
LESION_COUNTS = ("n_reference_lesions", "n_detected_lesions", "n_predicted_lesions", "n_true_predicted_lesions")
_TEXT_COLUMNS = ("scan_id", "subject", "session", "site", "set", "loss", "rule")
_FORMAT: dict[str, Any] = {"sep": "\t", "index": False, "na_rep": "n/a", "lineterminator": "\n"}
_EXACT: dict[str, Any] = {"float_precision": "round_trip"} if int(pd.__version__.split(".")[0]) < 3 else {}
"""How pandas reads every digit; from version 3 on it does by itself."""
_PART_ROWS = 50_000
_NOTHING = PostprocessConfig()


def read_masks(
    pair: MapPair, references: MaskValues | None = None, predictions: MaskValues | None = None
) -> tuple[Volume, Volume]:
    """Read reference and predicted mask, on one grid.

    Args:
        pair: The files.
        references: Remembers by which value the reference marks.
        predictions: The same of the prediction.

    Raises:
        CordlesionError: A file is missing, damaged or no mask, or the grids differ.
    """
    reference = (references or MaskValues("references", pair.lesion_value)).read(pair.reference)
    predictions = predictions or MaskValues("predictions", pair.predicted_value)
    return reference, predictions.read(pair.prediction, like=reference)


def evaluate_mask(
    pair: MapPair,
    rule: str | LesionRule = "study",
    references: MaskValues | None = None,
    predictions: MaskValues | None = None,
) -> ScanMetrics:
    """Compare a predicted mask with the reference, on the reference's grid.

    Raises:
        CordlesionError: A file is missing, damaged or no mask, or the grids differ.
    """
    reference, prediction = read_masks(pair, references, predictions)
    return evaluate(reference.data, prediction.data, reference.spacing_mm, rule)


def sweep_map(
    pair: MapPair,
    thresholds: Sequence[float],
    rule: str | LesionRule = "study",
    removal: PostprocessConfig = _NOTHING,
    references: MaskValues | None = None,
) -> pd.DataFrame:
    """Compare a probability map with the reference at every threshold.

    Args:
        pair: The files.
        thresholds: Where the map is cut.
        rule: When a lesion counts as detected.
        removal: How the map is post-processed before; not at all by default.
        references: Remembers by which value the reference marks.

    Returns:
        A row per threshold: scan_id, subject, session, threshold and the metrics.

    Raises:
        CordlesionError: A file is missing or damaged, values are no probabilities, or the grids differ.
    """
    reference = (references or MaskValues("references", pair.lesion_value)).read(pair.reference)
    probability = read_probability(pair.prediction, like=reference)
    p = postprocess(probability, thresholds, removal, read_cord(pair.cord_mask, reference, removal))
    measured = sweep(reference.data, p, reference.spacing_mm, thresholds, rule)
    columns = {name: [getattr(metrics, name) for metrics in measured] for name in METRIC_COLUMNS}
    return pd.DataFrame(_names(pair) | {"threshold": list(thresholds)} | columns)


def metric_row(pair: MapPair, metrics: ScanMetrics) -> dict[str, object]:
    """Return a scan's row of ``metrics.tsv``: scan_id, subject, session and the metrics."""
    return _names(pair) | vars(metrics)


def _names(pair: MapPair) -> dict[str, str]:
    return {"scan_id": pair.scan_id, "subject": pair.subject, "session": pair.session}


def require_gradual(probability: Path, table: pd.DataFrame) -> None:
    """Refuse maps that hold 0 and 1 only: masks, which any threshold leaves as they are.

    Args:
        probability: Where the maps lie, for the message.
        table: A row per scan and threshold.

    Raises:
        CordlesionError: No threshold changes anything.
    """
    # Where minimum volumes are tried as well, masks of one minimum volume are compared.
    same = ["scan_id", *(["minimum_volume_mm3"] if "minimum_volume_mm3" in table else [])]
    volumes = table[table["threshold"] > 0].groupby(same)["predicted_volume_mm3"]
    if (volumes.min() == volumes.max()).all() and volumes.max().any():
        raise CordlesionError(
            f"{probability}: every threshold above 0 gives the same masks, as of masks; probability maps are needed. "
            "Export the network's probabilities before they are cut."
        )


def write_table(path: Path | str, table: pd.DataFrame) -> None:
    """Write a table as TSV atomically; numbers keep every digit, undefined values become ``n/a``."""
    with atomic_path(Path(path)) as temporary, utf8_only(Path(path)):
        table.to_csv(temporary, **_FORMAT)


@contextlib.contextmanager
def table_in_parts(path: Path | str) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a table part by part, atomically: the bytes of :func:`write_table`, the memory of the largest part.

    Yields:
        What is given the next part. The first one says which columns there are; those that a later one lacks are
        undefined in its rows.
    """
    columns: list[str] = []
    with atomic_path(Path(path)) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:

        def append(part: pd.DataFrame) -> None:
            is_first = not columns
            columns.extend(part.columns if is_first else ())
            assert set(part) <= set(columns)
            part.reindex(columns=columns).to_csv(stream, header=is_first, **_FORMAT)

        yield append


def read_table(path: Path | str, columns: Iterable[str] = ()) -> pd.DataFrame:
    """Read a TSV written by :func:`write_table`.

    Raises:
        CordlesionError: The file is missing, is no table, lacks one of ``columns``, or holds text among its metrics.
    """
    path = Path(path)
    return _checked(next(_read(path)), path, columns)


def read_in_parts(path: Path | str, by: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Read a TSV written by :func:`write_table` part by part, for what is summed up and need not be in memory at once.

    Args:
        path: The table.
        by: Columns; neighbouring rows that are equal in all of them stay together.

    Yields:
        Parts of some ten thousand rows, in order; each as :func:`read_table` gives it.

    Raises:
        CordlesionError: As :func:`read_table`.
    """
    path = Path(path)
    held = pd.DataFrame()
    for rows in _read(path, _PART_ROWS):
        held = pd.concat([held, _checked(rows, path, by)], ignore_index=True)
        keys = held[[*by]].astype(str).fillna("")
        *_, start = (0, *np.flatnonzero(keys.ne(keys.shift()).any(axis="columns")))
        if start:
            yield held.iloc[:start]
            held = held.iloc[start:]
    yield held


def _read(path: Path, n_rows: int | None = None) -> Iterator[pd.DataFrame]:
    """Read so many rows at a time, or all; at least once, an empty table too."""
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "no such file"
        raise CordlesionError(
            f"{path}: {found}; a table (.tsv) is needed. Check the path, or run the stage that writes it."
        )
    types = dict.fromkeys(_TEXT_COLUMNS, str)
    try:
        with pd.read_csv(
            path,
            sep="\t",
            dtype=types,
            na_values=["n/a"],
            keep_default_na=False,
            chunksize=n_rows or sys.maxsize,
            **_EXACT,
        ) as parts:
            yield from parts
    except OSError as error:
        raise cannot_read(path, error, "a table (.tsv)") from error
    except ValueError as error:
        remedy = " Save it in UTF-8." if isinstance(error, UnicodeDecodeError) else ""
        raise CordlesionError(f"{path}: not a table ({error}). A tab-separated file is needed.{remedy}") from error


def _checked(table: pd.DataFrame, path: Path, columns: Iterable[str] = ()) -> pd.DataFrame:
    """Return a table with empty texts, whole seeds and numbers for metrics, or refuse it."""
    table = table.fillna({name: "" for name in _TEXT_COLUMNS if name in table})
    if "seed" in table and pd.api.types.is_float_dtype(table["seed"]) and (table["seed"].dropna() % 1 == 0).all():
        table["seed"] = table["seed"].astype("Int64")  # comparators have none; those of runs stay whole numbers
    if missing := [name for name in columns if name not in table]:
        _require_tabs(table, path)
        raise CordlesionError(
            f"{path}: lacks the columns {', '.join(missing)}. If another version of cordlesion wrote it, make it anew "
            "or write to another folder."
        )
    numbers = table[[name for name in METRIC_COLUMNS if name in table]]
    if texts := [name for name in numbers if len(table) and not pd.api.types.is_numeric_dtype(table[name])]:
        raise CordlesionError(f"{path}: the column {texts[0]} holds text; numbers or n/a are needed. Mend the table.")
    return table


def _require_tabs(table: pd.DataFrame, path: Path) -> None:
    """Refuse a table of one column whose name holds the separator of another format."""
    header = str(table.columns[0])
    found = [word for sign, word in ((",", "commas"), (";", "semicolons")) if sign in header]
    if len(table.columns) == 1 and found:
        raise CordlesionError(
            f"{path}: is separated by {found[0]}; tabs are needed. Save it as a tab-separated table (.tsv)."
        )
