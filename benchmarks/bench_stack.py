"""From a scan to its cord stack: ours samples the points of the stack, the peers resample the whole volume first.

python benchmarks/bench_stack.py [rounds]
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from _memory import in_own_process, peak_growth_mib
from _rows import Figure, Row, figures, run
from _targets import STACK, STACK_MEMORY
from _timing import alternate, version
from scipy import ndimage

from cordlesion.config import PreprocessConfig
from cordlesion.cord.centerline import Centerline
from cordlesion.io.volume import Volume
from cordlesion.preprocess.cord_stack import StackGeometry, sample_stack, stack_geometry

SHAPE, SPACING_MM = (320, 256, 19), (0.6875, 0.6875, 7.5)
CONFIG = PreprocessConfig()
Image = npt.NDArray[np.float32]


def simulate() -> tuple[Volume, StackGeometry]:
    """Return a smooth random volume in LAS order and the geometry of a slightly curved cord in it."""
    noise = np.random.default_rng(0).normal(size=SHAPE)
    image = (ndimage.gaussian_filter(noise, (3, 3, 0.5)) * 1000 + 500).astype(np.float32)
    z = np.arange(SHAPE[2], dtype=np.float64)
    centerline = Centerline(160 + 6 * np.sin(z / 6), 120 + 10 * np.cos(z / 8), z)
    scan = Volume(image, np.diag([-SPACING_MM[0], *SPACING_MM[1:], 1.0]))
    return scan, stack_geometry(scan, centerline, CONFIG)


def zoom_whole(image: Image) -> Image:
    """Resample the whole volume with scipy to the grid with the same outer border."""
    factors = [spacing / CONFIG.spacing_mm for spacing in SPACING_MM]
    whole: Image = ndimage.zoom(image, factors, order=1, mode="nearest", grid_mode=True)
    return whole


def crop(whole: Image, geometry: StackGeometry) -> Image:
    """Crop the stack from a resampled volume."""
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


def scipy_whole(image: Image) -> Callable[[], object]:
    """Return scipy's resampling of the whole volume."""
    return lambda: zoom_whole(image)


PEERS = {"torchio": torchio_whole, "SimpleITK": simpleitk_whole, "monai": monai_whole, "scipy": scipy_whole}
OURS = "cordlesion, the stack's points only"


def points_alone(scan: Volume, geometry: StackGeometry) -> Callable[[], object]:
    """Return one linear interpolation of a float32 image at given points."""
    x, y = geometry._isotropic_xy()
    starts = (x[:, None], y[None], geometry.first_slice + np.arange(geometry.n_slices))
    native = [(np.asarray(at, np.float64) + 0.5) * step - 0.5 for at, step in zip(starts, geometry.step, strict=True)]
    points = np.stack([np.broadcast_to(at, geometry.shape) for at in native])
    image = np.ascontiguousarray(scan.data, np.float32)
    return lambda: ndimage.map_coordinates(image, points, order=1, mode="nearest", output=np.float32)


def candidate(name: str) -> Callable[[], object]:
    """Return ours or a peer, ready to run."""
    scan, geometry = simulate()
    if name == OURS:
        return lambda: sample_stack(scan, geometry)
    return PEERS[name](np.ascontiguousarray(scan.data, np.float32))


def peak(name: str) -> float:
    """Return the peak memory, MiB, of a candidate that has run before."""
    work = candidate(name)
    work()
    return peak_growth_mib(work)


def check() -> float:
    """Return the largest difference of ours from the cropped whole volume.

    Raises:
        SystemExit: They are not the same stack.
    """
    scan, geometry = simulate()
    image = np.ascontiguousarray(scan.data, np.float32)
    difference = float(np.abs(sample_stack(scan, geometry) - crop(zoom_whole(image), geometry)).max())
    if difference > 1e-3 * np.ptp(image):
        raise SystemExit(f"The stack differs from the resampled volume by {difference:g}: no point in timing it.")
    return difference


def measure(rounds: int) -> list[Row]:
    """Time ours and every installed peer, then measure the peak memory of each."""
    scan, geometry = simulate()
    peers = [name for name in PEERS if version(name)]
    names = {name: f"{name}, whole volume" for name in peers}
    floor = "copying a stack"
    points = "scipy map_coordinates at points that are known"
    stack = sample_stack(scan, geometry)
    works = {OURS: candidate(OURS), points: points_alone(scan, geometry), floor: stack.copy}
    seconds = alternate(works | {names[name]: candidate(name) for name in peers}, rounds)
    megabytes = {names.get(name, name): in_own_process(__file__, f"peak({name!r})") for name in (OURS, *peers)}
    itself = Figure("the stack itself", stack.nbytes / 2**20)
    note = f"{SHAPE} voxels of {SPACING_MM} mm to a stack of 48 × 48 × {geometry.n_slices}; "
    same = f"largest difference from the cropped whole volume {check():.2g} of a range of {np.ptp(scan.data):.0f}."
    return [
        Row(STACK, *figures(seconds, OURS, names.values(), floor), (Figure(points, seconds[points]),), note + same),
        Row(STACK_MEMORY, *figures(megabytes, OURS, names.values())[:2], itself, note="Beyond the image, second run."),
    ]


if __name__ == "__main__":
    run(measure, 7, __doc__)
