"""Removes stray voxels from a drawn cord: voxels next to it or beyond its ends, which would distort its curve.

A curve is read as one centre per slice and then smoothed, so one distant voxel moves the centres of many slices.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cordlesion.io.arrays import FloatArray, Mask

# A component is a speck if its area per slice is below this share of the median area of the cord.
_MIN_AREA_SHARE = 0.2
# Largest sideways displacement in mm per mm along the cord: 50 degrees from the axis of the scan.
_MAX_SLOPE = 1.2
# Across gaps of more than 3 steps of the curve, the mean slope counts, which is smaller.
_GAP_STEPS, _MAX_SLOPE_ACROSS_GAP = 3, 0.5
# In addition, centres drawn by hand jump by a voxel and by some millimetres.
_JUMP_VOXELS, _JUMP_MM = 1.0, 2.5
# Among parts of equal length the straighter one is preferred: cost per mm of displacement.
_BENDING = 1e-6
# A mask with up to this median number of voxels per slice is a curve.
_CURVE_AREA = 4
_WITHIN_SLICES = np.array([1, 1, 1])[:, None, None] * np.array([1, 1, 1])[:, None] * np.array([0, 1, 0])
# If a larger share of slices does not fit to the others, the curve is steep and these slices are not stray.
_MAX_STRAY_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class ContinuousPart:
    """The points of a curve that can belong to one continuous cord."""

    points: Mask
    """True for points that are kept, shape (N,)."""
    is_steep: bool
    """Whether too many slices do not fit to the others; then every slice keeps a point."""


def remove_specks(mask: Mask) -> Mask:
    """Remove connected components whose area per slice is far below that of the cord.

    Components of normal area stay: a cord may be drawn in every fifth slice only. From a curve, with one voxel per
    slice, nothing is removed.

    Args:
        mask: A cord mask in LAS order, shape (X, Y, Z).
    """
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    if count < 2:
        return mask
    index = np.nonzero(labels)
    pieces, slices = labels[index], index[2]
    in_slice = np.unique(np.stack([pieces, slices]), axis=1)[0]
    areas = np.bincount(pieces, minlength=count + 1) / np.maximum(np.bincount(in_slice, minlength=count + 1), 1)
    usual = float(np.median(np.bincount(slices)[np.unique(slices)]))
    kept = areas >= _MIN_AREA_SHARE * usual
    kept[0] = False
    return np.asarray(kept[labels])


def centers(mask: Mask) -> FloatArray:
    """Return the centre of mass of each slice with voxels; for a curve, of each connected component of a slice.

    Args:
        mask: A cord mask in LAS order, shape (X, Y, Z).

    Returns:
        Continuous voxel indices, sorted by z; shape (N, 3).
    """
    index = np.argwhere(mask)
    _, counts = np.unique(index[:, 2], return_counts=True)
    pieces: npt.NDArray[np.integer] = index[:, 2]
    if np.median(counts) <= _CURVE_AREA:
        labels, _ = ndimage.label(mask, structure=_WITHIN_SLICES)
        pieces = labels[tuple(index.T)]
    _, inverse, sizes = np.unique(pieces, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(inverse, weights=along) / sizes for along in index.T], axis=1)
    return np.asarray(means[np.argsort(means[:, 2], kind="stable")])


def select_continuous(points: FloatArray, spacing_mm: tuple[float, float, float]) -> ContinuousPart:
    """Select the longest sequence of points in which neighbours are not farther apart sideways than a cord allows.

    Args:
        points: Continuous voxel indices x, y and z, sorted by z; at most one point of each slice is selected. Shape
            (N, 3).
        spacing_mm: Voxel size along the three axes.
    """
    mm = points * np.asarray(spacing_mm)
    jump = _JUMP_MM + _JUMP_VOXELS * float(np.hypot(*spacing_mm[:2]))
    heights = np.unique(mm[:, 2])
    gap_mm = (_GAP_STEPS + 0.5) * float(np.median(np.diff(heights))) if len(heights) > 1 else 0.0
    length, before = np.ones(len(mm)), np.full(len(mm), -1)
    for k in range(1, len(mm)):
        aside, rise = np.hypot(*(mm[:k, :2] - mm[k, :2]).T), mm[k, 2] - mm[:k, 2]
        max_slope = np.where(rise > gap_mm, _MAX_SLOPE_ACROSS_GAP, _MAX_SLOPE)
        fits = np.flatnonzero((rise > 0) & (aside <= jump + max_slope * rise))
        if len(fits):
            through = length[fits] + 1 - _BENDING * aside[fits]
            length[k], before[k] = through.max(), fits[through.argmax()]
    kept = np.zeros(len(mm), bool)
    k = int(length.argmax())
    while k >= 0:
        kept[k] = True
        k = int(before[k])
    if len(heights) - kept.sum() > _MAX_STRAY_SHARE * len(heights):
        first = np.unique(points[:, 2], return_index=True)[1]
        kept[:] = False
        kept[first] = True
        return ContinuousPart(kept, is_steep=True)
    return ContinuousPart(kept, is_steep=False)
