"""One scan from the command line, cold: the whole process of ``cordlesion segment``, and what of it is importing torch.

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
from _timing import alternate, header, report

from cordlesion.config import NetworkConfig, PatchConfig, PreprocessConfig
from cordlesion.model.bundle import Bundle, GlobalThreshold, ModelCard, save_bundle
from cordlesion.model.unet3d import UNet3d
from cordlesion.preprocess.intensity import PERCENTILES, IntensityLandmarks
from cordlesion.volume import Volume, write_volume

SHAPE, SPACING_MM = (320, 256, 19), (0.6875, 0.6875, 7.5)
OURS = "cordlesion segment (whole process)"


def write_inputs(folder: Path) -> None:
    """Write a noisy scan, a straight centerline and an untrained network of the study's size."""
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
    """Return a function that runs Python code in a fresh process."""
    return lambda: subprocess.run([sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Time the processes in turn."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder)
        scan, centerline, bundle, output = (
            str(folder / part) for part in ("scan.nii.gz", "centerline.nii.gz", "bundle", "out")
        )
        run = "from cordlesion.cli import main; main()"
        arguments = ("segment", scan, "--model", bundle, "--centerline", centerline, "--output", output, "--quiet")
        medians = alternate(
            {
                OURS: process(run, *arguments),
                "import torch": process("import torch"),
                "cordlesion --version": process(run, "--version"),
            },
            rounds,
        )
    print(header(["cordlesion", "torch", "nibabel", "matplotlib"]))
    print(f"scan of {SHAPE} voxels of {SPACING_MM} mm, median of {rounds} rounds, every process cold (files cached)")
    print(report(medians, OURS))
    print("Spinal Cord Toolbox: not measured here, it needs an installation of its own (see the top of this file).")


if __name__ == "__main__":
    main()
