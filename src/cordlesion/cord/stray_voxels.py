"""What of a drawn cord is no cord: voxels beside it or beyond its ends, which would bend its whole curve.

A curve is read as one centre per slice and then smoothed, so a single voxel far away moves centres many slices away.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float64]

# Share of the cord's usual area in a slice below which a piece apart from it is no cord.
_LEAST_AREA = 0.2
# Lateral millimetres per millimetre along the cord: 50 degrees from the axis of the scan.
_STEEPEST = 1.2
# Across a gap of several steps of the curve it is the mean slope that counts, which is less.
_GAP_STEPS, _STEEPEST_ACROSS = 3, 0.5
# Beside that, hand-drawn centres jump by a voxel, and by some millimetres.
_JUMP_VOXELS, _JUMP_MM = 1.0, 2.5
# Of equally long parts the straighter one: millimetres aside, summed, weigh less than a point.
_BENDING = 1e-6
# Up to so many voxels per slice are a curve, of which a slice holds one piece.
_CURVE_AREA = 4
_WITHIN_SLICES = np.array([1, 1, 1])[:, None, None] * np.array([1, 1, 1])[:, None] * np.array([0, 1, 0])
# If more of the slices contradict the others, the curve is steep, not strayed from; few slices show neither.
_MOST_STRAY = 0.1


@dataclass(frozen=True, eq=False)
class Kept:
    """Which points of a curve belong to one cord."""

    points: npt.NDArray[np.bool_]
    """Shape (N,)."""
    is_steep: bool
    """Whether too many slices contradict the others: then none is left out."""


def without_specks(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Leave out connected pieces that fill far less of their slices than the cord does of its own.

    Pieces of whole slices stay, as where the cord is drawn in every fifth slice; of a curve, whose slices hold a voxel
    each, nothing is left out.

    Args:
        mask: A cord in LAS order, shape (X, Y, Z).
    """
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    if count < 2:
        return mask
    index = np.nonzero(labels)
    pieces, slices = labels[index], index[2]
    in_slice = np.unique(np.stack([pieces, slices]), axis=1)[0]
    areas = np.bincount(pieces, minlength=count + 1) / np.maximum(np.bincount(in_slice, minlength=count + 1), 1)
    usual = float(np.median(np.bincount(slices)[np.unique(slices)]))
    kept = areas >= _LEAST_AREA * usual
    kept[0] = False
    return np.asarray(kept[labels])


def centers(mask: npt.NDArray[np.bool_]) -> Floats:
    """Return the centre of mass of each slice that holds voxels; of a curve, that of each piece of a slice.

    Args:
        mask: A cord in LAS order, shape (X, Y, Z).

    Returns:
        Continuous voxel indices, z rising; shape (N, 3).
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


def on_one_cord(points: Floats, spacing_mm: tuple[float, float, float]) -> Kept:
    """Find the longest part of a curve of which no two neighbouring points are farther aside than a cord can run.

    Args:
        points: Continuous voxel indices x, y and z, with z rising; of several in one slice at most one is kept. Shape
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
        steepest = np.where(rise > gap_mm, _STEEPEST_ACROSS, _STEEPEST)
        fits = np.flatnonzero((rise > 0) & (aside <= jump + steepest * rise))
        if len(fits):
            through = length[fits] + 1 - _BENDING * aside[fits]
            length[k], before[k] = through.max(), fits[through.argmax()]
    kept = np.zeros(len(mm), bool)
    k = int(length.argmax())
    while k >= 0:
        kept[k] = True
        k = int(before[k])
    if len(heights) - kept.sum() > _MOST_STRAY * len(heights):
        first = np.unique(points[:, 2], return_index=True)[1]
        kept[:] = False
        kept[first] = True
        return Kept(kept, is_steep=True)
    return Kept(kept, is_steep=False)
