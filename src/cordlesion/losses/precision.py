"""The one place where losses check their inputs and choose their precision."""

import functools
from collections.abc import Callable
from typing import TypeAlias, TypeVar, cast

import torch
from torch import Tensor

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
F = TypeVar("F", bound=Callable[..., Tensor])


def call_in_float32(function: Callable[..., Tensor], logits: Tensor, lesion: Tensor, **parameters: object) -> Tensor:
    """Compute a loss in float32 also under autocast (float64 logits stay float64).

    In half precision the sum over eight patches of 48 x 48 x 48 voxels overflows, and a bfloat16 sum loses 0.2 %.

    Raises:
        ValueError: The shapes differ (broadcasting would hide a missing channel axis) or have no room for a batch.
    """
    if logits.shape != lesion.shape or logits.ndim < 3:
        raise ValueError(
            f"logits have shape {tuple(logits.shape)} and the lesion mask {tuple(lesion.shape)}; "
            "both must be (batch, 1, *space)"
        )
    precision = torch.promote_types(logits.dtype, torch.float32)
    with torch.autocast(logits.device.type, enabled=False):
        return function(logits.to(precision), lesion.to(precision), **parameters)


def in_float32(function: F) -> F:
    """Decorate a loss so that it always goes through :func:`call_in_float32`.

    Examples:
        >>> import cordlesion
        >>> import torch
        >>> @cordlesion.in_float32
        ... def total(logits, lesion):
        ...     return (torch.sigmoid(logits) - lesion).abs().sum()
        >>> total(torch.zeros(1, 1, 2, 2, 2, dtype=torch.bfloat16), torch.ones(1, 1, 2, 2, 2)).dtype
        torch.float32
    """

    @functools.wraps(function)
    def loss(logits: Tensor, lesion: Tensor, **parameters: object) -> Tensor:
        return call_in_float32(function, logits, lesion, **parameters)

    return cast(F, loss)
