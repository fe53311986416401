"""Instance maps of any tool: an image with the number of its lesion in each voxel, and a table of their probabilities.

The numbers are whole, 0 outside, and need not follow one another. Each number is one lesion: touching lesions stay
apart, and the pieces of a lesion stay together.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from cordlesion.dataset.scan_names import file_stem, legible
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Array, FloatArray, IntArray, Mask
from cordlesion.io.formats import plural
from cordlesion.io.tables import read_table
from cordlesion.io.volume import Volume, read_volume, require_same_grid
from cordlesion.lesions.columns import CHANCE
from cordlesion.metrics import Components

NUMBER = "index"
"""Column of the table that holds the number of a lesion in the image, as BIDS names it."""
_LARGEST = 2.0**53
"""Up to it, every whole number is a float64."""
_AGAIN = "Write image and table again, or mend the table."


@dataclass(frozen=True, eq=False)
class InstanceMap:
    """The lesions of one image."""

    mask: Volume
    """Which voxels are lesion; shape (X, Y, Z)."""
    lesions: Components
    """Each lesion, in the order of their numbers."""
    numbers: IntArray
    """The number of each in the image, shape (L,)."""


@dataclass(frozen=True, eq=False)
class LesionRanks:
    """The probability of each lesion of an image, where its table has one."""

    values: FloatArray | None
    """In the order of their numbers, shape (L,); None where they are not known."""
    missing: str = ""
    """Why they are not known, half a sentence."""


def read_instances(path: Path, like: Volume | None = None) -> InstanceMap:
    """Read the image of an instance map.

    Args:
        path: The file.
        like: The grid it must share.

    Raises:
        CordlesionError: As :func:`cordlesion.io.volume.read_volume`; values are not whole, or below 0; or another grid
            than ``like``.
    """
    volume = read_volume(path)
    inside: Mask = volume.data != 0
    selected: Array = volume.data.T[inside.T]  # transposed, because selecting in Fortran order is far slower
    values, places, sizes = np.unique(selected, return_inverse=True, return_counts=True)
    labels = np.zeros(volume.data.shape, np.int32)
    labels.T[inside.T] = places + 1
    wrong = values[(values < 0) | (values != np.round(values)) | (values > _LARGEST)]
    if len(wrong):
        raise CordlesionError(
            f"{path}: holds the value {wrong[0]:.9g}; an instance map with whole numbers is needed, 0 outside and one "
            "number for each lesion. Give maps of probabilities with --probability, and masks without --instances."
        )
    mask, numbers = Volume(inside, volume.affine, volume.header, volume.path), values.astype(np.int64)
    if like is not None:
        require_same_grid(mask, like)
    return InstanceMap(mask, Components(labels, sizes, numbers), numbers)


def table_of(image: Path) -> Path:
    """Return the table of the lesions of an image: beside it, with its name."""
    return image.with_name(f"{file_stem(image)}.tsv")


def read_ranks(image: Path, numbers: IntArray, column: str = CHANCE.name) -> LesionRanks:
    """Read the probability of each lesion of an instance map from the table beside it.

    Args:
        image: The image.
        numbers: The lesions in it, shape (L,).
        column: The column with their probabilities.

    Returns:
        Their probabilities; none where there is no table, or where it is ``n/a`` for all lesions.

    Raises:
        CordlesionError: The table is damaged, is not of these lesions, or holds values that are no probabilities.
    """
    path = table_of(image)
    if not len(numbers) and not path.is_file():
        return LesionRanks(np.empty(0))
    if not path.is_file():
        return LesionRanks(None, f"there is no table {path}")
    rows = _rows_by_number(path, column)
    _require_same(path, image, set(rows.index.tolist()), set(numbers.tolist()))
    values = rows.loc[numbers.tolist()].astype(np.float64)
    n_missing = int(values.isna().sum())
    if n_missing and n_missing == len(values):
        return LesionRanks(None, f"{path} has n/a in the column {column}")
    if n_missing:
        raise CordlesionError(
            f"{path}: the column {column} is n/a for {n_missing} of {plural(len(values), 'lesion')}; a probability of "
            f"each is needed, or of none. {_AGAIN}"
        )
    if len(outside := values[~values.between(0, 1)]):
        raise CordlesionError(
            f"{path}: the column {column} holds {outside.iloc[0]:g}; probabilities from 0 to 1 are needed. Name "
            "another column with --ranked-by, or mend the table."
        )
    return LesionRanks(values.to_numpy(np.float64))


def _rows_by_number(path: Path, column: str) -> "pd.Series[float]":
    """Return the values of a column by the number of the lesion; a row for 0, what is outside, is left out."""
    table = read_table(path)
    if missing := [name for name in (NUMBER, column) if name not in table]:
        found = ", ".join(legible(str(name)) for name in table)
        raise CordlesionError(
            f"{path}: has no column {missing[0]} (it has {found}); the columns {NUMBER} and "
            f"{column} are needed, tab-separated, with a row for each lesion. Rename its columns, or name another one "
            "with --ranked-by."
        )
    if doubled := [name for name in (NUMBER, column) if f"{name}.1" in table]:  # pandas numbers the second
        raise CordlesionError(f"{path}: has two columns {doubled[0]}; one is needed. {_AGAIN}")
    for name in (NUMBER, column):
        if len(table) and (is_bool_dtype(table[name]) or not is_numeric_dtype(table[name])):
            raise CordlesionError(f"{path}: the column {name} holds text; numbers are needed. {_AGAIN}")
    numbers = table[NUMBER].astype(np.float64)
    if len(wrong := numbers[~((numbers % 1 == 0) & (numbers.abs() <= _LARGEST))]):
        shown = "n/a" if wrong.isna().iloc[0] else f"{wrong.iloc[0]:g}"
        raise CordlesionError(
            f"{path}: the column {NUMBER} holds {shown}; the whole number of a lesion is needed in each row. {_AGAIN}"
        )
    if len(twice := numbers[numbers.duplicated()]):
        raise CordlesionError(
            f"{path}: has two rows for the lesion {twice.iloc[0]:g}; one row for each lesion is needed. {_AGAIN}"
        )
    rows = table.set_index(numbers.astype(np.int64))[column]
    return rows[rows.index != 0]


def _require_same(path: Path, image: Path, listed: set[int], drawn: set[int]) -> None:
    """Refuse a table that is not of the lesions of its image."""
    if absent := sorted(listed - drawn):
        raise CordlesionError(
            f"{path}: has a row for the lesion {absent[0]}, which is not in {image.name}; rows for the lesions of the "
            f"image are needed. {_AGAIN}"
        )
    if unlisted := sorted(drawn - listed):
        raise CordlesionError(
            f"{path}: has no row for the lesion {unlisted[0]} of {image.name}; a row for each lesion is needed. "
            f"{_AGAIN}"
        )
