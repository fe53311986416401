"""A simulated human reader: finds most lesions, outlines them inexactly, and rarely marks a false one."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import expit

from cordlesion.io.arrays import Array, Mask
from cordlesion.simulate.settings import READER, ReaderSettings

Box = tuple[slice, slice, slice]
NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)
FALSE_PLACES = 80
"""Number of random spots; the brightest is marked as a false positive."""
HINT_SHARE = 0.3
"""Voxels with a smaller share of lesion do not belong to a visible lesion."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a reader can see of the lesions in a scan; arrays on the grid of the scan, axes right, front, up."""

    share: Array
    """Share of each voxel inside a true lesion."""
    excess: Array
    """Signal that lesions add to each voxel, relative to the cord."""
    cord: Mask
    image: Array
    """Signal, in units of healthy cord at the middle of the field of view."""
    noise: float
    """Noise SD relative to the signal of the cord."""
    spacing_mm: tuple[float, float, float]
    slice_axis: int

    @property
    def in_plane_mm(self) -> float:
        """Pixel size within a slice."""
        return min(self.spacing_mm)


@dataclass(frozen=True, eq=False)
class Candidate:
    """One lesion that is visible in the image."""

    box: Box
    inside: Mask
    """Its voxels inside the box."""
    chance: float
    """Probability that a reader marks it."""


def read_lesions(
    evidence: Evidence, rng: np.random.Generator, finds: bool | None = None, settings: ReaderSettings = READER
) -> Mask:
    """Return the mask of the reader.

    Args:
        evidence: What can be seen.
        rng: Random generator; another generator is another reader.
        finds: True: the scan has lesions (if none is marked, mark the largest). False: the scan is classified as
            lesion-free (mark nothing). None: no prior knowledge.
        settings: Accuracy of the reader.
    """
    mask = np.zeros(evidence.share.shape, dtype=bool)
    if finds is False:
        return mask
    bias_mm = rng.normal(0, settings.bias_sd_mm)
    threshold = float(np.clip(rng.normal(*settings.fill_threshold), 0.3, 0.7))
    candidates = _candidates(evidence, settings)
    for candidate in candidates:
        outline = _outline(evidence, candidate, threshold, bias_mm, rng, settings)
        if rng.random() < candidate.chance:
            mask[candidate.box] |= outline
    _merge_neighbours(mask, evidence, rng, settings)
    for _ in range(rng.poisson(settings.false_lesions)):
        mask |= _false_lesion(evidence, rng)
    mask = _remove_specks(mask & evidence.cord, evidence, settings)
    if finds and not mask.any() and candidates:
        largest = max(candidates, key=lambda candidate: _plain_outline(evidence, candidate).sum())
        mask[largest.box] |= _plain_outline(evidence, largest)
    return mask


def _candidates(evidence: Evidence, settings: ReaderSettings) -> list[Candidate]:
    labels, _ = ndimage.label(evidence.share > HINT_SHARE, NEIGHBOURS)
    candidates = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        grown = _grow(box, evidence, labels.shape)
        inside = labels[grown] == number
        candidates.append(Candidate(grown, inside, _chance(evidence, grown, inside, settings)))
    return candidates


def _grow(box: tuple[slice, ...], evidence: Evidence, shape: tuple[int, ...]) -> Box:
    """Add a margin of 2.5 mm for outlines that are larger than the true lesion."""
    pad = [int(np.ceil(2.5 / step)) for step in evidence.spacing_mm]
    first, second, third = (
        slice(max(b.start - p, 0), min(b.stop + p, n)) for b, p, n in zip(box, pad, shape, strict=True)
    )
    return first, second, third


def _chance(evidence: Evidence, box: Box, inside: Mask, settings: ReaderSettings) -> float:
    """Return the detection probability; it increases with the width and the CNR (after partial volume)."""
    contrast = float(np.percentile(evidence.excess[box][inside], 90))
    width_mm = (
        2 * evidence.in_plane_mm * max(float(_depth(part, 1.0).max()) for part in _slices(inside, evidence.slice_axis))
    )
    visible = expit(settings.cnr_slope * (contrast / evidence.noise - settings.half_detection_cnr))
    return float((1 - settings.lapse) * visible * -np.expm1(-((width_mm / settings.narrow_mm) ** 2)))


