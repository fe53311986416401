"""Probability map of one cord stack, 75 % overlap: ours and MONAI's sliding windows, with the same weights.

python benchmarks/bench_prediction.py [rounds]
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from _apart import Apart
from _rows import Row, figures, run
from _targets import PROBABILITY_MAP, PROBABILITY_MAP_FLOOR
from _timing import alternate
from torch import Tensor

from cordlesion.config import NetworkConfig, PatchConfig, PreprocessConfig
from cordlesion.model.bundle import Bundle, ModelCard
from cordlesion.model.hardware import choose_hardware
from cordlesion.model.patch_prediction import standardize_patches
from cordlesion.model.unet3d import UNet3d
from cordlesion.patches.grid import extract_patch, patch_grid
from cordlesion.preprocess.cord_stack import StackGeometry
from cordlesion.preprocess.intensity import PERCENTILES, IntensityLandmarks

SHAPE, SIZE, OVERLAP, BATCH = (48, 48, 600), 48, 0.75, 8
Stack = npt.NDArray[np.float32]


def make_bundle() -> Bundle:
    """Return an untrained network of the size in the paper with simple intensity landmarks."""
    torch.manual_seed(0)
    card = ModelCard(
        network=NetworkConfig(),
        preprocess=PreprocessConfig(),
        patches=PatchConfig(size_voxels=SIZE, overlap_fraction=OVERLAP),
        landmarks=IntensityLandmarks(PERCENTILES, PERCENTILES),
    )
    return Bundle(card, UNet3d().eval().to(memory_format=torch.channels_last_3d))


def make_stack() -> tuple[Stack, StackGeometry]:
    """Return a random stack that is completely inside its image."""
    stack = np.random.default_rng(0).normal(500, 100, SHAPE).astype(np.float32)
    starts = np.full(SHAPE[2], 8)
    return stack, StackGeometry((64, 64, SHAPE[2]), (1.0, 1.0, 1.0), SHAPE[:2], 0, starts, starts)


def monai_prediction(device: torch.device) -> Callable[[], Stack]:
    """Return MONAI's sliding windows with default settings (float32, default memory format) over the same patches."""
    from monai.inferers import sliding_window_inference

    bundle, (stack, geometry) = make_bundle(), make_stack()
    network = bundle.network.to(device, memory_format=torch.contiguous_format)

    def probability(patches: Tensor) -> Tensor:
        deviation, mean = torch.std_mean(patches, dim=(1, 2, 3, 4), keepdim=True, correction=0)
        return torch.sigmoid(network((patches - mean) / deviation))

    def predict() -> Stack:
        standard = torch.from_numpy(bundle.card.landmarks.apply(stack, geometry.inside()))
        with torch.inference_mode():
            scan = standard[None, None].to(device)
            result = sliding_window_inference(scan, (SIZE,) * 3, BATCH, probability, overlap=OVERLAP)
        found: Stack = result[0, 0].cpu().numpy()
        return found

    return predict


def bare_network(bundle: Bundle, stack: Stack) -> Callable[[], object]:
    """Return the network on the same patches, which are already extracted and standardised; without stitching."""
    hardware, card = choose_hardware(), bundle.card
    grid = patch_grid(stack.shape, card.patches.shape(card.preprocess), OVERLAP)
    patches = np.stack([extract_patch(stack, start, grid.patch_shape) for start in grid])
    batches = standardize_patches(torch.from_numpy(patches)[:, None]).split(BATCH)
    network = bundle.predictor.to(hardware.device)

    def forward() -> None:
        with torch.inference_mode(), hardware.autocast():
            for batch in batches:
                network(hardware.place(batch)).cpu()

    return forward


def measure(rounds: int) -> list[Row]:
    """Time ours, MONAI's in a separate process, and the network alone, and compare the maps."""
    bundle, (stack, geometry), hardware = make_bundle(), make_stack(), choose_hardware()
    ours, peer, floor = f"cordlesion ({hardware.precision}, channels last)", "monai (float32)", "the network alone"
    difference = np.abs(bundle.predict_stack(stack, geometry) - monai_prediction(hardware.device)()).max()
    medians = alternate(
        {
            ours: lambda: bundle.predict_stack(stack, geometry),
            peer: Apart(monai_prediction, hardware.device),
            floor: bare_network(bundle, stack),
        },
        rounds,
    )
    note = f"{OVERLAP:.0%} overlap, {hardware.describe()}; largest difference of the two maps: {difference:.1e}."
    return [
        Row(PROBABILITY_MAP, *figures(medians, ours, [peer], floor), note=note),
        Row(PROBABILITY_MAP_FLOOR, *figures(medians, ours, (), floor), note="The same run as above."),
    ]


if __name__ == "__main__":
    run(measure, 5, __doc__)
