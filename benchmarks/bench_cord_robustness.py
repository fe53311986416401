"""How the detected cord changes when a real scan is disturbed, and how often a scan without cord is accepted.

Each disturbance of ``cord_disturbances.py`` is applied to each real scan (in ``CORDLESION_SHARED`` or ``../shared``).
The curve is compared with that of the undisturbed scan: distance in mm in the slices that both hold, and the share of
the slices still in the field of view that are gained or lost. Then cords and scans without cord are simulated, and
refusals counted.

python benchmarks/bench_cord_robustness.py [simulated scans]
"""

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
from cord_disturbances import DISTURBANCES, MIRRORED
from scipy import ndimage

from cordlesion.cord.centerline import Centerline
from cordlesion.cord.finder import find_cord
from cordlesion.cord.training.validation import located_scan
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume, read_scan
from cordlesion.simulate import plan_cohort
from cordlesion.simulate.cordless_slices import SIZE, cordless_images
from cordlesion.simulate.randomness import keyed_rng

SHARED = Path(os.environ.get("CORDLESION_SHARED", Path(__file__).parents[2] / "shared"))
REAL = (
    *("t2", "t2_full", "t2_fake_lesion", "sub-unf01_T2w", "PAM50_small_t2", "t2_ms"),
    *(f"t2star/sub-{subject}_run-1_T2starw" for subject in ("10062Ses1", "9418", "9604")),
)
WITHOUT_CORD = tuple(f"brain/sub-{subject}_{kind}" for subject in ("07", "19") for kind in ("FLAIR", "T2w"))
SEED = 70_001
WITH_TUBES = (0.5, 3.0)
"""Scans without cord that are hard: half have round structures with a rim, many hardly change from slice to slice."""
MAX_CHANGE_MM, MAX_COVERAGE_CHANGE = 1.0, 0.05
COLUMNS = f"{'':<30}  mean    max mm  coverage   scans beyond {MAX_CHANGE_MM} mm or {MAX_COVERAGE_CHANGE:.0%}"


def world_points(curve: Centerline, las: Volume) -> FloatArray:
    """Return the curve in world coordinates, shape (N, 3)."""
    return np.asarray(nib.affines.apply_affine(las.affine, np.stack([curve.x, curve.y, curve.z], axis=1)))


def found(scan: Volume) -> FloatArray:
    """Return the curve in world coordinates; empty if the scan is refused."""
    try:
        return world_points(find_cord(scan), to_las(scan))
    except CordlesionError:
        return np.empty((0, 3))


def changes(before: FloatArray, after: FloatArray, scan: Volume, disturbed: Volume) -> tuple[FloatArray, float]:
    """Return the distances in mm, and the share of slices gained or lost.

    Args:
        before: The curve in the undisturbed scan, in world coordinates.
        after: The curve in the disturbed scan.
        scan: The undisturbed scan in LAS order.
        disturbed: The disturbed scan; only slices in its field of view count.
    """
    before, after = (nib.affines.apply_affine(np.linalg.inv(scan.affine), each) for each in (before, after))
    z = np.arange(scan.data.shape[2])
    in_view = _in_view(z, before, scan, disturbed)
    held, still = (_holds(z, each) & in_view for each in (before, after))
    both = held & still
    x, y = (np.interp(z[both], before[:, 2], before[:, k]) for k in (0, 1)) if both.any() else (z[both], z[both])
    order = np.argsort(after[:, 2]) if len(after) else slice(None)
    u, v = (np.interp(z[both], after[order, 2], after[order, k]) for k in (0, 1)) if both.any() else (x, y)
    distances = np.hypot((x - u) * scan.spacing_mm[0], (y - v) * scan.spacing_mm[1])
    return distances, float((held != still).sum() / max(1, held.sum()))


def _in_view(z: FloatArray, curve: FloatArray, scan: Volume, disturbed: Volume) -> FloatArray:
    points = np.stack([np.interp(z, curve[:, 2], curve[:, 0]), np.interp(z, curve[:, 2], curve[:, 1]), z], axis=1)
    voxels = nib.affines.apply_affine(np.linalg.inv(disturbed.affine) @ scan.affine, points)
    return np.asarray(((voxels >= -0.5) & (voxels <= np.array(disturbed.data.shape) - 0.5)).all(axis=1))


def _holds(z: FloatArray, curve: FloatArray) -> FloatArray:
    if not len(curve):
        return np.zeros(len(z), bool)
    return np.asarray((z >= curve[:, 2].min() - 0.5) & (z <= curve[:, 2].max() + 0.5))