def _outline(
    evidence: Evidence,
    candidate: Candidate,
    threshold: float,
    bias_mm: float,
    rng: np.random.Generator,
    settings: ReaderSettings,
) -> Mask:
    """Return an outline that is drawn slice by slice and displaced by a smooth random offset."""
    inside = candidate.inside & (evidence.share[candidate.box] > threshold)
    if not inside.any():
        return inside
    distance = np.stack(
        [_signed_distance(part, evidence.in_plane_mm) for part in _slices(inside, evidence.slice_axis)],
        axis=evidence.slice_axis,
    )
    sigma = [settings.offset_scale_mm / 2 / step for step in evidence.spacing_mm]
    sigma[evidence.slice_axis] = 0.0  # each slice is outlined on its own
    noise = ndimage.gaussian_filter(rng.standard_normal(inside.shape), sigma, mode="wrap")
    expected_sd = np.prod([1 / np.sqrt(2 * np.sqrt(np.pi) * s) for s in sigma if s])
    outline: Mask = distance + bias_mm + settings.offset_sd_mm * noise / max(expected_sd, 1e-6) > 0
    return outline


def _plain_outline(evidence: Evidence, candidate: Candidate) -> Mask:
    """Return the voxels that are at least half lesion or, if there are none, those with the largest share."""
    share = np.where(candidate.inside, evidence.share[candidate.box], 0)
    outline: Mask = share >= min(0.5, share.max())
    return outline


def _remove_specks(mask: Mask, evidence: Evidence, settings: ReaderSettings) -> Mask:
    """Remove components that are too small to be outlined."""
    labels, _ = ndimage.label(mask)
    volumes = np.bincount(labels.ravel()) * np.prod(evidence.spacing_mm)
    volumes[0] = -1  # the background
    kept: Mask = (volumes >= settings.min_volume_mm3)[labels]
    return kept


def _slices(mask: Mask, axis: int) -> list[Mask]:
    return list(np.moveaxis(mask, axis, 0))


def _depth(mask: Mask, step: float) -> Array:
    """Return the distance to the border of the mask: half a voxel less than to the nearest voxel outside."""
    padded = np.pad(mask, 1)
    depth = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
    return np.maximum(depth - 0.5, 0) * step


def _signed_distance(mask: Mask, step_mm: float) -> Array:
    """Return the in-plane distance to the outline, positive inside; -99 in an empty slice."""
    if not mask.any():
        return np.full(mask.shape, -99.0)
    outside = np.maximum(ndimage.distance_transform_edt(~mask) - 0.5, 0) * step_mm
    return _depth(mask, step_mm) - outside


def _merge_neighbours(mask: Mask, evidence: Evidence, rng: np.random.Generator, settings: ReaderSettings) -> None:
    """Merge outlines that almost touch, in place, with a probability of one half."""
    labels, count = ndimage.label(mask, NEIGHBOURS)
    if count < 2:
        return
    reach = [max(round(settings.merge_gap_mm / 2 / step), 0) for step in evidence.spacing_mm]
    ball = np.ones([2 * n + 1 for n in reach], dtype=bool)
    boxes = ndimage.find_objects(labels)
    for first in range(1, count + 1):
        for second in range(first + 1, count + 1):
            box = _grow(_hull(boxes[first - 1], boxes[second - 1]), evidence, mask.shape)
            pair = (labels[box] == first) | (labels[box] == second)
            closed = ndimage.binary_closing(pair, ball)
            joined = ndimage.label(closed, NEIGHBOURS)[1] == 1
            if joined and rng.random() < settings.merge_share:
                mask[box] |= closed


def _hull(first: tuple[slice, ...], second: tuple[slice, ...]) -> tuple[slice, ...]:
    """Return the smallest box that contains two boxes."""
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))


def _false_lesion(evidence: Evidence, rng: np.random.Generator) -> Mask:
    """Return an ellipsoid around one of the brighter spots of the cord, not at its surface."""
    plane = np.ones([1 if axis == evidence.slice_axis else 3 for axis in range(3)], dtype=bool)
    voxels = np.argwhere(ndimage.binary_erosion(evidence.cord, plane))
    if len(voxels) == 0:
        return np.zeros_like(evidence.cord)
    places = voxels[rng.integers(len(voxels), size=FALSE_PLACES)]
    around = [evidence.image[tuple(slice(max(i - 1, 0), i + 2) for i in place)].mean() for place in places]
    half_mm = np.array([rng.uniform(1.4, 2.0), rng.uniform(0.8, 1.6), rng.uniform(2.0, 5.0)])
    grid = np.ogrid[tuple(slice(0, n) for n in evidence.cord.shape)]
    steps = zip(grid, places[int(np.argmax(around))], evidence.spacing_mm, half_mm, strict=True)
    radius = sum(((axis - centre) * step / half) ** 2 for axis, centre, step, half in steps)
    return (np.asarray(radius) < 1) & evidence.cord
