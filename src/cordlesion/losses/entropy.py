"""Losses that score each voxel on its own."""

from torch import Tensor
from torch.nn.functional import logsigmoid

from cordlesion.losses.precision import in_float32


@in_float32
def bce(logits: Tensor, lesion: Tensor) -> Tensor:
    """Binary cross-entropy, the mean over voxels of ``-y log p - (1 - y) log(1 - p)``.

    Args:
        logits: Network output before the sigmoid, shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.

    Returns:
        Scalar, 0 is best.
    """
    return weighted_cross_entropy(logits, lesion, lesion_weight=1.0, background_weight=1.0)


@in_float32
def focal(logits: Tensor, lesion: Tensor, *, lesion_weight: float, focus: float) -> Tensor:
    """Focal loss, the mean over voxels of ``-w (1 - p_t)^focus log p_t``, p_t being the probability of the true class.

    Args:
        logits: Network output before the sigmoid, shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.
        lesion_weight: The w of lesion voxels (alpha of the paper); background voxels have ``1 - lesion_weight``.
        focus: How much less voxels count that are already right (gamma of the paper); 0 gives the weighted
            cross-entropy.

    Returns:
        Scalar, 0 is best. The mean over voxels stands where the paper divides by the number of its detected objects.

    References:
        Lin et al., Focal loss for dense object detection, ICCV 2017.
    """
    return focal_cross_entropy(logits, lesion, lesion_weight=lesion_weight, lesion_focus=focus, background_focus=focus)


def cross_entropies(logits: Tensor, lesion: Tensor) -> Tensor:
    """Cross-entropy of each voxel."""
    # log(1 - p) = log sigmoid(-z): neither logarithm ever sees a probability that has rounded to 0.
    return -lesion * logsigmoid(logits) - (1 - lesion) * logsigmoid(-logits)


def weighted_cross_entropy(logits: Tensor, lesion: Tensor, *, lesion_weight: float, background_weight: float) -> Tensor:
    """Mean over voxels of the cross-entropy, with one weight per class."""
    return (_class_weights(lesion, lesion_weight, background_weight) * cross_entropies(logits, lesion)).mean()


def focal_cross_entropy(
    logits: Tensor, lesion: Tensor, *, lesion_weight: float, lesion_focus: float, background_focus: float
) -> Tensor:
    """Mean over voxels of the weighted cross-entropy times ``(1 - p_t)^focus``, with one focus per class."""
    focus = _class_weights(lesion, lesion_focus, background_focus)
    # (1 - p_t)^focus with its logarithm: a power below 1 has an infinite slope where 1 - p_t rounds to 0.
    hardness = (focus * logsigmoid((1 - 2 * lesion) * logits)).exp()
    weights = _class_weights(lesion, lesion_weight, 1 - lesion_weight)
    return (weights * hardness * cross_entropies(logits, lesion)).mean()


def _class_weights(lesion: Tensor, of_lesion: float, of_background: float) -> Tensor:
    return of_lesion * lesion + of_background * (1 - lesion)