def disturbance_rows(scans: dict[str, Volume]) -> Iterator[str]:
    """Return a line for each disturbance: changes over all scans, and the scan that changes most."""
    before = {name: found(scan) for name, scan in scans.items()}
    yield COLUMNS
    for kind, disturb in DISTURBANCES.items():
        distances, coverages, beyond = [], [], []
        for name, scan in scans.items():
            disturbed = disturb(scan, np.random.default_rng(SEED))
            after = found(disturbed)
            if kind == MIRRORED and len(after):
                after = _mirrored_back(after, disturbed)
            far, share = changes(before[name], after, scan, disturbed)
            distances.append(far)
            coverages.append(share)
            mean = float(far.mean()) if far.size else np.inf
            if mean > MAX_CHANGE_MM or share > MAX_COVERAGE_CHANGE:
                beyond.append(f"{name.split('/')[-1][:14]} ({mean:.1f} mm, {share:.0%})")
        pooled = np.concatenate(distances)
        yield f"{kind:<30}{pooled.mean():6.2f}{pooled.max():7.2f}   {max(coverages):10.1%}   {', '.join(beyond)}"


def _mirrored_back(points: FloatArray, scan: Volume) -> FloatArray:
    voxels = nib.affines.apply_affine(np.linalg.inv(scan.affine), points)
    voxels[:, 0] = scan.data.shape[0] - 1 - voxels[:, 0]
    return np.asarray(nib.affines.apply_affine(scan.affine, voxels))


def scan_without_cord(index: int, *, rimmed_share: float = 0.0, stillness: float = 1.0, seed: int = SEED) -> Volume:
    """Simulate a brain, a limb, clutter, noise or a phantom of simple shapes.

    Args:
        index: Number of the scan.
        rimmed_share: Share of scans with round structures that have a rim, as a cord has its fluid.
        stillness: The larger, the more scans hardly change from slice to slice, as a cord does.
        seed: Other seeds give other scans.
    """
    rng = keyed_rng("without cord", seed, index)
    count, gap_mm = int(rng.integers(8, 60)), float(rng.uniform(1, 6))
    if index % 4 == 0:
        data = _phantom(rng, count)
    else:
        data = np.moveaxis(cordless_images(rng, count, rimmed_share=rimmed_share, stillness=stillness), 0, 2)
    data = data + rng.normal(0, rng.uniform(0.01, 0.15) * data.std(), data.shape)
    return Volume(data.astype(np.float32), np.diag([-1.0, 1.0, gap_mm, 1.0]))


def _phantom(rng: np.random.Generator, count: int) -> FloatArray:
    """Draw boxes and tubes of any width and brightness through all slices."""
    mesh = np.meshgrid(*[np.arange(SIZE, dtype=float)] * 2, indexing="ij")
    image = np.zeros((SIZE, SIZE))
    for _ in range(rng.integers(1, 6)):
        (x, y), (a, b) = rng.uniform(20, SIZE - 20, 2), rng.uniform(5, 50, 2)
        aside = np.abs(mesh[0] - x) / a, np.abs(mesh[1] - y) / b
        image[(np.maximum(*aside) if rng.random() < 0.5 else np.hypot(*aside)) < 1] = rng.uniform(0.2, 2)
    return np.repeat(ndimage.gaussian_filter(image, rng.uniform(0, 2))[..., None], count, axis=2)


def main() -> None:
    """Print the tables."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    real = SHARED / "data/real"
    if real.is_dir():
        scans = {name: to_las(read_scan(real / f"{name}.nii.gz")) for name in REAL}
        for line in disturbance_rows({name: scan for name, scan in scans.items() if len(found(scan))}):
            print(line, flush=True)
        for name in WITHOUT_CORD:
            accepted = len(found(read_scan(SHARED / "data" / f"{name}.nii.gz")))
            print(f"{name}: {'ACCEPTED' if accepted else 'refused'}", flush=True)
    for kind, (rimmed_share, still) in (("", (0.0, 1.0)), (", many with tubes", WITH_TUBES)):
        drawn = partial(scan_without_cord, rimmed_share=rimmed_share, stillness=still)
        accepted = [k for k in range(count) if len(found(drawn(k)))]
        print(f"{count} simulated scans without cord{kind}: {len(accepted)} accepted {accepted}", flush=True)
    plans = [plan for subject in plan_cohort(count, SEED) for plan in subject.scans(SEED)][:count]
    refused = [k for k, plan in enumerate(plans) if not len(found(located_scan(plan).image))]
    print(f"{len(plans)} simulated cords: {len(refused)} refused {refused}")


if __name__ == "__main__":
    main()
