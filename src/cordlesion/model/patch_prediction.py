"""Patches in, lesion probabilities out: standardisation, mirrored copies, batches on a device."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Float32Array
from cordlesion.model.hardware import Hardware

_BATCH = 8
_SPATIAL = (2, 3, 4)
_OF_A_PATCH = (1, 2, 3, 4)


def mirror_axes(mirror: bool) -> list[tuple[int, ...]]:
    """Return the axes along which copies of a batch (B, 1, X, Y, Z) are mirrored, the batch as it is first.

    Args:
        mirror: All eight combinations of the three axes, or only the batch as it is.
    """
    most = len(_SPATIAL) if mirror else 0
    return [axes for n in range(most + 1) for axes in itertools.combinations(_SPATIAL, n)]


AS_IT_IS = mirror_axes(False)


def standardize_patches(patches: Tensor) -> Tensor:
    """Scale each patch to zero mean and unit standard deviation; a constant patch becomes zeros.

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


def predict_patches(
    network: nn.Module,
    patches: Iterable[Float32Array],
    normalize: Callable[[Tensor], Tensor],
    hardware: Hardware,
    mirrored: Sequence[tuple[int, ...]] = AS_IT_IS,
) -> Iterator[Float32Array]:
    """Predict patches batch by batch, on the device from the normalisation to the probability.

    Args:
        network: Maps patches (B, 1, X, Y, Z) to logits of the same shape.
        patches: Each of shape (X, Y, Z).
        normalize: Applied to each batch.
        hardware: Where and how the network computes.
        mirrored: What :func:`mirror_axes` returned; probabilities are averaged over the copies.

    Yields:
        The probabilities of each patch, shape (X, Y, Z).
    """
    network.to(hardware.device)
    remaining = iter(patches)
    while chunk := list(itertools.islice(remaining, _BATCH)):
        batch = torch.from_numpy(np.stack(chunk))[:, None].to(hardware.device)
        yield from _mean_probability(network, normalize(batch), hardware, mirrored)[:, 0].cpu().numpy()


def _mean_probability(
    network: nn.Module, batch: Tensor, hardware: Hardware, mirrored: Sequence[tuple[int, ...]]
) -> Tensor:
    """Average over mirrored copies of a batch, each prediction mirrored back."""
    with torch.inference_mode(), hardware.autocast():
        logits = [network(hardware.place(batch.flip(axes))).flip(axes) for axes in mirrored]
        return torch.stack([torch.sigmoid(z.float()) for z in logits]).mean(dim=0)


def require_finite(probability: Float32Array, scan: Path | None) -> Float32Array:
    """Return a map that holds numbers only; one with NaN would pass for one without lesions.

    Raises:
        CordlesionError: It holds other values.
    """
    if not np.isfinite(probability).all():
        raise CordlesionError(
            f"{scan or 'the scan'}: the network gives values that are no numbers, so no map is written; weights "
            "and intensities that it can compute with are needed. Check the scan, or train the model again."
        )
    return probability
