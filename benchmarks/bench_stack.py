"""One scan to its cord stack: ours samples the stack's points, the peers resample the whole volume first.

python benchmarks/bench_stack.py [rounds]
"""

import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from _timing import alternate, header, missing_peer, report, version
from scipy import ndimage

from cordlesion.config import PreprocessConfig
from cordlesion.preprocess.centerline import Centerline
from cordlesion.preprocess.cord_stack import StackGeometry, sample_stack, stack_geometry
from cordlesion.volume import Volume

SHAPE, SPACING_MM = (320, 256, 19), (0.6875, 0.6875, 7.5)
CONFIG = PreprocessConfig()
Image = npt.NDArray[np.float32]


def simulate() -> tuple[Volume, StackGeometry]:
    """Return a smooth random volume in LAS order and the place of a gently curved cord in it."""
    noise = np.random.default_rng(0).normal(size=SHAPE)
    image = (ndimage.gaussian_filter(noise, (3, 3, 0.5)) * 1000 + 500).astype(np.float32)
    z = np.arange(SHAPE[2], dtype=np.float64)
    centerline = Centerline(160 + 6 * np.sin(z / 6), 120 + 10 * np.cos(z / 8), z)
    scan = Volume(image, np.diag([-SPACING_MM[0], *SPACING_MM[1:], 1.0]))
    return scan, stack_geometry(scan, centerline, CONFIG)


def zoom_whole(image: Image) -> Image:
    """Resample the whole volume with scipy, on the grid that shares the volume's outer border."""
    factors = [spacing / CONFIG.spacing_mm for spacing in SPACING_MM]
    whole: Image = ndimage.zoom(image, factors, order=1, mode="nearest", grid_mode=True)
    return whole


def crop(whole: Image, geometry: StackGeometry) -> Image:
    """Cut the stack out of a resampled volume."""
    n, _ = geometry.crop_voxels
    starts = zip(geometry.start_x, geometry.start_y, strict=True)
    slices = [whole[x : x + n, y : y + n, geometry.first_slice + k] for k, (x, y) in enumerate(starts)]
    return np.stack(slices, axis=-1)


def torchio_whole(image: Image) -> Callable[[], object]:
    """Return TorchIO's resampling of the whole volume."""
    import torch
    import torchio

    resample = torchio.Resample(CONFIG.spacing_mm, image_interpolation="linear")
    subject = torchio.ScalarImage(tensor=torch.from_numpy(image[None]), affine=np.diag([*SPACING_MM, 1.0]))
    return lambda: resample(subject)


def simpleitk_whole(image: Image) -> Callable[[], object]:
    """Return SimpleITK's resampling of the whole volume."""
    import SimpleITK as sitk  # noqa: N813 - the name its users know

    volume = sitk.GetImageFromArray(image.transpose(2, 1, 0))
    volume.SetSpacing(SPACING_MM)
    size = [round(n * s / CONFIG.spacing_mm) for n, s in zip(SHAPE, SPACING_MM, strict=True)]
    spacing = [CONFIG.spacing_mm] * 3
    return lambda: sitk.Resample(
        volume, size, sitk.Transform(), sitk.sitkLinear, volume.GetOrigin(), spacing, volume.GetDirection()
    )


def monai_whole(image: Image) -> Callable[[], object]:
    """Return MONAI's resampling of the whole volume."""
    import torch
    from monai.data import MetaTensor
    from monai.transforms import Spacing

    volume = MetaTensor(torch.from_numpy(image[None]), affine=torch.from_numpy(np.diag([*SPACING_MM, 1.0])))
    spacing = Spacing(pixdim=[CONFIG.spacing_mm] * 3, mode="bilinear", padding_mode="border")
    return lambda: spacing(volume)


PEERS = {"torchio": torchio_whole, "SimpleITK": simpleitk_whole, "monai": monai_whole}


def main() -> None:
    """Time ours and every peer that is installed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    scan, geometry = simulate()
    image = np.ascontiguousarray(scan.data, np.float32)
    difference = np.abs(sample_stack(scan, geometry) - crop(zoom_whole(image), geometry)).max()
    if difference > 1e-3 * np.ptp(image):
        raise SystemExit(f"The stack differs from the resampled volume by {difference:g}: no point in timing it.")
    candidates: dict[str, Callable[[], object]] = {
        "cordlesion, the stack's points only": lambda: sample_stack(scan, geometry),
        "scipy zoom, whole volume, cropped": lambda: crop(zoom_whole(image), geometry),
    }
    for name, peer in PEERS.items():
        if version(name):
            candidates[f"{name}, whole volume"] = peer(image)
    print(header(["cordlesion", "numpy", "scipy", "torch", *PEERS]))
    print(f"{SHAPE} voxels of {SPACING_MM} mm to a stack of 48 x 48 x {geometry.n_slices}, median of {rounds} rounds")
    print(f"largest difference from the cropped whole volume: {difference:.2g} of a range of {np.ptp(image):.0f}")
    print(report(alternate(candidates, rounds), "cordlesion, the stack's points only"))
    for name in PEERS:
        if not version(name):
            print(missing_peer(name))


if __name__ == "__main__":
    main()
