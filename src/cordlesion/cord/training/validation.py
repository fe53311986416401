"""Simulated scans that validate the cord detector: whole scans, in which the cord is found as in a scan of a user.

Every choice about the detector (training time, training data) is made on these scans; no real scan is used. Some come
from the cohort simulator, whose physics and sites differ from those of the training slices. As many are stacks of
simulated slices from the brain to the lower back. Some contain no cord. Each scan is disturbed in one way.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np

from cordlesion.cord.centerline import Centerline
from cordlesion.cord.finder import find_cord
from cordlesion.cord.training.disturbances import DISTURBANCES, LocatedScan
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Float32Array, FloatArray
from cordlesion.io.orient import to_las
from cordlesion.io.progress import track
from cordlesion.simulate import ScanPlan, SimulatedScan, plan_cohort, simulate_scan
from cordlesion.simulate.axial_slices import Part, draw_stack
from cordlesion.simulate.cordless_slices import cordless_images
from cordlesion.simulate.frame import cord_frame
from cordlesion.simulate.randomness import keyed_rng

MAX_ERROR_MM = 10.0
"""The error of a slice where the cord was not found, and the largest error that a slice can count."""
END_TOLERANCE_MM = 25.0
"""How far a curve may extend beyond the last slice that certainly contains cord: brainstem above, conus below."""
DRAWN_GAPS_MM = (2.0, 3.0, 5.0, 12.0)
"""Distances between the slices of simulated stacks."""


def draw_validation_scans(count: int, seed: int, jobs: int) -> list[LocatedScan]:
    """Simulate ``count`` scans of the cohort simulator, as many stacks of slices, and half as many without cord."""
    plans = [plan for subject in plan_cohort(count, seed) for plan in subject.scans(seed)]
    works: list[Callable[[], LocatedScan]] = [partial(_simulated, plan, i) for i, plan in enumerate(plans)]
    works += [partial(_drawn, seed, i) for i in range(count)]
    works += [partial(_cordless, seed, i) for i in range(count // 2)]
    with ProcessPoolExecutor(jobs) as pool:
        return list(track(pool.map(_call, works), "simulate scans for validation", len(works)))


def search_error_mm(scan: LocatedScan, weights: Mapping[str, Float32Array] | None = None) -> float:
    """Return the mean error of the detected curve over the slices with cord, clipped to 10 mm per slice.

    A slice with cord but without curve counts 10 mm, and so does each slice of a curve far beyond the cord. For a scan
    without cord the error is 0 if the detector finds none, else 10.
    """
    try:
        curve = find_cord(scan.image, weights)
    except CordlesionError:
        return MAX_ERROR_MM if scan.cord_slices.size else 0.0
    return float(np.minimum(slice_errors_mm(curve, scan), MAX_ERROR_MM).mean())


def slice_errors_mm(curve: Centerline, scan: LocatedScan) -> FloatArray:
    """Return the in-plane distance in each slice with cord.

    The distance is infinite for a slice with cord that the curve does not cover. One infinite value is appended for
    each slice of the curve that is far beyond the cord.
    """
    dx, dy, dz = scan.spacing_mm
    cord_slices = scan.cord_slices
    if not cord_slices.size:
        return np.full(len(curve.z), np.inf)
    x, y = curve.at(cord_slices.astype(np.float64))
    true_x, true_y = scan.centers[cord_slices].T
    errors = np.hypot((x - true_x) * dx, (y - true_y) * dy)
    errors[(cord_slices < curve.z[0] - 0.5) | (cord_slices > curve.z[-1] + 0.5)] = np.inf
    margin = END_TOLERANCE_MM / dz
    beyond = (curve.z < cord_slices[0] - margin) | (curve.z > cord_slices[-1] + margin)
    return np.append(errors, np.full(int(beyond.sum()), np.inf))


def located_scan(plan: ScanPlan) -> LocatedScan:
    """Simulate a scan of a cohort; the centre of its cord is known exactly in each axial slice with cord."""
    scan = simulate_scan(plan)
    las = to_las(scan.image)
    return LocatedScan(f"cohort, {plan.plane}", las.data.astype(np.float32), las.spacing_mm, _true_centers(scan))


def _true_centers(scan: SimulatedScan) -> FloatArray:
    acquisition = scan.acquisition
    halves = [n * step / 2 for n, step in zip(acquisition.shape, acquisition.spacing_mm, strict=True)]
    frame = cord_frame(scan.anatomy, acquisition.pose, halves[1], halves[2])
    _, right_mm, front_mm = frame.at_height(acquisition.axis_mm(2))
    nx, ny, _ = acquisition.shape
    x = (nx - 1) / 2 - right_mm / acquisition.spacing_mm[0]
    y = (ny - 1) / 2 + front_mm / acquisition.spacing_mm[1]
    shows = to_las(scan.cord).data.max(axis=(0, 1)) > 0
    return np.where(shows, [x, y], np.nan).T


def _call(work: Callable[[], LocatedScan]) -> LocatedScan:
    return work()


def _simulated(plan: ScanPlan, index: int) -> LocatedScan:
    return _disturbed(located_scan(plan), plan.seed, index)


def _drawn(seed: int, index: int) -> LocatedScan:
    gap_mm = DRAWN_GAPS_MM[index % len(DRAWN_GAPS_MM)]
    stack = draw_stack(seed, index, gap_mm)
    # In drawn slices the right side is last, in LAS order it is first.
    data = np.moveaxis(stack.images[:, ::-1], 0, 2)
    centers = np.where((stack.parts == Part.CORD)[:, None], stack.centers, np.nan)
    centers[:, 0] = len(data) - 1 - centers[:, 0]
    return _disturbed(LocatedScan(f"drawn, {gap_mm:g} mm", data, (1.0, 1.0, gap_mm), centers), seed, index)


def _cordless(seed: int, index: int) -> LocatedScan:
    rng = keyed_rng("cordless scan", seed, index)
    images = cordless_images(rng, 30)
    data = np.moveaxis(images + rng.normal(0, 0.05 * images.std(), images.shape), 0, 2)
    scan = LocatedScan("no cord", data.astype(np.float32), (1.0, 1.0, 4.0), np.full((30, 2), np.nan))
    return _disturbed(scan, seed, index)


def _disturbed(scan: LocatedScan, seed: int, index: int) -> LocatedScan:
    rng = keyed_rng("disturbed scan", seed, index)
    kind, disturb = list(DISTURBANCES.items())[index // len(DRAWN_GAPS_MM) % len(DISTURBANCES)]
    return replace(disturb(scan, rng), name=f"{scan.name}: {kind}")
