"""Probability map of one cord stack, 75 % overlap: ours and MONAI's sliding windows, with the same weights.

python benchmarks/bench_prediction.py [rounds]
"""

import copy
import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from _timing import alternate, header, report
from torch import Tensor

from cordlesion.config import NetworkConfig, PatchConfig, PreprocessConfig
from cordlesion.model.bundle import Bundle, ModelCard
from cordlesion.model.hardware import choose_hardware
from cordlesion.model.unet3d import UNet3d
from cordlesion.prediction import predict_stack
from cordlesion.preprocess.cord_stack import StackGeometry
from cordlesion.preprocess.intensity import PERCENTILES, IntensityLandmarks

SHAPE, SIZE, OVERLAP, BATCH = (48, 48, 600), 48, 0.75, 8
Stack = npt.NDArray[np.float32]


def make_bundle() -> Bundle:
    """Return an untrained network of the study's size with plain intensity landmarks."""
    torch.manual_seed(0)
    card = ModelCard(
        network=NetworkConfig(),
        preprocess=PreprocessConfig(),
        patches=PatchConfig(size_voxels=SIZE, overlap_fraction=OVERLAP),
        landmarks=IntensityLandmarks(PERCENTILES, PERCENTILES),
    )
    return Bundle(card, UNet3d().eval().to(memory_format=torch.channels_last_3d))


def make_stack() -> tuple[Stack, StackGeometry]:
    """Return a random stack that lies wholly inside its image."""
    stack = np.random.default_rng(0).normal(500, 100, SHAPE).astype(np.float32)
    starts = np.full(SHAPE[2], 8)
    return stack, StackGeometry((64, 64, SHAPE[2]), (1.0, 1.0, 1.0), SHAPE[:2], 0, starts, starts)


def monai_prediction(bundle: Bundle, stack: Stack, geometry: StackGeometry) -> Callable[[], Stack]:
    """Return MONAI's sliding windows with its defaults (float32, plain memory format) over the same patches."""
    from monai.inferers import sliding_window_inference

    network = copy.deepcopy(bundle.network).to(memory_format=torch.contiguous_format)

    def probability(patches: Tensor) -> Tensor:
        deviation, mean = torch.std_mean(patches, dim=(1, 2, 3, 4), keepdim=True, correction=0)
        return torch.sigmoid(network((patches - mean) / deviation))

    def predict() -> Stack:
        standard = torch.from_numpy(bundle.card.landmarks.apply(stack, geometry.inside()))
        with torch.inference_mode():
            result = sliding_window_inference(standard[None, None], (SIZE,) * 3, BATCH, probability, overlap=OVERLAP)
        found: Stack = result[0, 0].numpy()
        return found

    return predict


def main() -> None:
    """Time both and compare their maps."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    bundle = make_bundle()
    stack, geometry = make_stack()
    hardware = choose_hardware()
    ours = f"cordlesion ({hardware.precision}, channels last)"
    monai = monai_prediction(bundle, stack, geometry)
    candidates: dict[str, Callable[[], Stack]] = {
        ours: lambda: predict_stack(bundle, stack, geometry),
        "monai sliding_window_inference (float32)": monai,
    }
    print(header(["cordlesion", "torch", "monai", "numpy"]))
    print(f"stack of {' x '.join(map(str, SHAPE))}, {OVERLAP:.0%} overlap, median of {rounds} rounds")
    print(hardware.describe())
    print(f"largest difference of the two maps: {np.abs(candidates[ours]() - monai()).max():.1e}")
    print(report(alternate(candidates, rounds), ours))


if __name__ == "__main__":
    main()
