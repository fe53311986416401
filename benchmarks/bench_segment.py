"""One scan from the command line: the whole process of ``cordlesion segment``, and its share of importing torch.

The peer of this row is the Spinal Cord Toolbox's ``sct_deepseg_lesion``. It needs its own installation and model files,
so it is not started here; time it on the same machine with ``time sct_deepseg_lesion -i scan.nii.gz -c t2_ax``.

python benchmarks/bench_segment.py [rounds]
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from _rows import Figure, Row, run
from _targets import SEGMENT
from _timing import alternate

from cordlesion.config import NetworkConfig, PatchConfig, PreprocessConfig
from cordlesion.cord.centerline import read_centerline
from cordlesion.io.volume import Volume, read_scan, write_volume
from cordlesion.model.bundle import Bundle, ModelCard, load_own_bundle, save_bundle
from cordlesion.model.hardware import choose_hardware
from cordlesion.model.unet3d import UNet3d
from cordlesion.patches.grid import patch_grid
from cordlesion.preprocess.intensity import PERCENTILES, IntensityLandmarks
from cordlesion.preprocess.region import place_stack
from cordlesion.threshold import GlobalThreshold

SHAPE, SPACING_MM = (320, 256, 19), (0.6875, 0.6875, 7.5)
OURS, NO_PICTURES = "cordlesion segment (whole process)", "without pictures"
RUN, BATCH = "from cordlesion.cli.app import main; main()", 8
SCT = Figure("SCT, legacy pipeline, first run", 9.0, is_stated=True)
"""First run of the Spinal Cord Toolbox's legacy pipeline, on two cores, 2026-11."""


def write_inputs(folder: Path) -> None:
    """Write a noisy scan, a straight centerline and an untrained network of the size in the paper."""
    noise = np.random.default_rng(0).normal(500, 100, SHAPE).astype(np.float32)
    grid = Volume(noise, np.diag([*SPACING_MM, 1.0]))
    curve = np.zeros(SHAPE, np.uint8)
    curve[SHAPE[0] // 2, SHAPE[1] // 2] = 1
    write_volume(folder / "scan.nii.gz", noise, grid)
    write_volume(folder / "centerline.nii.gz", curve, grid)
    torch.manual_seed(0)
    card = ModelCard(
        network=NetworkConfig(),
        preprocess=PreprocessConfig(),
        patches=PatchConfig(),
        landmarks=IntensityLandmarks(PERCENTILES, PERCENTILES),
        threshold=GlobalThreshold(value=0.9, objective="median_voxel_f1", interval=(0.9, 0.9)),
    )
    save_bundle(folder / "bundle", Bundle(card, UNet3d()))


def process(code: str, *arguments: str) -> Callable[[], object]:
    """Return a function that runs Python code in a new process."""
    return lambda: subprocess.run([sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL)


def network_alone(folder: Path) -> Callable[[], object]:
    """Return the network alone on as many patches as the scan has."""
    bundle, hardware = load_own_bundle(folder / "bundle"), choose_hardware()
    scan = read_scan(folder / "scan.nii.gz")
    geometry = place_stack(scan, read_centerline(folder / "centerline.nii.gz", scan), bundle.card.preprocess)
    shape = bundle.card.patches.shape(bundle.card.preprocess)
    n_patches = len(list(patch_grid(geometry.shape, shape, bundle.card.patches.overlap_fraction)))
    batches = torch.randn(n_patches, 1, *shape).split(BATCH)

    def forward() -> None:
        with torch.inference_mode(), hardware.autocast():
            for batch in batches:
                bundle.predictor(hardware.place(batch))

    return forward


def measure(rounds: int) -> list[Row]:
    """Time the processes and the network alternately."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder)
        places = {part: str(folder / part) for part in ("scan.nii.gz", "centerline.nii.gz", "bundle", "out")}
        scan, centerline, bundle, output = places.values()
        arguments = ("segment", scan, "--model", bundle, "--centerline", centerline, "--output", output, "--quiet")
        torch_alone, network = "import torch", "the network alone, warm"
        medians = alternate(
            {
                OURS: process(RUN, *arguments),
                NO_PICTURES: process(RUN, *arguments, "--no-pictures"),
                torch_alone: process("import torch"),
                network: network_alone(folder),
                "cordlesion --version": process(RUN, "--version"),
            },
            rounds,
        )
    floor = Figure("importing torch and the network's time", medians[torch_alone] + medians[network])
    others = [name for name in medians if name != OURS]
    return [
        Row(
            SEGMENT,
            Figure(OURS, medians[OURS]),
            (SCT,),
            floor,
            tuple(Figure(other, medians[other]) for other in others),
            f"{SHAPE} voxels of {SPACING_MM} mm, every process cold (files cached).",
        )
    ]


if __name__ == "__main__":
    run(measure, 5, __doc__)
