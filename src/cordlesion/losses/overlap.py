"""Losses that compare volumes: Dice, generalized Dice, Tversky and F-beta, and the Lovasz hinge of the Jaccard index.

With probability p = sigmoid(logit) and reference y, all start from the same soft counts: TP = sum p y,
FP = sum p (1 - y), FN = sum (1 - p) y, over the whole batch or, with ``per_patch``, over each patch, whose losses are
then averaged. Late in training, with averages over patches, those without lesion pull several times harder than those
with one.

Every ``1 - overlap / total`` is written as ``error / total``: the same number, but without cancellation where p is
nearly perfect.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from cordlesion.losses.precision import in_float32

# Below this Tversky loss the focal power is a straight line.
_FOCAL_FLOOR = 1e-7


class SoftCounts(NamedTuple):
    """Soft numbers of voxels, one value for the batch (shape ``(1,)``) or one per patch (shape ``(B,)``)."""

    tp: Tensor
    """Lesion voxels found."""
    fp: Tensor
    """Background voxels marked."""
    fn: Tensor
    """Lesion voxels missed."""


def soft_counts(logits: Tensor, lesion: Tensor, *, per_patch: bool) -> SoftCounts:
    """Count voxels by probability instead of by decision.

    Args:
        logits: Shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.
        per_patch: Count in each patch instead of in the whole batch.
    """
    p = _rows(torch.sigmoid(logits), per_patch)
    # Not 1 - p, nor sum(y) - TP: both cancel for confident networks.
    q = _rows(torch.sigmoid(-logits), per_patch)
    y = _rows(lesion, per_patch)
    return SoftCounts((p * y).sum(1), (p * (1 - y)).sum(1), (q * y).sum(1))


@in_float32
def dice(
    logits: Tensor, lesion: Tensor, *, squared: bool = True, smooth: float = 1.0, per_patch: bool = False
) -> Tensor:
    """Dice loss, ``1 - (2 TP + s) / (sum p^2 + sum y^2 + s)``.

    Args:
        logits: Network output before the sigmoid, shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.
        squared: Squares in the denominator, as published; without them, the plain ``sum p + sum y``, which also
            reacts to a faint haze of small probabilities.
        smooth: The s of the equation; keeps patches without lesion defined.
        per_patch: Average the losses of the patches.

    Returns:
        Scalar in [0, 1), 0 is best.

    References:
        Milletari et al., V-Net, 3DV 2016 (squared). Gros et al., NeuroImage 2019, trained with the plain form.
    """
    if not squared:
        return plain_dice(logits, lesion, smooth=smooth, per_patch=per_patch).mean()
    p, q = _rows(torch.sigmoid(logits), per_patch), _rows(torch.sigmoid(-logits), per_patch)
    y = _rows(lesion, per_patch)
    error = (p.square() * (1 - y) + q.square() * y).sum(1)
    total = (p.square() + y.square()).sum(1) + smooth
    return (error / total).mean()


def plain_dice(logits: Tensor, lesion: Tensor, *, smooth: float, per_patch: bool) -> Tensor:
    """Return ``1 - (2 TP + s) / (sum p + sum y + s)`` of the batch (shape ``(1,)``) or of each patch (``(B,)``)."""
    tp, fp, fn = soft_counts(logits, lesion, per_patch=per_patch)
    return (fp + fn) / (2 * tp + fp + fn + smooth)


@in_float32
def generalized_dice(logits: Tensor, lesion: Tensor, *, per_patch: bool = False) -> Tensor:
    """Generalized Dice loss of the classes background and lesion, each weighted by 1 / (its reference volume)^2.

    A class that is absent from the reference takes the largest finite weight, here that of the other class; so a batch
    without lesion costs the mean of p. There is no smoothing: next to sums weighted by 1 / volume^2 even a small
    constant would drown the lesion.

    Args:
        logits: Network output before the sigmoid, shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.
        per_patch: Average the losses of the patches.

    Returns:
        Scalar in [0, 1], 0 is best.

    References:
        Sudre et al., Generalised Dice overlap, DLMIA 2017.
    """
    tp, fp, fn = soft_counts(logits, lesion, per_patch=per_patch)
    tn = soft_counts(-logits, 1 - lesion, per_patch=per_patch).tp
    share = _rows(lesion, per_patch).mean(1)
    absent = (share == 0) | (share == 1)
    # Weights multiplied by both squared volumes, which cancels in the quotient: they can neither overflow nor be 0 / 0.
    lesion_weight = torch.where(absent, 1.0, (1 - share).square())
    background_weight = torch.where(absent, 1.0, share.square())
    overlap = lesion_weight * tp + background_weight * tn
    error = (lesion_weight + background_weight) * (fp + fn)
    return (error / (2 * overlap + error)).mean()


@in_float32
def tversky(
    logits: Tensor,
    lesion: Tensor,
    *,
    fn_weight: float,
    fp_weight: float,
    smooth: float = 1.0,
    per_patch: bool = False,
) -> Tensor:
    """Tversky loss, ``1 - (TP + s) / (TP + fn_weight FN + fp_weight FP + s)``.

    Args:
        logits: Network output before the sigmoid, shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.
        fn_weight: Penalty on missed lesion voxels (alpha of Abraham & Khan, beta of Salehi et al.).
        fp_weight: Penalty on false positive voxels. Both 0.5 give the plain Dice loss of half the smoothing.
        smooth: The s of the equation; keeps patches without lesion defined.
        per_patch: Average the losses of the patches.

    Returns:
        Scalar in [0, 1), 0 is best.

    References:
        Salehi et al., MLMI 2017. Abraham & Khan, ISBI 2019.
    """
    return tversky_loss(soft_counts(logits, lesion, per_patch=per_patch), fn_weight, fp_weight, smooth).mean()


@in_float32
def focal_tversky(
    logits: Tensor,
    lesion: Tensor,
    *,
    fn_weight: float,
    fp_weight: float,
    exponent: float,
    smooth: float = 1.0,
    per_patch: bool = False,
) -> Tensor:
    """Focal Tversky loss, ``tversky ** exponent``; an exponent below 1 keeps the gradient up near the optimum.

    Args:
        logits: Network output before the sigmoid, shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.
        fn_weight: As in :func:`tversky`.
        fp_weight: As in :func:`tversky`.
        exponent: The published code's gamma, 0.75 (1 / gamma, with gamma = 4/3, in the paper's equation 4).
        smooth: As in :func:`tversky`.
        per_patch: Average the losses of the patches.

    Returns:
        Scalar in [0, 1), 0 is best.

    References:
        Abraham & Khan, A novel focal Tversky loss function, ISBI 2019.
    """
    loss = tversky_loss(soft_counts(logits, lesion, per_patch=per_patch), fn_weight, fp_weight, smooth)
    return safe_power(loss, exponent).mean()


@in_float32
def f_beta(logits: Tensor, lesion: Tensor, *, beta: float, smooth: float = 1.0, per_patch: bool = False) -> Tensor:
    """F-beta loss, 1 minus the soft F-beta score: the Tversky loss of weights b^2 / (1 + b^2) and 1 / (1 + b^2).

    It is another name of :func:`tversky`, for those who think in F-scores: 1 gives F1 (Dice), and the published 1.5 is,
    within 1 %, the Tversky loss of weights 0.7 and 0.3.

    Args:
        logits: Network output before the sigmoid, shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.
        beta: How many times more sensitivity counts than precision.
        smooth: As in :func:`tversky`.
        per_patch: Average the losses of the patches.

    Returns:
        Scalar in [0, 1), 0 is best.

    References:
        Hashemi et al., Asymmetric loss functions [...] application to multiple sclerosis lesion detection, IEEE
        Access 2019.
    """
    fn_weight = beta**2 / (1 + beta**2)
    counts = soft_counts(logits, lesion, per_patch=per_patch)
    return tversky_loss(counts, fn_weight, 1 - fn_weight, smooth).mean()


@in_float32
def lovasz_hinge(logits: Tensor, lesion: Tensor, *, per_patch: bool = False) -> Tensor:
    """Lovasz hinge: the convex extension of the Jaccard loss to the margins ``max(0, 1 - z)`` or ``max(0, 1 + z)``.

    With margins sorted from the worst, each is weighted by what its voxel adds to the Jaccard loss when it joins those
    before it. Without lesion the first voxel alone raises that loss to 1, so only the worst voxel of an empty batch
    counts. Nothing is smoothed, and a voxel beyond its margin (p above 0.73 or below 0.27) is left alone.

    Args:
        logits: Network output before the sigmoid, shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.
        per_patch: Average the losses of the patches, as the authors do.

    Returns:
        Scalar, 0 is best; unlike the other overlap losses it is not bounded.

    References:
        Berman et al., The Lovasz-Softmax loss, CVPR 2018. Yu & Blaschko, The Lovasz hinge, TPAMI 2018.
    """
    y = _rows(lesion, per_patch)
    margins, order = (1 - _rows(logits, per_patch) * (2 * y - 1)).sort(dim=1, descending=True)
    return (margins.relu() * _jaccard_steps(y.gather(1, order))).sum(1).mean()


def _jaccard_steps(lesion: Tensor) -> Tensor:
    """What each voxel of a row adds to the Jaccard loss when the voxels before it are wrong already."""
    # Whole numbers: a float32 count stops at 2^24.
    y = lesion.long()
    size = y.sum(1, keepdim=True)
    union = (size + (1 - y).cumsum(1)).to(lesion.dtype)
    intersection = (size - y.cumsum(1)).to(lesion.dtype)
    # Not the difference of neighbouring Jaccard losses, which cancels: a missed voxel takes 1 from the intersection,
    # a false one adds 1 to the union.
    steps = torch.where(y == 1, 1 / union, intersection / (union * (union - 1).clamp_min(1)))
    # Without lesion the first false voxel makes the whole loss.
    steps[:, :1] = torch.where(size == 0, 1.0, steps[:, :1])
    return steps


def safe_power(loss: Tensor, exponent: float) -> Tensor:
    """Raise to a power, continued below a floor by a straight line to 0: a root has an infinite slope there."""
    return loss * loss.clamp_min(_FOCAL_FLOOR) ** (exponent - 1)


def tversky_loss(counts: SoftCounts, fn_weight: float, fp_weight: float, smooth: float) -> Tensor:
    """Return the Tversky loss of each set of counts."""
    error = fn_weight * counts.fn + fp_weight * counts.fp
    return error / (counts.tp + error + smooth)


def _rows(voxels: Tensor, per_patch: bool) -> Tensor:
    """One row per patch, or one for the whole batch."""
    return voxels.reshape(len(voxels) if per_patch else 1, -1)
