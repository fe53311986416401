"""Finding the cord in a raw scan: evidence in axial slices from a small network, then the best curve through them.

After Gros et al. 2018 (10.1016/j.media.2017.12.001). Everything is in mm: slices are resampled to 1 mm in plane, thin
slices are averaged to slabs of 3 mm, and bending costs by the mm, whatever the voxels are.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.interpolate import make_smoothing_spline

from cordlesion.cord.best_path import BestPath, best_path
from cordlesion.cord.centerline import FEWEST_FOR_SPLINE, Centerline, spline_penalty
from cordlesion.cord.network import CELL_MM, MULTIPLE, OFFSET_MM, PIXEL_MM, cord_evidence, shipped_weights, standardize
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume

SLAB_MM = 3.0
"""Slices thinner than this are averaged to about this, for less noise and less work."""
MOST_LOG_ODDS = 3.0
"""No single slice says more than this, for or against, so that a damaged one can be bridged."""
STIFFNESS = 1.0
"""Cost of a slope of 1, in log-odds: a cord leans by less than 0.5."""
STEEPEST = 0.8
WINDOW_CELLS = 3
"""Evidence so near to the path takes part in the exact centre."""
SMOOTHING_MM = 25.0
"""Waves of the curve shorter than this are damped by more than half."""
LEAST_CONFIDENCE = 0.6
SHORTEST_MM = 20.0
"""A shorter curve is no cord, unless the scan itself is not much longer."""
SHORTEST_SHARE = 0.5
_BATCH_PIXELS = 40_000

Floats = npt.NDArray[np.float32]


def find_cord(scan: Volume, weights: Mapping[str, Floats] | None = None) -> Centerline:
    """Find the cord's centre in each axial slice between its ends.

    Args:
        scan: An image of any orientation and spacing.
        weights: Of the network that looks for it; by default those in the package.

    Raises:
        CordlesionError: There is no cord, or it cannot be told where.
    """
    las = to_las(scan)
    slabs = _slabs(las.data.shape[2], las.spacing_mm[2])
    heat, offsets = _evidence(las, slabs, shipped_weights() if weights is None else weights)
    extents = np.diff(slabs) * las.spacing_mm[2]
    middles = (slabs[:-1] + slabs[1:] - 1) / 2
    path = best_path(
        np.clip(heat, -MOST_LOG_ODDS, MOST_LOG_ODDS), middles * las.spacing_mm[2], extents, CELL_MM,
        stiffness=STIFFNESS, steepest=STEEPEST,
    )  # fmt: skip
    if path is None:
        raise CordlesionError(f"{scan.path or 'the image'}: no spinal cord was found; one must be in view.")
    x_mm, y_mm, probability = _centers(path, heat, offsets)
    held = slice(path.first, path.first + len(path.x))
    require_cord(scan, probability, extents[held], extents.sum())
    z = np.arange(slabs[path.first], slabs[held.stop])
    # Pixel p lies at p mm from the centre of the first voxel.
    x, y = (
        np.clip(_smooth(middles[held], at, probability, z, las.spacing_mm[2]) / step, 0, n - 1)
        for at, step, n in zip((x_mm, y_mm), las.spacing_mm, las.data.shape, strict=False)
    )
    return Centerline(x, y, z.astype(np.float64), float(np.average(probability, weights=extents[held])))


def _slabs(n_slices: int, spacing_mm: float) -> npt.NDArray[np.int64]:
    """Return the borders of the slabs: each holds the slices from one border up to the next."""
    count = max(1, round(n_slices / max(1, round(SLAB_MM / spacing_mm))))
    return np.linspace(0, n_slices, count + 1).round().astype(np.int64)


def _evidence(las: Volume, slabs: npt.NDArray[np.int64], weights: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """Return log-odds (N, X, Y) and offsets in mm (2, N, X, Y) on cells of 2 mm."""
    across = [_resampling(n, step) for n, step in zip(las.data.shape[:2], las.spacing_mm[:2], strict=True)]
    shape = [-(-matrix.shape[0] // MULTIPLE) * MULTIPLE for matrix in across]
    batch = max(1, _BATCH_PIXELS // (shape[0] * shape[1]))
    outputs = []
    for start in range(0, len(slabs) - 1, batch):
        borders = slabs[start : start + batch + 1]
        images = np.stack([_resample(las.data[:, :, a:b], across) for a, b in pairwise(borders)])
        padded = np.zeros((len(images), *shape), np.float32)
        padded[:, : images.shape[1], : images.shape[2]] = standardize(images)
        outputs.append(cord_evidence(padded, weights))
    output = np.concatenate(outputs, axis=1)
    # Nothing is found in what was added at the border.
    for axis, matrix in enumerate(across):
        inside = -(-matrix.shape[0] // 2)
        np.moveaxis(output[0], axis + 1, 0)[inside:] = -2 * MOST_LOG_ODDS
    return output[0], output[1:] * np.float32(OFFSET_MM)


def _resampling(n: int, spacing_mm: float) -> sparse.csr_array:
    """Return the matrix that resamples an axis to pixels of 1 mm, linearly, averaging finer voxels."""
    at = np.arange(max(1, int((n - 1) * spacing_mm / PIXEL_MM) + 1))[:, None] * PIXEL_MM / spacing_mm
    width = max(1.0, PIXEL_MM / spacing_mm)
    first = np.floor(at - width).astype(int)
    voxel = first + np.arange(int(2 * width) + 3)
    weight = np.maximum(1 - np.abs(voxel - at) / width, 0) * ((voxel >= 0) & (voxel < n))
    weight /= weight.sum(axis=1, keepdims=True)
    rows, columns = np.nonzero(weight)
    values = weight[rows, columns].astype(np.float32)
    return sparse.csr_array((values, (rows, voxel[rows, columns])), shape=(len(at), n))


def _resample(slab: npt.NDArray[np.generic], across: Sequence[sparse.csr_array]) -> Floats:
    mean = slab.mean(axis=2, dtype=np.float32)
    return np.asarray((across[1] @ (across[0] @ mean).T).T, np.float32)


def _centers(
    path: BestPath, heat: Floats, offsets: Floats
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the exact centre in mm from the first pixel, and its probability, for each slab of the path.

    Every cell near the path tells where the centre is; they count by their own probability.
    """
    results = []
    for k, (x, y) in enumerate(zip(path.x.tolist(), path.y.tolist(), strict=True), start=path.first):
        window = tuple(slice(max(0, at - WINDOW_CELLS), at + WINDOW_CELLS + 1) for at in (x, y))
        odds = heat[k][window].astype(np.float64)
        weight = 1 / (1 + np.exp(-odds))
        mesh = np.meshgrid(*[np.arange(part.start, part.start + n) for part, n in zip(window, odds.shape, strict=True)],
                           indexing="ij")  # fmt: skip
        centers = [
            (CELL_MM * cell + PIXEL_MM / 2 + offset[k][window]) for cell, offset in zip(mesh, offsets, strict=True)
        ]
        results.append([*(float((weight * at).sum() / weight.sum()) for at in centers), float(weight.max())])
    x_mm, y_mm, probability = np.array(results).T
    return x_mm, y_mm, probability


