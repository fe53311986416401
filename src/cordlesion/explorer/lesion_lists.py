"""Every lesion of one map at many thresholds: which of the reference are detected, which predicted ones are true."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cordlesion.metrics import LesionRule, ScanMetrics, binarize
from cordlesion.metrics.lesion import Components, every_component, find_overlaps
from cordlesion.metrics.overlap import detect
from cordlesion.metrics.scan import scan_metrics
from cordlesion.metrics.voxel import Box, Mask, bounding_box

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ReferenceLesions:
    """The components of the reference, of every size."""

    components: Components
    places: Places
    """A voxel of each that is nearest to its middle, shape (L, 3)."""
    counted: Mask
    """Which of them the rule counts as lesions, shape (L,)."""


@dataclass(frozen=True, eq=False)
class PredictedLesions:
    """The lesions of a map that is cut at one threshold."""

    sizes: npt.NDArray[np.int64]
    """Voxels of each, shape (C,)."""
    places: Places
    """The voxel with the highest probability of each, shape (C, 3)."""
    peaks: npt.NDArray[np.float32]
    """That probability, shape (C,)."""
    true: Mask
    """Which of them the reference confirms, shape (C,)."""


@dataclass(frozen=True, eq=False)
class Cut:
    """A map cut at one threshold, and how that agrees with the reference."""

    metrics: ScanMetrics
    detected: Mask
    """Which components of the reference are detected, shape (L,); False for those that do not count."""
    predicted: PredictedLesions


@dataclass(frozen=True, eq=False)
class _Part:
    """A part of a scan; contiguous, which makes labelling fast."""

    lesions: Components
    processed: npt.NDArray[np.float32]
    probability: npt.NDArray[np.float32]
    corner: Places
    """Its first voxel."""
    falling: Places
    """Voxels (numbers in C order) that any threshold reaches, by falling probability; of equal ones the first first."""

    @classmethod
    def of(
        cls,
        reference: ReferenceLesions,
        processed: npt.NDArray[np.float32],
        probability: npt.NDArray[np.float32],
        box: Box,
        lowest: float | None,
    ) -> "_Part":
        lesions = Components(np.ascontiguousarray(reference.components.labels[box]), reference.components.sizes)
        cut, p = (np.ascontiguousarray(array[box]) for array in (processed, probability))
        # Where every voxel is lesion, in one component, its highest is enough.
        reached = np.ravel(p.argmax()) if lowest is None else np.flatnonzero(binarize(cut, lowest))
        falling = reached[np.argsort(-p.ravel()[reached], kind="stable")]
        return cls(lesions, cut, p, np.array([edge.start for edge in box]), falling)


def find_reference_lesions(reference: Mask, rule: LesionRule, voxel_mm3: float) -> ReferenceLesions:
    """Find the components of a reference.

    Args:
        reference: Shape (X, Y, Z).
        rule: Gives the connectivity and the smallest lesion.
        voxel_mm3: Volume of a voxel.
    """
    components = every_component(reference, rule.connectivity)
    index = np.argwhere(components.labels)
    labels = components.labels[tuple(index.T)]
    places = [_innermost(index[labels == number]) for number in range(1, len(components.sizes) + 1)]
    counted = components.sizes >= rule.min_voxels(voxel_mm3)
    return ReferenceLesions(components, np.array(places, np.int64).reshape(-1, 3), counted)


def cut_at_each(
    reference: ReferenceLesions,
    processed: npt.NDArray[np.float32],
    probability: npt.NDArray[np.float32],
    thresholds: Sequence[float],
    rule: LesionRule,
    voxel_mm3: float,
) -> list[Cut]:
    """Cut a map at each threshold and judge every lesion; the metrics are those of :func:`cordlesion.metrics.sweep`.

    Args:
        reference: On the map's grid.
        processed: The map after post-processing, which is cut, shape (X, Y, Z).
        probability: The map before, from which peaks are read.
        thresholds: Rising.
        rule: What a lesion is, and when it is detected.
        voxel_mm3: Volume of a voxel.
    """
    x, y, z = (slice(0, n) for n in processed.shape)
    above = [t for t in thresholds if np.float32(t) > processed.min()]
    lowest = above[0] if above else math.inf
    # Nothing lies outside this box at the lowest of them, nor at any that is higher.
    reached = bounding_box((reference.components.labels > 0) | binarize(processed, lowest))
    whole = _Part.of(reference, processed, probability, (x, y, z), None)
    part = _Part.of(reference, processed, probability, reached, lowest)
    return [_cut(part if t in above else whole, reference.counted, t, rule, voxel_mm3) for t in thresholds]


def _cut(part: _Part, counted: Mask, threshold: float, rule: LesionRule, voxel_mm3: float) -> Cut:
    found = every_component(binarize(part.processed, threshold), rule.connectivity)
    overlaps = find_overlaps(part.lesions, found)
    min_voxels = rule.min_voxels(voxel_mm3)
    of_counted, true = detect(overlaps.without_small(min_voxels), rule)
    detected = np.zeros(len(counted), bool)
    detected[counted] = of_counted
    kept = found.sizes >= min_voxels
    peaks = _peaks(found.labels, part.falling)[kept]
    places = np.stack(np.unravel_index(peaks, found.labels.shape), axis=1) + part.corner
    predicted = PredictedLesions(found.sizes[kept], places, part.probability.ravel()[peaks], true)
    return Cut(scan_metrics(overlaps, rule, voxel_mm3), detected, predicted)


def _peaks(labels: npt.NDArray[np.int32], falling: Places) -> Places:
    """Find the voxel with the highest probability in each component.

    Args:
        labels: Number of the component (from 1) at each voxel, 0 outside.
        falling: Numbers of voxels by falling probability, some of each component at least: its highest.
    """
    of_voxel = labels.ravel()[falling]
    peaks = np.zeros(labels.max(initial=0) + 1, np.int64)
    peaks[of_voxel[::-1]] = falling[::-1]  # what is assigned last stays
    return peaks[1:]


def _innermost(index: Places) -> Places:
    """Return the voxel that is nearest to the middle of all, so that a bent lesion is not missed."""
    distance = ((index - index.mean(axis=0)) ** 2).sum(axis=1)
    nearest: Places = index[distance.argmin()]
    return nearest
