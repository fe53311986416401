"""All lesions of one map at many thresholds: which reference lesions are detected, which predictions are true."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from cordlesion.explorer.pack import numbers
from cordlesion.io.arrays import Float32Array, Int32Array, IntArray, Mask
from cordlesion.metrics import LesionRule, ScanMetrics, binarize
from cordlesion.metrics.columns import METRIC_COLUMNS
from cordlesion.metrics.lesion import Components, every_component, find_overlaps
from cordlesion.metrics.overlap import Overlaps, detect
from cordlesion.metrics.scan import scan_metrics

Places = IntArray


@dataclass(frozen=True, eq=False)
class ReferenceLesions:
    """The connected components of the reference, of any size."""

    components: Components
    places: Places
    """For each, its voxel nearest to its centre of mass, shape (L, 3)."""
    counted: Mask
    """Whether the rule counts each as a lesion, shape (L,)."""


@dataclass(frozen=True, eq=False)
class PredictedLesions:
    """The predicted lesions of a map at one threshold."""

    sizes: IntArray
    """Number of voxels of each, shape (C,)."""
    places: Places
    """Voxel with the highest probability of each, shape (C, 3)."""
    peaks: Float32Array
    """That probability, shape (C,)."""
    true: Mask
    """Whether each is a true positive, shape (C,)."""


@dataclass(frozen=True, eq=False)
class ThresholdedMap:
    """The agreement of a map at one threshold with the reference."""

    metrics: ScanMetrics
    detected: Mask
    """Whether each component of the reference is detected, shape (L,); False if it does not count as a lesion."""
    predicted: PredictedLesions


@dataclass(frozen=True, eq=False)
class _Voxels:
    """The voxels above a threshold, sorted by decreasing probability; ties in C order."""

    index: Places
    """Shape (N, 3)."""
    processed: Float32Array
    probability: Float32Array
    lesions: Int32Array
    """Label of the reference component at each voxel (from 1), 0 outside."""

    @classmethod
    def of(
        cls,
        reference: ReferenceLesions,
        processed: Float32Array,
        probability: Float32Array,
        threshold: float,
    ) -> "_Voxels":
        """Return the voxels of a map above a threshold."""
        index = np.argwhere(binarize(processed, threshold))
        index = index[np.argsort(-probability[tuple(index.T)], kind="stable")]
        places = tuple(index.T)
        return cls(index, processed[places], probability[places], reference.components.labels[places])

    def reached(self, threshold: float) -> "_Voxels":
        """Return the voxels above a higher threshold."""
        inside = binarize(self.processed, threshold)
        return self if inside.all() else self.part(inside)

    def part(self, inside: Mask) -> "_Voxels":
        """Return some of the voxels."""
        return _Voxels(self.index[inside], self.processed[inside], self.probability[inside], self.lesions[inside])

    def components(self, connectivity: int) -> Components:
        """Return their connected components; labels have shape (N,)."""
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
        rule: Defines the connectivity and the smallest lesion.
        voxel_mm3: Volume of a voxel.
    """
    components = every_component(reference, rule.connectivity)
    index = np.argwhere(components.labels)
    labels = components.labels[tuple(index.T)]
    places = [_innermost(index[labels == number]) for number in range(1, len(components.sizes) + 1)]
    counted = components.sizes >= rule.min_voxels(voxel_mm3)
    return ReferenceLesions(components, np.array(places, np.int64).reshape(-1, 3), counted)


def evaluate_thresholds(
    reference: ReferenceLesions,
    processed: Float32Array,
    probability: Float32Array,
    thresholds: Sequence[float],
    rule: LesionRule,
    voxel_mm3: float,
) -> list[ThresholdedMap]:
    """Evaluate a map and all its lesions at each threshold; metrics equal :func:`cordlesion.metrics.sweep`.

    Args:
        reference: Reference lesions on the grid of the map.
        processed: The map after post-processing, which is binarized, shape (X, Y, Z).
        probability: The map before post-processing, for the peaks.
        thresholds: Increasing thresholds.
        rule: Definition of a lesion and of its detection.
        voxel_mm3: Volume of a voxel.
    """
    lowest = processed.min()
    above = [t for t in thresholds if np.float32(t) > lowest]
    evaluator = _Evaluator(reference, rule, voxel_mm3)
    results = [evaluator.evaluate_full(probability)] * (len(thresholds) - len(above))
    voxels = _Voxels.of(reference, processed, probability, above[0]) if above else None
    for threshold in above:
        assert voxels is not None
        before, voxels = voxels, voxels.reached(threshold)
        unchanged = voxels is before and threshold != above[0]  # the same voxels, and so the same lesions
        results.append(results[-1] if unchanged else evaluator.evaluate(voxels))
    return results


