"""Which lesions of a scan are marked in another scan of the same person, too, by their place in space."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from cordlesion.io.arrays import FloatArray, Mask
from cordlesion.metrics import LesionRule, label_components
from cordlesion.metrics.voxel import bounding_box

TOLERANCE_MM = 2.0
_INSIDE = 0.5
"""A lesion is in view of the other scan where more than this share of its voxels is."""


def count_found_again(
    masks: Sequence[Mask],
    affines: Sequence[FloatArray],
    spacings_mm: Sequence[Sequence[float]],
    rule: LesionRule,
    tolerance_mm: float = TOLERANCE_MM,
) -> tuple[int, int]:
    """Count lesions that are found in another scan, over all pairs of scans and in both directions.

    A lesion is found again where one of its voxels is at most a tolerance from a lesion voxel of the other scan. The
    scans have to share one space: registered to each other, or taken without a movement of the person.

    Args:
        masks: Of two or more scans of a person, shapes (X, Y, Z).
        affines: From voxel indices to mm in the space that they share, shape (4, 4) each.
        spacings_mm: Voxel sizes.
        rule: What a lesion is.
        tolerance_mm: Largest distance between centres of voxels.

    Returns:
        Lesions that are found again, and lesions in view of the other scan.
    """
    scans = list(zip(masks, affines, spacings_mm, strict=True))
    lesions = [_places(mask, affine, rule, spacing_mm) for mask, affine, spacing_mm in scans]
    found = seen = 0
    for first, of_first in enumerate(lesions):
        for second, other in enumerate(scans):
            if first != second:
                near, inside = _near(of_first, *other, tolerance_mm)
                found, seen = found + near, seen + inside
    return found, seen


def _places(mask: Mask, affine: FloatArray, rule: LesionRule, spacing_mm: Sequence[float]) -> list[FloatArray]:
    """Return the places of the voxels of each lesion in mm, shape (V, 3)."""
    labels = label_components(mask, rule, float(np.prod(spacing_mm))).labels
    box = bounding_box(mask)
    corner = np.array([part.start for part in box])
    inside = labels[box]
    voxels = np.argwhere(inside)
    numbers = inside[tuple(voxels.T)]
    order = np.argsort(numbers, kind="stable")
    mm = (voxels[order] + corner) @ affine[:3, :3].T + affine[:3, 3]
    return np.split(mm, np.flatnonzero(np.diff(numbers[order])) + 1) if len(mm) else []


def _near(
    lesions: Sequence[FloatArray], mask: Mask, affine: FloatArray, spacing_mm: Sequence[float], tolerance_mm: float
) -> tuple[int, int]:
    """Count which lesions are near a mask, and which are in its view."""
    inverse, shape = np.linalg.inv(affine), np.array(mask.shape)
    margin = [int(np.ceil(tolerance_mm / step)) + 1 for step in spacing_mm]
    grown = zip(bounding_box(mask), margin, strict=True)
    box = tuple(slice(max(part.start - pad, 0), part.stop + pad) for part, pad in grown)
    start = np.array([part.start for part in box])
    cropped = mask[box]
    distance = ndimage.distance_transform_edt(~cropped, sampling=spacing_mm) if cropped.any() else None
    found = seen = 0
    for lesion in lesions:
        index = np.rint(lesion @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
        if np.all((index >= 0) & (index < shape), axis=1).mean() <= _INSIDE:
            continue
        seen += 1
        if distance is not None:
            place = index - start
            held = place[np.all((place >= 0) & (place < distance.shape), axis=1)]
            found += bool(len(held) and (distance[tuple(held.T)] <= tolerance_mm * (1 + 1e-9)).any())
    return found, seen
