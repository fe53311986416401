"""Distances between the surfaces of two masks, and overlap that does not depend on the lesion load.

Lesions of the spinal cord are a few voxels wide, so that one voxel moves every distance by a large part: surface
distances of such structures are not recommended as a main metric (Maier-Hein et al., Nat. Methods 2024).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray, Mask
from cordlesion.metrics.voxel import bounding_box, checked_mask, require_same_shape, voxel_volume_mm3

USUAL_LOAD = 0.001
"""Share of lesion voxels to which :func:`normalised_dice` refers, that of Raina et al. (ISBI 2023)."""


@dataclass(frozen=True)
class SurfaceDistances:
    """How far the surfaces of two masks are from each other; NaN where one of the masks is empty."""

    hausdorff95_mm: float
    """The larger of the two 95th percentiles of the distances from one surface to the other."""
    mean_mm: float
    """Mean over both surfaces of the distance to the other (average symmetric surface distance)."""
    within: float
    """Share of both surfaces that is at most ``tolerance_mm`` from the other (normalised surface distance)."""
    tolerance_mm: float


def surface_distances(
    reference: npt.ArrayLike, prediction: npt.ArrayLike, spacing_mm: Sequence[float], tolerance_mm: float = 1.0
) -> SurfaceDistances:
    """Measure the distances between the surfaces of two masks.

    The surface of a mask is its voxels with a face neighbour outside; distances are between centres of voxels.

    Args:
        reference: Booleans, or 0 and 1, shape (X, Y, Z).
        prediction: The same.
        spacing_mm: Voxel size along the three axes.
        tolerance_mm: For ``within``.

    Raises:
        CordlesionError: Shapes differ, an array is not binary, or the spacing or the tolerance is not valid.

    Examples:
        >>> import numpy as np
        >>> from cordlesion.metrics import surface_distances
        >>> reference = np.zeros((20, 20, 20), bool)
        >>> reference[4:10, 4:10, 4:10] = True
        >>> surface_distances(reference, np.roll(reference, 2, axis=2), spacing_mm=(1, 1, 1)).hausdorff95_mm
        2.0
    """
    voxel_volume_mm3(spacing_mm)
    if not (math.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise CordlesionError(f"The tolerance is {tolerance_mm} mm; a length of 0 or more is needed.")
    masks = checked_mask(reference, "reference"), checked_mask(prediction, "prediction")
    require_same_shape(*masks, "prediction")
    if not (masks[0].any() and masks[1].any()):
        return SurfaceDistances(math.nan, math.nan, math.nan, tolerance_mm)
    box = bounding_box(masks[0] | masks[1])
    first, second = (_surface(np.pad(mask[box], 1)) for mask in masks)
    there, back = _from_to(first, second, spacing_mm), _from_to(second, first, spacing_mm)
    every = np.concatenate([there, back])
    # Distances are sums of squares: one that equals the tolerance may be above it by rounding.
    near = every <= tolerance_mm * (1 + 1e-9)
    hausdorff = max(float(np.percentile(one, 95)) for one in (there, back))
    return SurfaceDistances(hausdorff, float(every.mean()), float(near.mean()), tolerance_mm)


def normalised_dice(
    n_reference: int, n_predicted: int, n_common: int, n_voxels: int, load: float = USUAL_LOAD
) -> float:
    """Return the normalised Dice similarity coefficient (nDSC; Raina et al., ISBI 2023).

    False positives are weighted as if the scan had the usual share of lesion voxels, because the Dice of a map of
    random quality rises with the lesion load.

    Args:
        n_reference: Lesion voxels of the reference.
        n_predicted: Of the prediction.
        n_common: In both.
        n_voxels: All voxels that may be lesion. The value depends on it: compare on one region only.
        load: Usual share of lesion voxels.

    Returns:
        A value from 0 to 1; NaN where the reference is empty.

    Raises:
        CordlesionError: The counts do not fit each other, or the load is not between 0 and 1.

    Examples:
        >>> from cordlesion.metrics import normalised_dice
        >>> normalised_dice(n_reference=100, n_predicted=150, n_common=80, n_voxels=100_000)  # the usual load: the Dice
        0.64
    """
    largest = max(n_reference, n_predicted)
    if not (0 <= n_common <= min(n_reference, n_predicted) and largest <= n_voxels and 0 < load < 1):
        raise CordlesionError(
            f"{n_common} common of {n_reference} and {n_predicted} voxels, {n_voxels} in all, at a load of {load:g}, "
            "do not fit each other; counts of one scan and a load between 0 and 1 are needed."
        )
    if n_reference == 0 or n_reference == n_voxels:
        return math.nan
    weight = (1 - load) / load * n_reference / (n_voxels - n_reference)
    false_positives, false_negatives = n_predicted - n_common, n_reference - n_common
    return 2 * n_common / (2 * n_common + weight * false_positives + false_negatives)


def _surface(mask: Mask) -> Mask:
    inner: Mask = ndimage.binary_erosion(mask)
    return mask & ~inner


def _from_to(surface: Mask, other: Mask, spacing_mm: Sequence[float]) -> FloatArray:
    """Return the distance of each voxel of a surface to the other surface."""
    distances: FloatArray = ndimage.distance_transform_edt(~other, sampling=spacing_mm)[surface]
    return distances
