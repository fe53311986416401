"""Masks or probability maps, and references: one tidy table, a row per scan (no torch)."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordlesion.artifacts import atomic_path
from cordlesion.config import FilePatterns, PostprocessConfig
from cordlesion.dataset.bids import scan_name
from cordlesion.errors import CordlesionError
from cordlesion.metrics import LesionRule, ScanMetrics, evaluate, sweep
from cordlesion.postprocess import postprocess, read_cord
from cordlesion.reading import cannot_read
from cordlesion.volume import read_mask, read_probability

METRIC_COLUMNS = tuple(field.name for field in fields(ScanMetrics))
_TEXT_COLUMNS = ("scan_id", "subject", "session", "site", "set", "loss")
IMAGE_SUFFIXES = (".nii.gz", ".nii")
_FORMAT: dict[str, Any] = {"sep": "\t", "index": False, "na_rep": "n/a", "lineterminator": "\n"}
_PART_ROWS = 50_000
_NOTHING = PostprocessConfig()
_OWN_FOLDER = "Put the files to be compared into a folder of their own."
MASK_NAMES = (*FilePatterns().reference, "*_label-lesion_mask.nii*", "*_label-lesion_desc-*_mask.nii*")
"""Names by which a lesion mask is told from the other files of its scan."""
PROBABILITY_NAMES = ("*_probseg.nii.gz", "*_probseg.nii")


@dataclass(frozen=True)
class MapPair:
    """A scan's reference and what was predicted for it (a mask or a probability map)."""

    scan_id: str
    subject: str
    session: str
    reference: Path
    prediction: Path
    cord_mask: Path | None = None
    """Needed only where lesions are restricted to the cord."""


def evaluate_mask(pair: MapPair, rule: str | LesionRule = "study") -> ScanMetrics:
    """Compare a predicted mask with the reference, on the reference's grid.

    Raises:
        CordlesionError: A file is missing, damaged or no mask, or the grids differ.
    """
    reference = read_mask(pair.reference)
    prediction = read_mask(pair.prediction, like=reference)
    return evaluate(reference.data, prediction.data, reference.spacing_mm, rule)


def sweep_map(
    pair: MapPair,
    thresholds: Sequence[float],
    rule: str | LesionRule = "study",
    removal: PostprocessConfig = _NOTHING,
) -> pd.DataFrame:
    """Compare a probability map with the reference at every threshold.

    Args:
        pair: The files.
        thresholds: Where the map is cut.
        rule: When a lesion counts as detected.
        removal: How the map is post-processed before; not at all by default.

    Returns:
        A row per threshold: scan_id, subject, session, threshold and the metrics.

    Raises:
        CordlesionError: A file is missing or damaged, values are no probabilities, or the grids differ.
    """
    reference = read_mask(pair.reference)
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


def pair_files(reference: Path, prediction: Path, names: Sequence[str] = MASK_NAMES) -> tuple[list[MapPair], list[str]]:
    """Match references with predictions: two files, or the files of two folders by their BIDS entities.

    Files without BIDS entities are matched by equal names. Where a folder holds several kinds of files, only those
    named as lesion masks (or, of the predictions, as in ``names``) count.

    Args:
        reference: A file, or a folder.
        prediction: A file, or a folder.
        names: How predictions are named where they lie beside other files.

    Returns:
        The pairs, sorted by name, and a sentence for each file without a partner.

    Raises:
        CordlesionError: A path does not exist, two files fit one scan, or nothing matches.
    """
    if reference.is_file() and prediction.is_file():
        return [_pair(_key(reference), reference, prediction)], []
    references, predictions = by_scan(list_files(reference), MASK_NAMES), by_scan(list_files(prediction), names)
    common = sorted(references.keys() & predictions.keys())
    if not common:
        raise CordlesionError(
            f"{prediction}: none of its {len(predictions)} NIfTI files matches one of the {len(references)} in "
            f"{reference}; equal BIDS entities (sub-, ses-, acq- ...) or equal file names are needed. Rename them."
        )
    unmatched = [*_alone(references, predictions, "prediction"), *_alone(predictions, references, "reference")]
    return [_pair(key, references[key], predictions[key]) for key in common], unmatched


def by_scan(files: Sequence[Path], names: Sequence[str], remedy: str = _OWN_FOLDER) -> dict[str, Path]:
    """Tell by their BIDS entities which scan each file belongs to; by its name where it has none.

    Args:
        files: Of one folder.
        names: Patterns; where a file fits one of them, only those that do count.
        remedy: What the user can do where two files fit one scan, a sentence.

    Raises:
        CordlesionError: Two files fit one scan.
    """
    named = [path for path in files if any(path.match(name) for name in names)]
    table: dict[str, Path] = {}
    for path in named or files:
        if (key := _key(path)) in table:
            raise CordlesionError(f"{path}: is of the same scan as {table[key]}; one file per scan is needed. {remedy}")
        table[key] = path
    return table


def list_files(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> list[Path]:
    """Return the files of a kind in a folder and below it, sorted; a file itself is the only one.

    Raises:
        CordlesionError: There is no such file or folder.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise CordlesionError(f"{folder}: no such file or folder. Check the path.")
    return [p for p in sorted(folder.rglob("*")) if p.name.endswith(suffixes) and not p.name.startswith(".")]


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
    with atomic_path(Path(path)) as temporary:
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
        raise CordlesionError(
            f"{path}: no such file; a table (.tsv) is needed. Check the path, or run the stage that writes it."
        )
    types = dict.fromkeys(_TEXT_COLUMNS, str)
    try:
        with pd.read_csv(
            path, sep="\t", dtype=types, na_values=["n/a"], keep_default_na=False, chunksize=n_rows or sys.maxsize
        ) as parts:
            yield from parts
    except OSError as error:
        raise cannot_read(path, error, "a table (.tsv)") from error
    except ValueError as error:
        raise CordlesionError(f"{path}: not a table ({error}). A tab-separated file is needed.") from error


def _checked(table: pd.DataFrame, path: Path, columns: Iterable[str] = ()) -> pd.DataFrame:
    """Return a table with empty texts, whole seeds and numbers for metrics, or refuse it."""
    table = table.fillna({name: "" for name in _TEXT_COLUMNS if name in table})
    if "seed" in table and pd.api.types.is_float_dtype(table["seed"]) and (table["seed"].dropna() % 1 == 0).all():
        table["seed"] = table["seed"].astype("Int64")  # comparators have none; those of runs stay whole numbers
    if missing := [name for name in columns if name not in table]:
        raise CordlesionError(
            f"{path}: lacks the columns {', '.join(missing)}. If another version of cordlesion wrote it, make it anew "
            "or write to another folder."
        )
    numbers = table[[name for name in METRIC_COLUMNS if name in table]]
    if texts := [name for name in numbers if len(table) and not pd.api.types.is_numeric_dtype(table[name])]:
        raise CordlesionError(f"{path}: the column {texts[0]} holds text; numbers or n/a are needed. Mend the table.")
    return table


def _key(path: Path) -> str:
    return scan_name(path.name) or path.name.split(".")[0]


def _pair(key: str, reference: Path, prediction: Path) -> MapPair:
    named = dict(part.split("-", 1) for part in key.split("_") if "-" in part)
    subject = f"sub-{named['sub']}" if "sub" in named else key
    return MapPair(key, subject, named.get("ses", ""), reference, prediction)


def _alone(files: Mapping[str, Path], others: Mapping[str, Path], wanted: str) -> list[str]:
    return [
        f"{files[key]}: no {wanted} for {key}; one file each is needed. Add it, or remove this one."
        for key in sorted(files.keys() - others.keys())
    ]
