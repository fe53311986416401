"""Trainings of seconds, without a study around them."""

import numpy as np
import torch

from cordlesion.config import LossConfig, NetworkConfig, PatchConfig, PreprocessConfig, RunConfig, TrainingConfig
from cordlesion.training import PackedStacks, TrainingStack, pack_stacks

PATCHES = PatchConfig(size_voxels=8, overlap_fraction=0.5)


def stacks(n: int, seed: int = 0) -> PackedStacks:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        lesion = np.zeros((8, 8, 20), bool)
        lesion[3:6, 3:6, 5:9] = True
        made.append(TrainingStack((rng.normal(size=lesion.shape) + 2 * lesion).astype(np.float32), lesion))
    return pack_stacks(made)


def run(**changes: object) -> RunConfig:
    values: dict[str, object] = {
        "loss": LossConfig(name="dice"),
        "seed": 0,
        "network": NetworkConfig(filters=(4, 8)),
        "preprocess": PreprocessConfig(crop_voxels=8),
        "patches": PATCHES,
        "training": TrainingConfig(epochs=4, batch_size=3, learning_rate=0.01),
    }
    return RunConfig.model_validate(values | changes)


def weights(network: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in network.state_dict().items()}
