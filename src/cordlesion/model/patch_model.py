"""What prediction does with a patch, as one network for other programs, and the facts that they need to use it."""

import contextlib
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cordlesion import __version__
from cordlesion.errors import CordlesionError
from cordlesion.io.fingerprints import file_hash
from cordlesion.model.bundle import Bundle, ModelCard
from cordlesion.model.patch_prediction import mirror_axes, standardize_patches

RESEARCH_USE = "Research use only: this is no medical device and not for diagnosis or treatment."
LICENSE = (
    "Exported by cordlesion, which is licensed under Apache-2.0. The weights belong to those who trained them, and the "
    "scans they were trained on may restrict their use: ask them."
)
INPUT = (
    "patches: float32 (batch, 1, X, Y, Z), index order left-anterior-superior, cut from a T2-weighted scan at the "
    "model's spacing, after the percentiles of the whole stack were mapped to the landmarks. The patch's own mean and "
    "standard deviation are taken care of inside."
)
OUTPUT = (
    "probability: float32 (batch, 1, X, Y, Z), lesion probability in [0, 1]; a voxel is lesion when p >= threshold."
)


class PatchModel(nn.Module):
    """Patches on the scale of the landmarks in, lesion probabilities out; weights are the bundle's, copied."""

    def __init__(self, bundle: Bundle) -> None:
        """Take networks and mirroring from a bundle."""
        super().__init__()
        networks = nn.ModuleList(copy.deepcopy(bundle.networks)).cpu().float().eval()
        # Exported graphs keep the usual order of channels, whatever is fastest here.
        self.networks = networks.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.requires_grad_(False)
        self.mirrored = [list(axes) for axes in mirror_axes(bundle.card.prediction.mirror)]

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches (B, 1, X, Y, Z) to probabilities of the same shape."""
        standardized = standardize_patches(patches)
        copies = [
            torch.sigmoid(network(standardized.flip(axes))).flip(axes)
            for network in self.networks
            for axes in self.mirrored
        ]
        return torch.stack(copies).mean(dim=0)


@contextlib.contextmanager
def traceable(card: ModelCard, folder: Path) -> Iterator[None]:
    """Trace a network inside: of a network of the user, any failure is a sentence.

    Raises:
        CordlesionError: It cannot be traced.
    """
    try:
        yield
    except Exception as error:
        if not card.network.is_imported:
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise CordlesionError(
            f"{folder}: the network {card.network.name} cannot be exported ({reason}). Write its forward pass with "
            "operations of torch that do not depend on the values of tensors."
        ) from error


def patch_shape(card: ModelCard) -> tuple[int, int, int]:
    """Return the edges of the patches that a model was trained on."""
    x, y, z = card.patches.shape(card.preprocess)
    return x, y, z


def example_patches(card: ModelCard) -> Tensor:
    """Return two patches to trace a network with: two, so that the batch is not taken for a constant."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand((2, 1, *patch_shape(card)), generator=generator) * 100


def use_facts(card: ModelCard, folder: Path) -> dict[str, Any]:
    """Return the facts that another program needs to use an exported model: numbers and fixed sentences only.

    Args:
        card: The model's card.
        folder: The bundle it comes from.
    """
    return {
        "intended_use": RESEARCH_USE,
        "license": LICENSE,
        "input": INPUT,
        "output": OUTPUT,
        "threshold": card.threshold.fixed_threshold if card.threshold else None,
        "spacing_mm": card.preprocess.spacing_mm,
        "patch_shape": list(patch_shape(card)),
        "overlap_fraction": card.patches.overlap_fraction,
        "blending": card.prediction.blending,
        "percentiles": list(card.landmarks.percentiles),
        "landmarks": list(card.landmarks.values),
        "minimum_lesion_volume_mm3": card.postprocess.minimum_volume_mm3,
        "cord_margin_mm": card.postprocess.cord_margin_mm,
        "cordlesion_version": __version__,
        "weights_sha256": file_hash(folder / "model.safetensors"),
    }
