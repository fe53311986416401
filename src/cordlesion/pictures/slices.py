"""Which slices of a scan to show, and how they are cut and oriented (no drawing here)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cordlesion.cord.centerline import Centerline
from cordlesion.io.arrays import Array, Float32Array, FloatArray, IndexArray, Mask
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume, require_same_grid

MAX_AXIAL_SLICES, FULL_ROWS = 9, (3, 4, 6, 9)
"""Largest number of axial slices, and the numbers that fill a sheet."""
UNSEEN_MM = 20.0
"""A longer stretch of cord with lesions gets a slice."""
SLICES_WITHOUT_LESIONS = 6
WIDE_ENOUGH = 0.75
"""A slice shows a lesion well if its area there is at least this share of its largest area."""
REFERENCE_SEEN = 0.5
"""A slice for comparing masks has at least this share of the largest area of the reference, if possible."""
AXIAL_WINDOW_MM = 40.0
"""Edge of an axial crop around the cord; twice this if the position of the cord is unknown."""
SAGITTAL_DEPTH_MM = (60.0, 120.0)
"""Smallest and largest anterior-posterior width of a sagittal picture."""


@dataclass(frozen=True, eq=False)
class Layers:
    """A scan and its masks in index order left-anterior-superior."""

    scan: Volume
    mask: Mask | None
    reference: Mask | None

    @property
    def lesions(self) -> Mask:
        """Voxels that are marked in the mask or the reference."""
        if self.mask is None or self.reference is None:
            one = self.reference if self.mask is None else self.mask
            return np.zeros(self.scan.data.shape, bool) if one is None else one
        return self.mask | self.reference


@dataclass(frozen=True, eq=False)
class Picture:
    """A slice ready to show: first row at the top, first column at the left."""

    image: Float32Array
    mask: Mask | None
    reference: Mask | None
    size_mm: tuple[float, float]
    """Width and height."""
    letters: tuple[str, str, str, str]
    """Directions at the left, right, bottom and top edge."""
    position_mm: float
    """Position of the centre of the slice along its normal, in scanner coordinates (RAS+)."""
    gray: tuple[float, float] | None = None
    """Intensities that are shown as black and white; by default percentiles of the picture."""


def layers(scan: Volume, mask: Volume | Mask | None, reference: Volume | Mask | None = None) -> Layers:
    """Return a scan and its masks, which share its grid, in index order left-anterior-superior.

    Raises:
        CordlesionError: A mask is not on the grid of the scan.
    """
    return Layers(to_las(scan), _las_mask(scan, mask), _las_mask(scan, reference))


def sagittal(stack: Layers, x: int, window: tuple[slice, slice]) -> Picture:
    """Return sagittal slice ``x`` within the index ranges ``window`` (along A, along S): anterior left, superior up."""
    return _picture(stack, lambda data: data[(x, *window)][::-1, ::-1].T, (1, 2), ("A", "P", "I", "S"), x)


def axial(stack: Layers, z: int, window: tuple[slice, slice]) -> Picture:
    """Return axial slice ``z`` within the index ranges ``window`` (along L, along A): patient right on the left."""
    return _picture(stack, lambda data: data[(*window, z)][:, ::-1].T, (0, 1), ("R", "L", "P", "A"), z)


def along_cord(stack: Layers, centerline: Centerline, window: tuple[slice, slice]) -> Picture:
    """Return a curved section: each axial slice is cut at the centre of the cord, with the ranges of :func:`sagittal`.

    The picture follows a cord that is oblique or bent sideways; beyond the ends of the curve it is straight.
    """
    along_a, along_s = window
    x, _ = centerline.at(np.arange(along_s.start, along_s.stop, dtype=np.float64))
    x = x.clip(0, stack.scan.data.shape[0] - 1)
    straight = sagittal(stack, round(float(np.median(x))), window)
    nearest, height = np.rint(x).astype(int), np.arange(along_s.start, along_s.stop)

    def cut(data: Array, index: Array) -> Array:
        return np.stack([data[i, along_a, k] for i, k in zip(index, height, strict=True)], axis=1)[::-1, ::-1].T

    below = np.floor(x).astype(int)
    share = (x - below)[::-1, None].astype(np.float32)
    next_x = np.minimum(below + 1, stack.scan.data.shape[0] - 1)
    image = cut(stack.scan.data, below) * (1 - share) + cut(stack.scan.data, next_x) * share
    mask, reference = (None if layer is None else cut(layer, nearest) for layer in (stack.mask, stack.reference))
    return replace(straight, image=image.astype(np.float32), mask=mask, reference=reference)


def shadow(stack: Layers, window: tuple[slice, slice]) -> Mask:
    """Return the projection of all lesions on a sagittal picture."""
    seen: Mask = np.any(stack.lesions, axis=0)[window][::-1, ::-1].T
    return seen


def sagittal_index(stack: Layers) -> int:
    """Return the sagittal slice with the most lesion voxels; if several are equal, the one nearest to the middle."""
    counts = stack.lesions.sum(axis=(1, 2))
    middle = len(counts) / 2 - 0.5
    candidates = np.flatnonzero(counts == counts.max())
    return int(candidates[np.abs(candidates - middle).argmin()])


def comparing_index(reference: Mask, masks: Sequence[Mask]) -> int:
    """Return the sagittal slice that best shows the agreement of all masks with the reference.

    Among the slices with at least :data:`REFERENCE_SEEN` of the largest area of the reference, it is the slice with the
    largest sum of the shares of reference and masks, so that false voxels are neither avoided nor preferred. A mask
    that is smaller than the reference has a smaller weight. If none of these slices contains a mask, slices with less
    reference are used.

    Args:
        reference: Reference in LAS order, with at least one voxel.
        masks: Masks on the same grid.
    """
    area = reference.sum(axis=(1, 2))
    layers = [layer.sum(axis=(1, 2)) for layer in masks]
    share = area / area.sum() + sum(layer / max(layer.sum(), area.sum()) for layer in layers)
    clear, held = area >= REFERENCE_SEEN * area.max(), area > 0
    masked = np.any(layers, axis=0)
    shown = next((some for some in (clear, held & masked) if (some & masked).any()), clear)
    return int(np.where(shown, share, -1.0).argmax())


def sagittal_window(stack: Layers, centerline: Centerline | None = None) -> tuple[slice, slice]:
    """Return the ranges of a sagittal picture: the full height, and the depth around the cord (or the lesions)."""
    _, n_depth, n_height = stack.scan.data.shape
    _, depth_mm, height_mm = stack.scan.spacing_mm
    width_mm = float(np.clip(n_height * height_mm / 2.2, *SAGITTAL_DEPTH_MM))
    center = _center(stack)[1] if centerline is None else float(np.median(centerline.y))
    return centered_range(center, width_mm / depth_mm, n_depth), slice(0, n_height)


def axial_indices(
    stack: Layers, lesions: Sequence[npt.NDArray[np.integer]], centerline: Centerline | None = None
) -> list[int]:
    """Return axial slices, superior first: where the largest lesions are widest, or evenly spaced without lesions.

    More slices than :func:`widest_indices` are added for long lesions, or if there are few lesions, until the slices
    fill a sheet.

    Args:
        stack: The scan.
        lesions: Indices of the voxels of each lesion, shape (V, 3).
        centerline: The cord's centre; its ends are those of the cord.
    """
    n_slices = stack.scan.data.shape[2]
    if not len(lesions):
        ends = (0, n_slices - 1) if centerline is None else (math.ceil(centerline.z[0]), math.floor(centerline.z[-1]))
        evenly = np.linspace(ends[0], ends[1], SLICES_WITHOUT_LESIONS + 2)[1:-1]
        return sorted({int(z) for z in evenly.round()}, reverse=True)
    chosen = widest_indices(n_slices, lesions, MAX_AXIAL_SLICES)
    held = np.zeros(n_slices, bool)
    held[np.concatenate(lesions)[:, 2]] = True
    return sorted(_filled(chosen, held, stack.scan.spacing_mm[2]), reverse=True)


def widest_indices(n_slices: int, lesions: Sequence[npt.NDArray[np.integer]], most: int) -> list[int]:
    """Return the axial slices in which lesions are widest, those of the largest first.

    A lesion gets no slice if a chosen one already shows it at almost its largest area, nor if ``most`` are chosen.
    """
    chosen: list[int] = []
    for lesion in sorted(lesions, key=len, reverse=True):
        area = np.bincount(lesion[:, 2], minlength=n_slices)
        widest = np.flatnonzero(area == area.max())
        if len(chosen) < most and area[chosen].max(initial=0) < WIDE_ENOUGH * area.max():
            chosen.append(int(widest[len(widest) // 2]))
    return chosen


def _filled(chosen: Sequence[int], held: Mask, slice_mm: float) -> list[int]:
    """Add the middle of the longest stretch of ``held`` without a chosen slice, repeatedly.

    If the lesions have too few slices for the smallest sheet, neighbouring slices are added.
    """
    filled = list(chosen)
    while len(filled) < MAX_AXIAL_SLICES:
        unseen = held.copy()
        unseen[filled] = False
        stretches = [stretch for (stretch,) in ndimage.find_objects(ndimage.label(unseen)[0])]
        if stretches:
            longest = max(stretches, key=lambda stretch: stretch.stop - stretch.start)
            if len(filled) in FULL_ROWS and (longest.stop - longest.start) * slice_mm <= UNSEEN_MM:
                break
            filled.append((longest.start + longest.stop) // 2)
        elif len(filled) >= min(FULL_ROWS[0], len(held)):
            break
        else:
            held = ndimage.binary_dilation(held)
    return filled


def around_lesions(stack: Layers, margin_mm: float) -> tuple[Layers, IndexArray]:
    """Crop the layers to the bounding box of all lesions plus a margin; also returns its first index per axis."""
    index = np.argwhere(stack.lesions)
    margin = np.rint(margin_mm / np.array(stack.scan.spacing_mm)).astype(int)
    start = (index.min(axis=0) - margin).clip(0)
    box = tuple(slice(low, high) for low, high in zip(start, index.max(axis=0) + margin + 1, strict=True))
    affine = stack.scan.affine.copy()
    affine[:3, 3] = (stack.scan.affine @ np.append(start, 1))[:3]
    mask, reference = (None if layer is None else layer[box] for layer in (stack.mask, stack.reference))
    return Layers(Volume(stack.scan.data[box], affine), mask, reference), start


def axial_window(
    stack: Layers,
    z: int,
    centerline: Centerline | None = None,
    least_mm: float = AXIAL_WINDOW_MM,
    edge_mm: float = AXIAL_WINDOW_MM,
) -> tuple[slice, slice]:
    """Return the ranges of the axial picture at ``z``: a square of ``edge_mm`` around the cord, or around the lesions.

    If the square around the cord does not contain all lesions of the slice, a square around the lesions is used, with
    an edge from ``least_mm`` up to twice ``edge_mm``. If they are farther apart, it shows the largest of them.
    """
    marked = stack.lesions[:, :, z]
    in_slice = np.argwhere(marked)
    if centerline is not None:
        around = _square(stack, np.ravel(centerline.at(np.array([float(z)]))), edge_mm)
        low, high = [side.start for side in around], [side.stop for side in around]
        if ((in_slice >= low) & (in_slice < high)).all():
            return around
    if not len(in_slice):
        return _square(stack, _center(stack)[:2], 2 * edge_mm)
    extent_mm = float((np.ptp(in_slice, axis=0) * stack.scan.spacing_mm[:2]).max())
    if extent_mm > 2 * edge_mm:
        labels, _ = ndimage.label(marked)
        in_slice = np.argwhere(labels == np.bincount(labels[marked]).argmax())
    center = (in_slice.min(axis=0) + in_slice.max(axis=0)) / 2
    return _square(stack, center, float(np.clip(1.2 * extent_mm, least_mm, 2 * edge_mm)))


def centered_range(center: float, n_wanted: float, n_voxels: int) -> slice:
    """Return about ``n_wanted`` indices around ``center``, shifted so that they stay inside the image."""
    n = min(max(round(n_wanted), 1), n_voxels)
    start = min(max(round(center - (n - 1) / 2), 0), n_voxels - n)
    return slice(start, start + n)


def _square(stack: Layers, center: Array, edge_mm: float) -> tuple[slice, slice]:
    spacing_mm, shape = stack.scan.spacing_mm, stack.scan.data.shape
    along_l, along_a = (centered_range(float(center[axis]), edge_mm / spacing_mm[axis], shape[axis]) for axis in (0, 1))
    return along_l, along_a


def _las_mask(scan: Volume, mask: Volume | Mask | None) -> Mask | None:
    if mask is None:
        return None
    volume = mask if isinstance(mask, Volume) else Volume(mask, scan.affine)
    require_same_grid(volume, scan)
    return to_las(volume).data.astype(bool, copy=False)


def _picture(
    stack: Layers, cut: Callable[[Array], Array], axes: tuple[int, int], letters: tuple[str, str, str, str], index: int
) -> Picture:
    image = cut(stack.scan.data).astype(np.float32)
    mask, reference = (None if layer is None else cut(layer) for layer in (stack.mask, stack.reference))
    height, width = image.shape
    size_mm = (width * stack.scan.spacing_mm[axes[0]], height * stack.scan.spacing_mm[axes[1]])
    (normal,) = {0, 1, 2} - set(axes)
    middle = (np.array(stack.scan.data.shape) - 1) / 2
    middle[normal] = index
    position_mm = float((stack.scan.affine @ np.append(middle, 1.0))[normal])
    return Picture(image, mask, reference, size_mm, letters, position_mm)


def _center(stack: Layers) -> FloatArray:
    """Return the middle of the bounding box of the lesions, or of the image without lesions."""
    index = np.argwhere(stack.lesions)
    corners = (
        (index.min(axis=0), index.max(axis=0)) if len(index) else (np.zeros(3), np.array(stack.scan.data.shape) - 1)
    )
    return np.asarray((corners[0] + corners[1]) / 2, dtype=np.float64)
