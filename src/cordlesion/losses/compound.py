"""Losses made of other losses."""

import torch
from torch import Tensor

from cordlesion.losses.entropy import weighted_cross_entropy
from cordlesion.losses.overlap import plain_dice
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
