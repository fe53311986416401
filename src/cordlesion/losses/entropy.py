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


def weighted_cross_entropy(logits: Tensor, lesion: Tensor, *, lesion_weight: float, background_weight: float) -> Tensor:
    """Mean over voxels of the cross-entropy, with one weight per class."""
    # log(1 - p) = log sigmoid(-z): neither logarithm ever sees a probability that has rounded to 0.
    missed, false = -logsigmoid(logits), -logsigmoid(-logits)
    return (lesion_weight * lesion * missed + background_weight * (1 - lesion) * false).mean()
