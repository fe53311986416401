"""Losses made of other losses."""

import torch
from torch import Tensor

from cordlesion.losses.entropy import bce, focal_cross_entropy, weighted_cross_entropy
from cordlesion.losses.overlap import SoftCounts, plain_dice, safe_power, soft_counts, tversky_loss
from cordlesion.losses.precision import in_float32


@in_float32
def log_cosh_dice(logits: Tensor, lesion: Tensor, *, smooth: float = 1.0, per_patch: bool = False) -> Tensor:
    """Log-cosh of the plain Dice loss, ``log cosh(1 - (2 TP + s) / (sum p + sum y + s))``.

    Args:
        logits: Network output before the sigmoid, shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.
        smooth: The s of the equation; keeps patches without lesion defined.
        per_patch: Average the losses of the patches.

    Returns:
        Scalar in [0, log cosh 1), 0 is best.

    References:
        Jadon, A survey of loss functions for semantic segmentation, CIBCB 2020.
    """
    loss = plain_dice(logits, lesion, smooth=smooth, per_patch=per_patch)
    # Equals log(cosh(x)), which float32 rounds to 0 for every x below 3e-4.
    return torch.log1p(2 * torch.sinh(loss / 2).square()).mean()


@in_float32
def combo(
    logits: Tensor,
    lesion: Tensor,
    *,
    ce_weight: float,
    lesion_weight: float,
    smooth: float = 1.0,
    per_patch: bool = False,
) -> Tensor:
    """Combo loss: ``ce_weight`` x weighted cross-entropy + ``(1 - ce_weight)`` x plain Dice loss.

    It differs from the published ``a CE - (1 - a) Dice`` by the constant 1 - a, so that 0 is best. (The released code
    has the sign of the cross-entropy reversed; this is the paper's equation.)

    Args:
        logits: Network output before the sigmoid, shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.
        ce_weight: Share of the cross-entropy (alpha of the paper).
        lesion_weight: Weight of lesion voxels in the cross-entropy (beta of the paper); background voxels have
            ``1 - lesion_weight``.
        smooth: Smoothing of the Dice term.
        per_patch: Average the Dice losses of the patches.

    Returns:
        Scalar, 0 is best.

    References:
        Taghanaki et al., Combo loss, Comput. Med. Imaging Graph. 2019.
    """
    entropy = weighted_cross_entropy(logits, lesion, lesion_weight=lesion_weight, background_weight=1 - lesion_weight)
    overlap = plain_dice(logits, lesion, smooth=smooth, per_patch=per_patch).mean()
    return ce_weight * entropy + (1 - ce_weight) * overlap


@in_float32
def dice_bce(
    logits: Tensor,
    lesion: Tensor,
    *,
    dice_weight: float,
    ce_weight: float,
    smooth: float = 1.0,
    per_patch: bool = False,
) -> Tensor:
    """Sum of the plain Dice loss and the binary cross-entropy.

    Args:
        logits: Network output before the sigmoid, shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.
        dice_weight: Factor of the Dice loss.
        ce_weight: Factor of the cross-entropy.
        smooth: Smoothing of the Dice term.
        per_patch: Average the Dice losses of the patches.

    Returns:
        Scalar, 0 is best.

    References:
        Isensee et al., nnU-Net, Nat. Methods 2021: both factors 1.
    """
    overlap = plain_dice(logits, lesion, smooth=smooth, per_patch=per_patch).mean()
    return dice_weight * overlap + ce_weight * bce(logits, lesion)


@in_float32
def unified_focal(
    logits: Tensor,
    lesion: Tensor,
    *,
    ce_weight: float,
    fn_weight: float,
    focus: float,
    asymmetric: bool = True,
    smooth: float = 1.0,
    per_patch: bool = False,
) -> Tensor:
    """Unified focal loss: ``ce_weight`` x focal cross-entropy + ``(1 - ce_weight)`` x focal Tversky of both classes.

    The cross-entropy of easy background voxels is damped, by ``p^focus``, and the Tversky loss of the lesion class is
    kept alive near its optimum, by the power ``1 - focus``; the asymmetric form, which the authors recommend, does
    neither to the other class. As in their code, the Tversky losses of lesion and background are averaged.

    Args:
        logits: Network output before the sigmoid, shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.
        ce_weight: Share of the cross-entropy (lambda of the paper).
        fn_weight: Weight of lesion voxels in the cross-entropy, and of the voxels that a class misses in its Tversky
            loss (delta of the paper); background voxels, and those that a class wrongly takes, have ``1 - fn_weight``.
        focus: Gamma of the paper, from 0 (neither damped nor kept alive) to below 1.
        asymmetric: False damps and keeps alive both classes (the paper's symmetric form).
        smooth: Smoothing of the Tversky losses.
        per_patch: Average the Tversky losses of the patches.

    Returns:
        Scalar, 0 is best.

    References:
        Yeung et al., Unified focal loss, Comput. Med. Imaging Graph. 2022.
    """
    entropy = focal_cross_entropy(
        logits, lesion, lesion_weight=fn_weight, lesion_focus=0.0 if asymmetric else focus, background_focus=focus
    )
    tp, fp, fn = soft_counts(logits, lesion, per_patch=per_patch)
    tn = soft_counts(-logits, 1 - lesion, per_patch=per_patch).tp
    of_lesion = tversky_loss(SoftCounts(tp, fp, fn), fn_weight, 1 - fn_weight, smooth)
    # What the background class misses is what was falsely marked as lesion.
    of_background = tversky_loss(SoftCounts(tn, fn, fp), fn_weight, 1 - fn_weight, smooth)
    overlap = safe_power(of_lesion, 1 - focus) + safe_power(of_background, 1.0 if asymmetric else 1 - focus)
    return ce_weight * entropy + (1 - ce_weight) * overlap.mean() / 2
