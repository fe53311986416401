"""What is done to a patch before a network sees it."""

import torch
from torch import Tensor

_OF_A_PATCH = (1, 2, 3, 4)


def standardize_patches(patches: Tensor) -> Tensor:
    """Bring each patch to zero mean and unit standard deviation; a constant patch becomes zeros.

    Args:
        patches: Intensities, shape (B, 1, X, Y, Z), float32.
    """
    # Not std_mean, whose one pass takes longer on a processor than these two.
    mean = patches.mean(dim=_OF_A_PATCH, keepdim=True)
    centered = patches - mean
    deviation = centered.square().mean(dim=_OF_A_PATCH, keepdim=True).sqrt()
    # A constant patch leaves rounding noise of the order of its value, which must not be blown up to unit variance.
    constant = deviation <= 1e-6 * mean.abs().clamp(min=1.0)
    return torch.where(constant, 0.0, centered / torch.where(constant, 1.0, deviation))
