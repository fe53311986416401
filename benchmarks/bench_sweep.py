"""Voxel- and lesion-wise metrics at 21 thresholds: ours, ours without optimisation, panoptica and Anima.

python benchmarks/bench_sweep.py [rounds]
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from _rows import Figure, Row, figures, run
from _targets import SWEEP, SWEEP_ANIMA
from _timing import alternate, version
from scipy import ndimage

from cordlesion.metrics import LesionRule, ScanMetrics, binarize, sweep
from cordlesion.metrics.lesion import Components, LesionCounts, count_detected, find_overlaps
from cordlesion.threshold import THRESHOLDS

Masks = npt.NDArray[np.bool_]
Maps = npt.NDArray[np.float32]

SHAPE, SPACING_MM, N_LESIONS = (48, 48, 600), (0.5, 0.5, 0.5), 10
RULE = LesionRule()
OURS, PANOPTICA = "cordlesion", "panoptica (DSC, IoU, 26-connected)"
# animaSegPerfAnalyzer -s -l of Anima-Public d9fb323d (ITK 5.2.1) on similar masks (ten lesions each), one process per
# threshold, including the writing of 21 masks; median of alternating rounds on two cores, 2026-11. Not measured here,
# because Anima is a C++ program that must be compiled.
ANIMA_SECONDS = 1.6


def simulate() -> tuple[Masks, Maps]:
    """Return ten ellipsoidal lesions along a cord stack and a blurred, shifted, noisy map of them."""
    rng = np.random.default_rng(0)
    grid = np.indices(SHAPE, dtype=np.float32)
    reference, p = np.zeros(SHAPE, dtype=bool), rng.random(SHAPE, dtype=np.float32) * 0.04
    for k in range(N_LESIONS):
        centre = np.array([*rng.uniform(16, 32, 2), 30 + 60 * k])
        radii = np.array([*rng.uniform(3, 5, 2), rng.uniform(6, 15)])
        reference |= _distance(grid, centre, radii) < 1
        d = _distance(grid, centre + rng.normal(0, 1, 3), 1.2 * radii)
        p = np.maximum(p, 1 / (1 + np.exp(np.minimum(6 * (d - 1), 80))))
    return reference, p.astype(np.float32)


def _distance(grid: Maps, centre: npt.NDArray[np.float64], radii: npt.NDArray[np.float64]) -> Maps:
    return sum(((grid[axis] - centre[axis]) / radii[axis]) ** 2 for axis in range(3))


def whole_volume(reference: Masks, p: Maps) -> list[tuple[LesionCounts, int, int]]:
    """Evaluate the same rule at each threshold on whole volumes; the reference is labelled each time."""
    results = []
    for t in THRESHOLDS:
        mask = binarize(p, t)
        (counts,) = count_detected([find_overlaps(_label(reference), _label(mask))], RULE)
        results.append((counts, int(mask.sum()), int((mask & reference).sum())))
    return results


def _lesion_counts(m: ScanMetrics) -> LesionCounts:
    return LesionCounts(m.n_reference_lesions, m.n_detected_lesions, m.n_predicted_lesions, m.n_true_predicted_lesions)


def _label(mask: Masks) -> Components:
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    kept = sizes >= RULE.min_voxels(SPACING_MM[0] ** 3)
    kept[0] = False
    return Components((kept.cumsum() * kept).astype(np.int32)[labels], sizes[kept])


def panoptica_sweep(reference: Masks, p: Maps) -> Callable[[], object]:
    """Return panoptica's evaluation at every threshold (its own rule: one-to-one matches of IoU 0.5)."""
    from panoptica import (
        ConnectedComponentsInstanceApproximator,
        InputType,
        NaiveThresholdMatching,
        Panoptica_Evaluator,
    )
    from panoptica.metrics import Metric

    evaluator = Panoptica_Evaluator(
        expected_input=InputType.SEMANTIC,
        instance_approximator=ConnectedComponentsInstanceApproximator(),
        instance_matcher=NaiveThresholdMatching(),
        instance_metrics=[Metric.DSC, Metric.IOU],
        global_metrics=[Metric.DSC],
    )
    target = reference.astype(np.uint8)
    return lambda: [evaluator.evaluate(binarize(p, t).astype(np.uint8), target, verbose=False) for t in THRESHOLDS]


def measure(rounds: int) -> list[Row]:
    """Time ours, the same rule without optimisation, and panoptica."""
    reference, p = simulate()
    ours = sweep(reference, p, SPACING_MM, THRESHOLDS, RULE)
    plain = [counts for counts, *_ in whole_volume(reference, p)]
    if plain != [_lesion_counts(m) for m in ours]:
        raise SystemExit("The shortcuts change the result: no point in timing them.")
    floor, same = "comparing the map with each threshold", "same rule, whole volumes, scipy"
    candidates: dict[str, Callable[[], object]] = {
        OURS: lambda: sweep(reference, p, SPACING_MM, THRESHOLDS, RULE),
        same: lambda: whole_volume(reference, p),
        floor: lambda: [binarize(p, t) for t in THRESHOLDS],
    }
    if version("panoptica"):
        candidates[PANOPTICA] = panoptica_sweep(reference, p)
    medians = alternate(candidates, rounds)
    shape = " × ".join(map(str, SHAPE))
    note = f"{shape} voxels, {ours[0].n_reference_lesions} lesions, {len(THRESHOLDS)} thresholds."
    anima = Figure("Anima animaSegPerfAnalyzer", ANIMA_SECONDS, is_stated=True)
    mine, peers, least = figures(medians, OURS, [PANOPTICA] if PANOPTICA in medians else [], floor)
    others = (Figure(same, medians[same]),)
    return [
        Row(SWEEP, mine, peers, least, others, note),
        Row(SWEEP_ANIMA, mine, (anima,), least, note="Anima's figure is from another run, as its source states."),
    ]


if __name__ == "__main__":
    run(measure, 7, __doc__)