def evaluate_peaks(
    results: Sequence[ThresholdedMap],
    reference: ReferenceLesions,
    processed: Float32Array,
    probability: Float32Array,
    thresholds: Sequence[float],
    rule: LesionRule,
    voxel_mm3: float,
    peaks: Sequence[float],
) -> tuple[list[ThresholdedMap], IntArray]:
    """Evaluate the components of a map that reach a peak, at each threshold and peak: those of the rule ``peak``.

    Args:
        results: What :func:`evaluate_thresholds` returns, of which the next ones are the arguments.
        reference: Reference lesions.
        processed: The map after post-processing.
        probability: The map before post-processing.
        thresholds: Increasing thresholds.
        rule: Definition of a lesion and of its detection.
        voxel_mm3: Volume of a voxel.
        peaks: What the highest probability of a component must reach; 0 keeps all.

    Returns:
        The distinct results, first those of all components at each threshold; and the number of the result at each
        threshold and peak, shape (T, P).
    """
    distinct = list(results)
    evaluator, lowest, highest = _Evaluator(reference, rule, voxel_mm3), processed.min(), probability.max()
    voxels = _Voxels.of(reference, processed, probability, 0.0)
    rows = []
    for number, threshold in enumerate(thresholds):
        if np.float32(threshold) > lowest:
            voxels = voxels.reached(threshold)
            found = voxels.components(rule.connectivity)
            of_component = np.zeros(len(found.sizes), np.float32)
            of_component[found.labels[::-1] - 1] = voxels.probability[::-1]  # the last assignment wins: the highest
        else:  # every voxel is one component
            found, of_component = Components(np.ones_like(voxels.lesions), np.array([1])), np.array([highest])
        known = {len(of_component): number}
        for peak in peaks:
            kept = binarize(of_component, peak)
            if (n_kept := int(kept.sum())) not in known:
                known[n_kept] = len(distinct)
                distinct.append(evaluator.evaluate(voxels.part(kept[found.labels - 1])))
            rows.append(known[n_kept])
    return distinct, np.array(rows).reshape(len(thresholds), len(peaks))


@dataclass(frozen=True, eq=False)
class _Evaluator:
    """The reference and the rule for the evaluation of a map."""

    reference: ReferenceLesions
    rule: LesionRule
    voxel_mm3: float

    def evaluate_full(self, probability: Float32Array) -> ThresholdedMap:
        """Evaluate a threshold that all voxels reach: one lesion."""
        sizes = self.reference.components.sizes
        numbers = np.arange(len(sizes))
        overlaps = Overlaps(sizes, np.array([probability.size]), numbers, np.zeros_like(numbers), sizes)
        peak = np.unravel_index(probability.argmax(), probability.shape)
        return self._compare(overlaps, np.array([peak], np.int64), probability[peak][np.newaxis])

    def evaluate(self, voxels: _Voxels) -> ThresholdedMap:
        """Evaluate the threshold that these voxels reach."""
        found = voxels.components(self.rule.connectivity)
        overlaps = find_overlaps(Components(voxels.lesions, self.reference.components.sizes), found)
        peaks = np.zeros(len(found.sizes) + 1, np.int64)
        falling = np.arange(len(voxels.index))
        peaks[found.labels[::-1]] = falling[::-1]  # the last assignment wins: the highest
        return self._compare(overlaps, voxels.index[peaks[1:]], voxels.probability[peaks[1:]])

    def _compare(self, overlaps: Overlaps, places: Places, peaks: Float32Array) -> ThresholdedMap:
        min_voxels = self.rule.min_voxels(self.voxel_mm3)
        of_counted, true = detect(overlaps.without_small(min_voxels), self.rule)
        detected = np.zeros(len(self.reference.counted), bool)
        detected[self.reference.counted] = of_counted
        kept = overlaps.candidate_sizes >= min_voxels
        predicted = PredictedLesions(overlaps.candidate_sizes[kept], places[kept], peaks[kept], true)
        return ThresholdedMap(scan_metrics(overlaps, self.rule, self.voxel_mm3), detected, predicted)


def metric_columns(results: Sequence[ThresholdedMap]) -> dict[str, list[float | None]]:
    """Return each metric of all results."""
    rows = [asdict(result.metrics) for result in results]
    return {name: numbers(row[name] for row in rows) for name in METRIC_COLUMNS}


def detected_codes(results: Sequence[ThresholdedMap], n_lesions: int) -> list[str]:
    """Return a text for each reference lesion, with 1 for each result in which it is detected, else 0."""
    return ["".join("01"[int(result.detected[i])] for result in results) for i in range(n_lesions)]


def _innermost(index: Places) -> Places:
    """Return the voxel nearest to the centre of mass, which may be outside a curved lesion."""
    distance = ((index - index.mean(axis=0)) ** 2).sum(axis=1)
    nearest: Places = index[distance.argmin()]
    return nearest
