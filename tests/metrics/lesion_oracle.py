"""Lesion rule written a second time, with plain loops over sets of voxels, to test the fast one against."""

import itertools
import math
from fractions import Fraction


def components(mask, connectivity, min_volume_mm3, voxel_mm3):
    """Lists of voxel sets, larger first."""
    reach = {6: 1, 18: 2, 26: 3}[connectivity]
    steps = [step for step in itertools.product((-1, 0, 1), repeat=3) if 0 < sum(map(abs, step)) <= reach]
    left = {tuple(int(i) for i in voxel) for voxel in zip(*mask.nonzero(), strict=True)}
    found = []
    while left:
        stack, component = [left.pop()], set()
        while stack:
            voxel = stack.pop()
            component.add(voxel)
            for step in steps:
                neighbour = tuple(i + d for i, d in zip(voxel, step, strict=True))
                if neighbour in left:
                    left.remove(neighbour)
                    stack.append(neighbour)
        if len(component) * voxel_mm3 > min_volume_mm3:
            found.append(component)
    return sorted(found, key=lambda component: (-len(component), min(component)))


def n_detected(lesions, candidates, min_overlap, max_outside, gamma):
    anywhere = set().union(*lesions)
    total = 0
    for lesion in lesions:
        touching = sorted((c for c in candidates if lesion & c), key=lambda c: (-len(lesion & c), -len(c), min(c)))
        overlap = sum(len(lesion & c) for c in touching)
        if not Fraction(overlap, len(lesion)) > Fraction(str(min_overlap)):
            continue
        explained, accepted = 0, True
        for candidate in touching:
            if Fraction(explained, overlap) >= Fraction(str(gamma)):
                break
            outside = Fraction(len(candidate - anywhere), len(candidate))
            accepted = accepted and outside <= Fraction(str(max_outside))
            explained += len(lesion & candidate)
        total += accepted
    return total


def evaluate(reference, prediction, spacing_mm, rule):
    """Metrics as a dictionary with the names of ScanMetrics."""
    voxel_mm3 = math.prod(spacing_mm)
    lesions = components(reference, rule.connectivity, rule.min_volume_mm3, voxel_mm3)
    predicted = components(prediction, rule.connectivity, rule.min_volume_mm3, voxel_mm3)
    detected = n_detected(lesions, predicted, rule.min_overlap, rule.max_outside, rule.gamma)
    true = n_detected(predicted, lesions, rule.min_overlap, rule.max_outside, rule.gamma)
    pairs = list(zip(reference.ravel().tolist(), prediction.ravel().tolist(), strict=True))
    voxels = (sum(r for r, _ in pairs), sum(p for _, p in pairs), sum(r and p for r, p in pairs))
    voxel = scores(voxels[0], voxels[2], voxels[1], voxels[2]) if voxels[0] else (math.nan,) * 3
    lesion = scores(len(lesions), detected, len(predicted), true) if lesions else (math.nan,) * 3
    return {
        "voxel_sensitivity": voxel[0],
        "voxel_precision": voxel[1],
        "voxel_f1": voxel[2],
        "lesion_sensitivity": lesion[0],
        "lesion_precision": lesion[1],
        "lesion_f1": lesion[2],
        "n_reference_lesions": len(lesions),
        "n_detected_lesions": detected,
        "n_predicted_lesions": len(predicted),
        "n_true_predicted_lesions": true,
        "reference_volume_mm3": voxels[0] * voxel_mm3,
        "predicted_volume_mm3": voxels[1] * voxel_mm3,
    }


def scores(n_reference, n_detected_, n_predicted, n_true):
    sensitivity = n_detected_ / n_reference
    precision = n_true / n_predicted if n_predicted else 0.0
    f1 = 2 / (1 / sensitivity + 1 / precision) if sensitivity and precision else 0.0
    return sensitivity, precision, f1
