"""Every lesion of one map at many thresholds: which of the reference are detected, which predicted ones are true."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cordlesion.metrics import LesionRule, ScanMetrics, binarize
from cordlesion.metrics.lesion import Components, every_component, find_overlaps
from cordlesion.metrics.overlap import Overlaps, detect
from cordlesion.metrics.scan import scan_metrics
from cordlesion.metrics.voxel import Mask

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
class _Voxels:
    """The voxels that a threshold reaches, by falling probability; of equal ones the first in C order first."""

    index: Places
    """Shape (N, 3)."""
    processed: npt.NDArray[np.float32]
    probability: npt.NDArray[np.float32]
    lesions: npt.NDArray[np.int32]
    """Number of the component of the reference (from 1) at each, 0 outside."""

    @classmethod
    def of(
        cls,
        reference: ReferenceLesions,
        processed: npt.NDArray[np.float32],
        probability: npt.NDArray[np.float32],
        threshold: float,
    ) -> "_Voxels":
        """Find the voxels of a map that a threshold reaches."""
        index = np.argwhere(binarize(processed, threshold))
        index = index[np.argsort(-probability[tuple(index.T)], kind="stable")]
        places = tuple(index.T)
        return cls(index, processed[places], probability[places], reference.components.labels[places])

    def reached(self, threshold: float) -> "_Voxels":
        """Return those of them that a higher threshold reaches."""
        inside = binarize(self.processed, threshold)
        if inside.all():
            return self
        return _Voxels(self.index[inside], self.processed[inside], self.probability[inside], self.lesions[inside])

    def components(self, connectivity: int) -> Components:
        """Find their connected components; labels have shape (N,)."""
        if not len(self.index):
            return Components(self.lesions, np.zeros(0, np.int64))
        low, high = self.index.min(axis=0), self.index.max(axis=0)
        places = tuple((self.index - low).T)
        mask = np.zeros(high - low + 1, bool)
        mask[places] = True
        found = every_component(mask, connectivity)
        return Components(found.labels[places], found.sizes)


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
    lowest = processed.min()
    above = [t for t in thresholds if np.float32(t) > lowest]
    judge = _Judge(reference, rule, voxel_mm3)
    cuts = [judge.whole(probability)] * (len(thresholds) - len(above))
    voxels = _Voxels.of(reference, processed, probability, above[0]) if above else None
    for threshold in above:
        assert voxels is not None
        before, voxels = voxels, voxels.reached(threshold)
        again = voxels is before and threshold != above[0]  # the same voxels, and so the same lesions
        cuts.append(cuts[-1] if again else judge.cut(voxels))
    return cuts


@dataclass(frozen=True, eq=False)
class _Judge:
    """What every cut of a map is compared with, and how."""

    reference: ReferenceLesions
    rule: LesionRule
    voxel_mm3: float

    def whole(self, probability: npt.NDArray[np.float32]) -> Cut:
        """Judge the cut that every voxel reaches: one lesion."""
        sizes = self.reference.components.sizes
        numbers = np.arange(len(sizes))
        overlaps = Overlaps(sizes, np.array([probability.size]), numbers, np.zeros_like(numbers), sizes)
        peak = np.unravel_index(probability.argmax(), probability.shape)
        return self._cut(overlaps, np.array([peak], np.int64), probability[peak][np.newaxis])

    def cut(self, voxels: _Voxels) -> Cut:
        """Judge the cut that these voxels reach."""
        found = voxels.components(self.rule.connectivity)
        overlaps = find_overlaps(Components(voxels.lesions, self.reference.components.sizes), found)
        peaks = np.zeros(len(found.sizes) + 1, np.int64)
        falling = np.arange(len(voxels.index))
        peaks[found.labels[::-1]] = falling[::-1]  # what is assigned last stays: the highest
        return self._cut(overlaps, voxels.index[peaks[1:]], voxels.probability[peaks[1:]])

    def _cut(self, overlaps: Overlaps, places: Places, peaks: npt.NDArray[np.float32]) -> Cut:
        min_voxels = self.rule.min_voxels(self.voxel_mm3)
        of_counted, true = detect(overlaps.without_small(min_voxels), self.rule)
        detected = np.zeros(len(self.reference.counted), bool)
        detected[self.reference.counted] = of_counted
        kept = overlaps.candidate_sizes >= min_voxels
        predicted = PredictedLesions(overlaps.candidate_sizes[kept], places[kept], peaks[kept], true)
        return Cut(scan_metrics(overlaps, self.rule, self.voxel_mm3), detected, predicted)


def _innermost(index: Places) -> Places:
    """Return the voxel that is nearest to the middle of all, so that a bent lesion is not missed."""
    distance = ((index - index.mean(axis=0)) ** 2).sum(axis=1)
    nearest: Places = index[distance.argmin()]
    return nearest