def _smooth(
    middles: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    probability: npt.NDArray[np.float64],
    z: npt.NDArray[np.int64],
    spacing_mm: float,
) -> npt.NDArray[np.float64]:
    """Draw a smoothing spline through the slabs' centres, which follows sure ones more, and return it at slices."""
    if len(middles) < FEWEST_FOR_SPLINE:
        return np.interp(z, middles, values)
    penalty = spline_penalty(SMOOTHING_MM, float(np.mean(np.diff(middles))) * spacing_mm)
    spline = make_smoothing_spline(middles * spacing_mm, values, w=probability, lam=penalty)
    # The end slabs reach beyond their middles; there the natural spline is a straight line.
    return np.asarray(spline(z * spacing_mm), np.float64)


def require_cord(
    scan: Volume, probability: npt.NDArray[np.float64], extents: npt.NDArray[np.float64], total_mm: float
) -> None:
    """Refuse a curve that is too short or too doubtful to be a cord.

    Args:
        scan: The image, for the message.
        probability: Of cord, in each slice (or slab) of the curve.
        extents: How many mm each of them stands for.
        total_mm: What all slices of the scan stand for.

    Raises:
        CordlesionError: It is no cord.
    """
    confidence, length_mm = float(np.average(probability, weights=extents)), float(extents.sum())
    least_mm = min(SHORTEST_MM, SHORTEST_SHARE * total_mm)
    if confidence < LEAST_CONFIDENCE or length_mm < least_mm:
        raise CordlesionError(
            f"{scan.path or 'the image'}: no spinal cord was found; what looks most like one is {length_mm:.0f} mm "
            f"long ({least_mm:.0f} mm are needed), with a confidence of {confidence:.2f} ({LEAST_CONFIDENCE:g} is "
            "needed)."
        )
