"""Masks and voxel-wise agreement: sensitivity, precision and F1 (= Dice)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import AnyArray, Array, Mask

Box: TypeAlias = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Scores:
    """Sensitivity, precision and their harmonic mean, F1; all NaN where undefined."""

    sensitivity: float
    precision: float
    f1: float


UNDEFINED = Scores(math.nan, math.nan, math.nan)


def voxel_scores(n_reference: int, n_predicted: int, n_common: int) -> Scores:
    """Score a mask from three voxel counts.

    An empty reference leaves all three undefined (NaN): such a scan counts in the subject-level specificity only.
    An empty prediction of a non-empty reference is a failure, not a gap: all three are 0, precision included.

    Args:
        n_reference: Lesion voxels of the reference.
        n_predicted: Lesion voxels of the prediction.
        n_common: Voxels in both.
    """
    if n_reference == 0:
        return UNDEFINED
    precision = n_common / n_predicted if n_predicted else 0.0
    return Scores(n_common / n_reference, precision, 2 * n_common / (n_reference + n_predicted))


def checked_mask(mask: npt.ArrayLike, name: str) -> Mask:
    """Return ``mask`` as a boolean array of shape (X, Y, Z).

    Raises:
        CordlesionError: Not 3-D, empty, or with values other than 0 and 1; the sentence calls the mask ``name``.
    """
    array = checked_array(mask, name)
    if array.dtype == np.bool_:
        return array
    inside: Mask = array.astype(np.bool_, copy=False)
    if not (inside == array).all():
        raise CordlesionError(
            f"The {name} has values other than 0 and 1 (from {array.min():g} to {array.max():g}); "
            "a binary mask is needed. Binarize it first."
        )
    return inside


def checked_array(array: npt.ArrayLike, name: str) -> Array:
    """Return ``array`` as a numpy array of real numbers with shape (X, Y, Z).

    Raises:
        CordlesionError: Not 3-D, empty, or not of real numbers; the sentence calls the array ``name``.
    """
    checked: Array = np.asarray(array)
    if checked.ndim != 3 or checked.size == 0:
        raise CordlesionError(f"The {name} has shape {checked.shape}; one non-empty 3-D array is needed.")
    if checked.dtype.kind not in "biuf":
        raise CordlesionError(f"The {name} is of type {checked.dtype}; real numbers or booleans are needed.")
    return checked


def require_same_shape(reference: AnyArray, other: AnyArray, name: str) -> None:
    """Check that ``other``, called ``name``, has the reference's shape.

    Raises:
        CordlesionError: It has not.
    """
    if other.shape != reference.shape:
        raise CordlesionError(
            f"The {name} has shape {other.shape} but the reference has {reference.shape}; both must share one grid. "
            f"Resample the {name} to the grid of the reference."
        )


def voxel_volume_mm3(spacing_mm: Sequence[float]) -> float:
    """Return the volume of one voxel.

    Raises:
        CordlesionError: Not three positive, finite lengths.
    """
    try:
        lengths = [float(length) for length in spacing_mm]
    except (TypeError, ValueError):
        raise CordlesionError(
            f"The voxel spacing is {spacing_mm!r}; three positive lengths in mm are needed, one for each axis. "
            "Give them as (1.0, 1.0, 1.0)."
        ) from None
    if len(lengths) != 3 or not all(math.isfinite(length) and length > 0 for length in lengths):
        raise CordlesionError(
            f"The voxel spacing is {tuple(lengths)}; three positive lengths in mm are needed. Check the image header."
        )
    return math.prod(lengths)


def bounding_box(mask: Mask) -> Box:
    """Return the smallest box that holds every voxel of ``mask`` (an empty box for an empty mask)."""
    box = [slice(0, 0)] * 3
    for axis in range(3):
        # Each axis looks only at what the axes before left over.
        inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        if len(inside) == 0:
            break
        box[axis] = slice(int(inside[0]), int(inside[-1]) + 1)
        mask = mask[(slice(None),) * axis + (box[axis],)]
    return box[0], box[1], box[2]
