"""Finding the cord: distance to the true centre and time, on real scans, on simulated ones, and on a large volume.

Real scans and SCT's network are in a folder outside the repository (``CORDLESION_SHARED`` or ``../shared``); they were
not used for training or any choice. SCT's ``t2_ctr`` is compared if it is available: in each slice, the centre of mass
of its largest component at 0.5, without a curve.

python benchmarks/bench_centerline.py [simulated scans]
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import numpy.typing as npt
from _timing import header
from scipy import ndimage

from cordlesion.cord.centerline import Centerline, centerline_from_cord_mask
from cordlesion.cord.finder import find_cord
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import to_las
from cordlesion.io.processors import available_processors
from cordlesion.io.volume import Volume, read_scan
from cordlesion.simulate import plan_cohort

if TYPE_CHECKING:
    from cordlesion.cord.training.disturbances import LocatedScan

SHARED = Path(os.environ.get("CORDLESION_SHARED", Path(__file__).parents[2] / "shared"))
REAL = {
    "t2": "t2_seg-manual",
    "t2_fake_lesion": "t2_fake_lesion_sc_seg",
    "sub-unf01_T2w": "sub-unf01_T2w_seg-manual",
    "PAM50_small_t2": "PAM50_small_cord",
    "t2_ms": "t2_ms_centerline",
    "t2_lumbar": None,
}
"""Scan -> cord mask, or for t2_ms a curve of SCT's network; None if there is none."""
SIMULATED_SEED = 40_001
LARGE = (512, 512, 400)
COLUMNS = f"{'':<28}{'mean':>7}{'median':>8}{'99 %':>7}{'max':>7} mm   slices   confidence   seconds"

Floats = npt.NDArray[np.float64]


def distances(curve: Centerline, truth: Centerline, scan: Volume) -> Floats:
    """Return the in-plane distance in mm in each slice of ``truth``; beyond the curve, to the end of it."""
    dx, dy, _ = to_las(scan).spacing_mm
    x, y = curve.at(truth.z)
    return np.hypot((x - truth.x) * dx, (y - truth.y) * dy)


def row(name: str, d: Floats, held: str, confidence: float | None, seconds: float) -> str:
    """Return one line of the table."""
    numbers = f"{d.mean():7.2f}{np.median(d):8.2f}{np.percentile(d, 99):7.2f}{d.max():7.2f}" if d.size else f"{'-':>29}"
    return f"{name:<28}{numbers} {held:>12} {'' if confidence is None else f'{confidence:.2f}':>9} {seconds:>11.2f}"


def real_rows() -> Iterator[str]:
    """Find the cord of every real scan."""
    network = sct_network()
    for name, mask in REAL.items():
        path = SHARED / "data/real" / f"{name}.nii.gz"
        start = time.perf_counter()
        scan = read_scan(path)
        try:
            curve = find_cord(scan)
        except CordlesionError as error:
            yield f"{name:<28}{error}"
            continue
        seconds = time.perf_counter() - start
        held = f"{curve.z[0]:.0f}-{curve.z[-1]:.0f} of {to_las(scan).data.shape[2]}"
        truth = centerline_from_cord_mask(SHARED / "data/real" / f"{mask}.nii.gz", scan) if mask else None
        d = distances(curve, truth, scan) if truth else np.empty(0)
        yield row(name, d, held, curve.confidence, seconds)
        if network is not None:
            yield sct_row(network, scan, truth)


def sct_network() -> object | None:
    """Return SCT's centerline network, if its file is there."""
    path = SHARED / "data/sct/t2_ctr.h5"
    if not path.is_file():
        return None
    from cordlesion.sct.import_network import read_centerline_network

    return read_centerline_network(path)


def sct_row(network: object, scan: Volume, truth: Centerline | None) -> str:
    """Return the centre of mass of the output of SCT's network in each slice."""
    from cordlesion.sct.centerline_network import sct_centerline_heatmap

    start = time.perf_counter()
    heat = sct_centerline_heatmap(network, scan)  # type: ignore[arg-type]
    centers = {z: center for z in range(heat.data.shape[2]) if (center := largest_center(heat.data[:, :, z] > 0.5))}
    seconds = time.perf_counter() - start
    fx, fy = (n / m for n, m in zip(heat.data.shape[:2], to_las(scan).data.shape[:2], strict=True))
    held = f"{len(centers)} of {heat.data.shape[2]}"
    if truth is None or not centers:
        return row("   SCT's network", np.empty(0), held, None, seconds)
    z = np.array([at for at in truth.z if round(at) in centers])
    x, y = np.array([centers[round(at)] for at in z]).T
    found = Centerline(x / fx, y / fy, z)
    return row("   SCT's network", distances(found, Centerline(*truth.at(z), z), scan), held, None, seconds)


