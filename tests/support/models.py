"""Small untrained models."""

import torch

from cordlesion.config import NetworkConfig, PatchConfig, PreprocessConfig
from cordlesion.model.bundle import Bundle, ModelCard
from cordlesion.model.unet3d import UNet3d
from cordlesion.preprocess.intensity import PERCENTILES, IntensityLandmarks
from cordlesion.threshold import GlobalThreshold

THRESHOLD = GlobalThreshold(value=0.35, objective="median_voxel_f1", interval=(0.2, 0.5))


def untrained_bundle(
    filters: tuple[int, ...] = (2, 4),
    edge_voxels: int = 16,
    overlap_fraction: float = 0.5,
    threshold: GlobalThreshold | None = THRESHOLD,
) -> Bundle:
    """A bundle whose network has random weights and running statistics."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNet3d(filters)
        network(torch.randn(4, 1, 8, 8, 8))
        # Spread the logits, so that probabilities differ from voxel to voxel.
        torch.nn.init.normal_(network.last.weight, std=3.0)
    card = ModelCard(
        network=NetworkConfig(filters=filters),
        preprocess=PreprocessConfig(crop_voxels=edge_voxels),
        patches=PatchConfig(size_voxels=edge_voxels, overlap_fraction=overlap_fraction),
        landmarks=IntensityLandmarks(PERCENTILES, (0.0, 12.0, 21.0, 28.0, 34.0, 41.0, 49.0, 60.0, 72.0, 85.0, 100.0)),
        threshold=threshold,
        provenance={"loss": {"name": "tversky", "parameters": {"fn_weight": 0.7}}, "seed": 3},
    )
    return Bundle(card, network.eval())
