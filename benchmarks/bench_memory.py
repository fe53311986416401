"""Peak memory of `cordlesion segment` on a large scan, 512 x 512 x 400 voxels, each step in a separate process.

Run: python benchmarks/bench_memory.py
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from _timing import header

SHAPE = (512, 512, 400)
SPACING_MM = (0.5, 0.5, 1.0)
MEBIBYTE = 1024


def write_scan(folder: Path) -> None:
    """Write a bright straight cord in noise, as 16-bit integers, with its centerline."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 60, SHAPE, dtype=np.int16)
    image[236:276, 236:276] += 200
    curve = np.zeros(SHAPE, np.uint8)
    curve[256, 256, 5:395] = 1
    affine = np.diag([-SPACING_MM[0], *SPACING_MM[1:], 1.0])
    for name, data in (("scan", image), ("curve", curve)):
        nib.save(nib.Nifti1Image(data, affine), folder / f"{name}.nii.gz")


def write_bundle(folder: Path) -> None:
    """Write an untrained network of the size in the paper; without overlap, because the time is not measured."""
    from cordlesion.config import NetworkConfig, PatchConfig, PreprocessConfig
    from cordlesion.model.bundle import Bundle, ModelCard, save_bundle
    from cordlesion.model.unet3d import UNet3d
    from cordlesion.preprocess.intensity import PERCENTILES, IntensityLandmarks

    card = ModelCard(
        network=NetworkConfig(),
        preprocess=PreprocessConfig(),
        patches=PatchConfig(overlap_fraction=0),
        landmarks=IntensityLandmarks(PERCENTILES, tuple(float(10 * n) for n in range(len(PERCENTILES)))),
    )
    save_bundle(folder, Bundle(card, UNet3d(card.network.filters)))


def step(name: str, folder: Path) -> None:
    if name == "import":
        import cordlesion.scan.segment  # noqa: F401
    elif name == "read":
        from cordlesion.io.volume import read_scan

        read_scan(folder / "scan.nii.gz")
    else:
        from cordlesion.scan.segment import segment_files

        curves = [folder / "curve.nii.gz"]
        segment_files([folder / "scan.nii.gz"], folder / "bundle", folder / "out", centerlines=curves, threshold=0.6)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // MEBIBYTE)


def main() -> None:
    print(header(["cordlesion", "torch", "numpy", "nibabel"]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scan(folder)
        write_bundle(folder / "bundle")
        for part in ("import", "read", "segment"):
            command = [sys.executable, __file__, part, name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            print(f"{part:<10}{int(done.stdout.split()[-1]):>6} MiB")


if __name__ == "__main__":
    step(sys.argv[1], Path(sys.argv[2])) if len(sys.argv) > 1 else main()