def largest_center(mask: npt.NDArray[np.bool_]) -> tuple[float, ...] | None:
    """Return the centre of mass of the largest component."""
    labels, n = ndimage.label(mask)
    return tuple(ndimage.center_of_mass(labels == np.bincount(labels.ravel())[1:].argmax() + 1)) if n else None


def simulated_rows(count: int) -> Iterator[str]:
    """Find the cord of simulated scans of sites and subjects that training and validation did not use."""
    # Imported here, because torch would count as memory of the search in a large volume.
    from cordlesion.cord.training.validation import DRAWN_GAPS_MM, draw_validation_scans, located_scan

    plans = [plan for subject in plan_cohort(count, SIMULATED_SEED) for plan in subject.scans(SIMULATED_SEED)]
    for plane in ("sagittal", "axial"):
        scans = [located_scan(replace(plan, plane=plane, lesion_scans=())) for plan in plans[: count // 2]]
        yield simulated_row(f"simulated, {plane}", scans)
    by_kind: dict[str, list[LocatedScan]] = {}
    for scan in draw_validation_scans(11 * len(DRAWN_GAPS_MM), SIMULATED_SEED + 1, available_processors()):
        made, kind = scan.name.split(": ")
        by_kind.setdefault("no cord" if made == "no cord" else f"disturbed: {kind}", []).append(scan)
    for kind, scans in by_kind.items():
        yield simulated_row(kind, scans)


def simulated_row(name: str, scans: "list[LocatedScan]") -> str:
    """Return one line of the table over all slices of all scans; slices without curve are counted separately."""
    from cordlesion.cord.training.validation import slice_errors_mm

    errors, refused = [], 0
    start = time.perf_counter()
    for scan in scans:
        try:
            errors.append(slice_errors_mm(find_cord(scan.image), scan))
        except CordlesionError:
            refused += 1
    seconds = (time.perf_counter() - start) / len(scans)
    pooled = np.concatenate([np.empty(0), *errors])
    missed = f", {np.isinf(pooled).mean():.1%} of slices not held or too many" if np.isinf(pooled).any() else ""
    text = f"  {len(scans)} scans, {refused} refused{missed}"
    return row(name, pooled[np.isfinite(pooled)], "", None, seconds) + text


def large_volume() -> str:
    """Read a volume of 512 x 512 x 400 voxels and find the cord, in a separate process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.nii"
        noise = np.random.default_rng(0).integers(0, 1000, LARGE[:2], np.int16)
        data = np.broadcast_to(noise[..., None], LARGE).copy()
        data[240:270, 240:262] //= 4
        nib.save(nib.Nifti1Image(data, np.diag([-0.5, 0.5, 1.0, 1.0])), path)
        done = subprocess.run([sys.executable, __file__, "--large", path], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def search_large(path: str) -> None:
    """Print seconds and peak memory of one search."""
    start = time.perf_counter()
    scan = read_scan(path)
    read = time.perf_counter()
    try:
        find_cord(scan)
        found = "found"
    except CordlesionError:
        found = "no cord"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{LARGE} voxels: read in {read - start:.2f} s, searched in {time.perf_counter() - read:.2f} s ({found}), "
        f"at most {peak:.2f} GiB"
    )


def main() -> None:
    """Print the tables."""
    if sys.argv[1:2] == ["--large"]:
        search_large(sys.argv[2])
        return
    print(header(["cordlesion", "numpy", "scipy", "nibabel"]))
    print(COLUMNS)
    if (SHARED / "data/real").is_dir():
        for line in real_rows():
            print(line, flush=True)
    else:
        print(f"{SHARED / 'data/real'}: absent, so no real scan was measured (set CORDLESION_SHARED)")
    for line in simulated_rows(int(sys.argv[1]) if len(sys.argv) > 1 else 48):
        print(line, flush=True)
    print(large_volume())


if __name__ == "__main__":
    main()
