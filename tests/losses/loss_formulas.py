"""The published formulas, written independently of the losses: plain numpy and loops over voxels.

Each takes probabilities and reference of a batch, both of shape (B, 1, X, Y, Z).
"""

import itertools
import math

import numpy as np

from oracles.generalized_dice_oracle import generalized_dice


def bce(p, y):
    return np.mean([-np.log(pi) if yi else -np.log(1 - pi) for pi, yi in zip(p.ravel(), y.ravel(), strict=True)])


def focal(p, y, lesion_weight=0.25, focus=2.0):
    values = []
    for pi, yi in zip(p.ravel(), y.ravel(), strict=True):
        true, weight = (pi, lesion_weight) if yi else (1 - pi, 1 - lesion_weight)
        values.append(-weight * (1 - true) ** focus * np.log(true))
    return np.mean(values)


def dice(p, y, smooth=1.0):
    return 1 - (2 * np.sum(p * y) + smooth) / (np.sum(p**2) + np.sum(y**2) + smooth)


def plain_dice(p, y, smooth=1.0):
    return 1 - (2 * np.sum(p * y) + smooth) / (np.sum(p) + np.sum(y) + smooth)


def log_cosh_dice(p, y):
    return math.log(math.cosh(plain_dice(p, y)))


def combo(p, y, a=0.5, b=0.5):
    voxels = zip(p.ravel(), y.ravel(), strict=True)
    entropy = np.mean([-b * np.log(pi) if yi else -(1 - b) * np.log(1 - pi) for pi, yi in voxels])
    return a * entropy + (1 - a) * plain_dice(p, y)


def dice_bce(p, y, dice_weight=1.0, ce_weight=1.0):
    return dice_weight * plain_dice(p, y) + ce_weight * bce(p, y)


def tversky(p, y, fn_weight=0.7, fp_weight=0.3, smooth=1.0):
    tp, fn, fp = np.sum(p * y), np.sum((1 - p) * y), np.sum(p * (1 - y))
    return 1 - (tp + smooth) / (tp + fn_weight * fn + fp_weight * fp + smooth)


def focal_tversky(p, y, exponent=0.75):
    return tversky(p, y) ** exponent


def f_beta(p, y, beta=1.5, smooth=1.0):
    tp, fn, fp = np.sum(p * y), np.sum((1 - p) * y), np.sum(p * (1 - y))
    smooth = (1 + beta**2) * smooth
    return 1 - ((1 + beta**2) * tp + smooth) / ((1 + beta**2) * tp + beta**2 * fn + fp + smooth)


def unified_focal(p, y, weight=0.5, delta=0.6, gamma=0.5, asymmetric=True):
    """Yeung et al., with one row per class, background first, as in their code."""
    entropy, overlap = 0.0, []
    for is_lesion, (p_class, y_class) in enumerate([(1 - p, 1 - y), (p, y)]):
        damped = 0 if asymmetric and is_lesion else gamma
        alive = 0 if asymmetric and not is_lesion else gamma
        share = delta if is_lesion else 1 - delta
        entropy += np.mean(-share * (1 - p_class) ** damped * y_class * np.log(p_class))
        overlap.append(tversky(p_class, y_class, delta, 1 - delta) ** (1 - alive))
    return weight * entropy + (1 - weight) * np.mean(overlap)


def lovasz_hinge(p, y):
    """Choquet integral of the Jaccard loss, whose value is counted anew for every set of wrong voxels."""
    z, y = np.log(p / (1 - p)).ravel(), y.ravel() == 1
    margins = [max(0, 1 - zi if yi else 1 + zi) for zi, yi in zip(z, y, strict=True)]
    lesion = set(np.flatnonzero(y))
    wrong, value, before = set(), 0.0, 0.0
    for i in sorted(range(len(z)), key=lambda i: -margins[i]):
        wrong.add(i)
        jaccard = len(wrong) / len(wrong | lesion)
        value, before = value + margins[i] * (jaccard - before), jaccard
    return value


def components(mask):
    """Sets of voxels that touch by faces, edges or corners; the one with the first voxel first."""
    left = set(zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True))
    found = []
    while left:
        stack, component = [min(left)], {min(left)}
        left -= component
        while stack:
            here = stack.pop()
            near = {tuple(np.add(here, step).tolist()) for step in itertools.product((-1, 0, 1), repeat=mask.ndim)}
            stack.extend(near & left)
            component |= near & left
            left -= near
        found.append(component)
    return found


def nearest(voxel, lesions):
    squares = [min(sum((a - b) ** 2 for a, b in zip(voxel, own, strict=True)) for own in lesion) for lesion in lesions]
    return squares.index(min(squares))


def domain_losses(p, y, loss, belongs):
    """One list per patch with lesions, of one loss per lesion."""
    patches = []
    for p_patch, y_patch in zip(p[:, 0], y[:, 0], strict=True):
        lesions, values = components(y_patch), []
        for number in range(len(lesions)):
            inside = [v for v in np.ndindex(y_patch.shape) if belongs(v, number, lesions)]
            values.append(loss(np.array([p_patch[v] for v in inside]), np.array([y_patch[v] for v in inside])))
        if lesions:
            patches.append(values)
    return patches


def in_patch_without_others(voxel, number, lesions):
    return not any(voxel in lesion for i, lesion in enumerate(lesions) if i != number)


def in_voronoi_region(voxel, number, lesions):
    return nearest(voxel, lesions) == number


def blob_dice(p, y, global_weight=2.0, per_lesion_weight=1.0):
    each = list(itertools.chain(*domain_losses(p, y, plain_dice, in_patch_without_others)))
    return global_weight * plain_dice(p, y) + per_lesion_weight * (np.mean(each) if each else 0)


def cc_dice_ce(p, y, global_weight=1.0, per_lesion_weight=1.0):
    each = list(itertools.chain(*domain_losses(p, y, dice_bce, in_voronoi_region)))
    return global_weight * dice_bce(p, y) + per_lesion_weight * (np.mean(each) if each else 0)


FORMULAS = {
    "bce": bce,
    "dice": dice,
    "log_cosh_dice": log_cosh_dice,
    "generalized_dice": generalized_dice,
    "combo": combo,
    "tversky": tversky,
    "focal_tversky": focal_tversky,
    "sct_dice": plain_dice,
    "dice_bce": dice_bce,
    "focal": focal,
    "f_beta": f_beta,
    "unified_focal": unified_focal,
    "lovasz_hinge": lovasz_hinge,
    "blob_dice": blob_dice,
    "cc_dice_ce": cc_dice_ce,
}
