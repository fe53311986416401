"""Lesion rules written a second time, with plain loops over sets of voxels and exact fractions."""

import itertools
import math
from fractions import Fraction


def components(mask, connectivity, min_volume_mm3, voxel_mm3):
    """Lists of voxel sets, in the order of their first voxels."""
    reach = {6: 1, 18: 2, 26: 3}[connectivity]
    steps = [step for step in itertools.product((-1, 0, 1), repeat=3) if 0 < sum(map(abs, step)) <= reach]
    left = {tuple(int(i) for i in voxel) for voxel in zip(*mask.nonzero(), strict=True)}
    found = []
    while left:
        stack, component = [left.pop()], set()
        component.update(stack)
        while stack:
            voxel = stack.pop()
            for step in steps:
                neighbour = tuple(i + d for i, d in zip(voxel, step, strict=True))
                if neighbour in left:
                    left.remove(neighbour)
                    component.add(neighbour)
                    stack.append(neighbour)
        if len(component) * voxel_mm3 > min_volume_mm3:
            found.append(component)
    return sorted(found, key=min)


def lesions_of(mask, rule, voxel_mm3):
    """The components of a mask; of signed whole numbers the voxels of each number."""
    if mask.dtype.kind != "i":
        return components(mask, rule.connectivity, rule.min_volume_mm3, voxel_mm3)
    found = {int(number): set() for number in sorted(set(mask.ravel().tolist()) - {0})}
    for voxel in zip(*mask.nonzero(), strict=True):
        found[int(mask[voxel])].add(tuple(int(i) for i in voxel))
    return [lesion for lesion in found.values() if len(lesion) * voxel_mm3 > rule.min_volume_mm3]


def counted_pairs(lesions, candidates, rule):
    """Numbers (lesion, candidate) of the pairs that count; the best pair of free partners first."""
    iou = {
        (i, j): Fraction(len(lesion & candidate), len(lesion | candidate))
        for i, lesion in enumerate(lesions)
        for j, candidate in enumerate(candidates)
        if lesion & candidate
    }
    left = [pair for pair in iou if iou[pair] >= Fraction(str(rule.min_iou))]
    if not rule.one_to_one:
        return left
    matching = []
    while left:
        best = min(left, key=lambda pair: (-iou[pair], pair))
        matching.append(best)
        left = [pair for pair in left if pair[0] != best[0] and pair[1] != best[1]]
    return matching


def detected(lesions, candidates, pairs, rule):
    """Whether each lesion is detected."""
    anywhere = set().union(*lesions)
    flags = []
    for i, lesion in enumerate(lesions):
        partners = [candidates[j] for first, j in sorted(pairs) if first == i]
        partners.sort(key=lambda candidate: (-len(lesion & candidate), -len(candidate)))
        overlap = sum(len(lesion & candidate) for candidate in partners)
        accepted = Fraction(overlap, len(lesion)) > Fraction(str(rule.min_overlap))
        accepted = accepted and overlap >= rule.min_overlap_voxels
        explained = 0
        for candidate in partners:
            if Fraction(explained, overlap) >= Fraction(str(rule.gamma)):
                break
            outside = Fraction(len(candidate - anywhere), len(candidate))
            accepted = accepted and outside <= Fraction(str(rule.max_outside))
            explained += len(lesion & candidate)
        flags.append(accepted)
    return flags


def match(reference, prediction, spacing_mm, rule):
    """Volumes of the reference's lesions, whether each is detected; the same of predicted ones."""
    voxel_mm3 = math.prod(spacing_mm)
    lesions, predicted = (lesions_of(one, rule, voxel_mm3) for one in (reference, prediction))
    pairs = counted_pairs(lesions, predicted, rule)
    return (
        [len(lesion) * voxel_mm3 for lesion in lesions],
        detected(lesions, predicted, pairs, rule),
        [len(component) * voxel_mm3 for component in predicted],
        detected(predicted, lesions, [(j, i) for i, j in pairs], rule),
    )


def evaluate(reference, prediction, spacing_mm, rule):
    """Metrics as a dictionary with the names of ScanMetrics."""
    lesions, found, predicted, true = match(reference, prediction, spacing_mm, rule)
    pairs = list(zip((reference > 0).ravel().tolist(), (prediction > 0).ravel().tolist(), strict=True))
    voxels = (sum(r for r, _ in pairs), sum(p for _, p in pairs), sum(r and p for r, p in pairs))
    voxel = scores(voxels[0], voxels[2], voxels[1], voxels[2]) if voxels[0] else (math.nan,) * 3
    lesion = scores(len(lesions), sum(found), len(predicted), sum(true)) if lesions else (math.nan,) * 3
    return {
        "voxel_sensitivity": voxel[0],
        "voxel_precision": voxel[1],
        "voxel_f1": voxel[2],
        "lesion_sensitivity": lesion[0],
        "lesion_precision": lesion[1],
        "lesion_f1": lesion[2],
        "n_reference_lesions": len(lesions),
        "n_detected_lesions": sum(found),
        "n_predicted_lesions": len(predicted),
        "n_true_predicted_lesions": sum(true),
        "reference_volume_mm3": voxels[0] * math.prod(spacing_mm),
        "predicted_volume_mm3": voxels[1] * math.prod(spacing_mm),
    }


def scores(n_reference, n_detected, n_predicted, n_true):
    sensitivity = n_detected / n_reference
    precision = n_true / n_predicted if n_predicted else 0.0
    f1 = 2 / (1 / sensitivity + 1 / precision) if sensitivity and precision else 0.0
    return sensitivity, precision, f1
