"""Losses that compare volumes: Dice, generalized Dice, Tversky.

With probability p = sigmoid(logit) and reference y, all start from the same soft counts: TP = sum p y,
FP = sum p (1 - y), FN = sum (1 - p) y, over the whole batch or, with ``per_patch``, over each patch, whose losses are
then averaged. Late in training, averaging over patches lets those without lesion pull several times harder than those
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
            feels a faint haze of small probabilities.
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
    without lesion costs the mean of p. There is no smoothing: beside sums weighted by 1 / volume^2 even a small
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
        fp_weight: Penalty on false lesion voxels. Both 0.5 give the plain Dice loss of half the smoothing.
        smooth: The s of the equation; keeps patches without lesion defined.
        per_patch: Average the losses of the patches.

    Returns:
        Scalar in [0, 1), 0 is best.

    References:
        Salehi et al., MLMI 2017. Abraham & Khan, ISBI 2019.
    """
    return _tversky(soft_counts(logits, lesion, per_patch=per_patch), fn_weight, fp_weight, smooth).mean()


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
    loss = _tversky(soft_counts(logits, lesion, per_patch=per_patch), fn_weight, fp_weight, smooth)
    # x ** exponent, continued below the floor by a straight line to 0: the slope of the power is infinite there.
    return (loss * loss.clamp_min(_FOCAL_FLOOR) ** (exponent - 1)).mean()


def _tversky(counts: SoftCounts, fn_weight: float, fp_weight: float, smooth: float) -> Tensor:
    error = fn_weight * counts.fn + fp_weight * counts.fp
    return error / (counts.tp + error + smooth)


def _rows(voxels: Tensor, per_patch: bool) -> Tensor:
    """One row per patch, or one for the whole batch."""
    return voxels.reshape(len(voxels) if per_patch else 1, -1)
