"""Finds the cord in a raw scan: a small network scores axial slices, then the best curve through them is computed.

After Gros et al. 2018 (10.1016/j.media.2017.12.001). All distances are in mm, independent of the voxel size: slices are
resampled to 1 mm in plane, thin slices are averaged to slabs of 3 mm, and the cost of bending is per mm.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from scipy.interpolate import make_smoothing_spline
from scipy.special import expit

from cordlesion.cord.best_path import BestPath, best_path
from cordlesion.cord.centerline import MIN_SPLINE_POINTS, Centerline, spline_penalty
from cordlesion.cord.confidence import lowest_confidence
from cordlesion.cord.ends import LOOK_MM, Beyond, end_reasons
from cordlesion.cord.evidence import slab_evidence
from cordlesion.cord.network import CELL_MM, PARTS, PIXEL_MM, shipped_weights
from cordlesion.cord.second_look import log_odds_again
from cordlesion.cord.slabs import slab_borders
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Float32Array, FloatArray, IntArray
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume

MAX_LOG_ODDS = 3.0
"""Log-odds are clipped to this, so that the curve can bridge a damaged slice."""
PRIOR = 2.0
"""Added to the log-odds of every cell: the network learned from slices without cord as well, and a cord goes on."""
STIFFNESS = 1.0
"""Cost of a slope of 1, in log-odds; the slope of a cord is below 0.5."""
MAX_SLOPE = 0.8
"""Largest sideways displacement of the curve, in mm per mm along the cord."""
WINDOW_CELLS = 3
"""Cells up to this distance from the path contribute to the exact centre."""
SMOOTHING_MM = 25.0
"""Waves of the curve that are shorter than this are damped by more than half."""
BORDER_MM = 7.0
"""A cord that is followed to this distance from the border of the image is followed to the border."""
MIN_CONFIDENCE = 0.6
MIN_LENGTH_MM = 20.0
"""A shorter curve is not accepted as a cord, unless the scan itself is not much longer."""
MIN_LENGTH_SHARE = 0.5
MIN_LOG_ODDS_AGAIN = 1.8
"""A curve whose mean log-odds in a second look are lower is not accepted as a cord."""
FROM_BELOW = (2, 0, 1)
"""The outputs of the network in their order along the body: sac, cord, brainstem."""


def find_cord(scan: Volume, weights: Mapping[str, Float32Array] | None = None) -> Centerline:
    """Find the centre of the cord in each axial slice between the ends of the cord.

    Args:
        scan: An image of any orientation and spacing.
        weights: Weights of the network; by default those in the package.

    Raises:
        CordlesionError: There is no cord, or its position is too uncertain.
    """
    las = to_las(scan)
    slabs = slab_borders(las.data.shape[2], las.spacing_mm[2])
    weights = shipped_weights() if weights is None else weights
    odds, offsets = slab_evidence(las, slabs, weights)
    extents = np.diff(slabs) * las.spacing_mm[2]
    middles = (slabs[:-1] + slabs[1:] - 1) / 2
    evidence = np.clip(odds[list(FROM_BELOW)] + PRIOR, -MAX_LOG_ODDS, MAX_LOG_ODDS)
    path = best_path(
        evidence, middles * las.spacing_mm[2], extents, CELL_MM,
        stiffness=STIFFNESS, max_slope=MAX_SLOPE,
    )  # fmt: skip
    cord = None if path is None else _cord_part(_to_the_border(path, extents))
    if path is None or cord is None:
        raise CordlesionError(f"{scan.path or 'the image'}: no spinal cord was found; the scan must show one.")
    x_mm, y_mm, probability = _centers(cord, np.maximum(odds[0], -MAX_LOG_ODDS), offsets)
    covered = slice(cord.first, cord.first + len(cord.x))
    require_cord(scan, probability, extents[covered], extents.sum())
    _require_cord_again(scan, log_odds_again(las, cord, slabs, weights), extents[covered])
    z = np.arange(slabs[cord.first], slabs[covered.stop])
    # Pixel p lies at p mm from the centre of the first voxel.
    x, y = (
        np.clip(_smooth(middles[covered], at, probability, z, las.spacing_mm[2]) / step, 0, n - 1)
        for at, step, n in zip((x_mm, y_mm), las.spacing_mm, las.data.shape, strict=False)
    )
    slab_slices = np.diff(slabs)
    return Centerline(
        x,
        y,
        z.astype(np.float64),
        lowest_confidence(probability, extents[covered]),
        slice_confidence=np.repeat(probability, slab_slices[covered]),
        ends=end_reasons(
            float(z[0]),
            float(z[-1]),
            las.data.shape[2],
            int(slab_slices.max()),
            above=_beyond(path, range(covered.stop, len(extents)), odds, extents, "brainstem"),
            below=_beyond(path, range(covered.start - 1, -1, -1), odds, extents, "sac"),
        ),
    )


def _to_the_border(path: BestPath, extents: FloatArray) -> BestPath:
    """Continue a path that ends as cord less than :data:`BORDER_MM` before the border: a cord does not end there."""
    is_cord = path.state == FROM_BELOW.index(0)
    after = path.first + len(path.state)
    below, above = extents[: path.first], extents[after:]
    added = (
        len(below) if is_cord[0] and below.sum() <= BORDER_MM else 0,
        len(above) if is_cord[-1] and above.sum() <= BORDER_MM else 0,
    )
    x, y, state = (np.pad(values, added, mode="edge") for values in (path.x, path.y, path.state))
    return replace(path, first=path.first - added[0], x=x, y=y, state=state)


def _cord_part(path: BestPath) -> BestPath | None:
    """Return the part of a path that is cord; None if there is none."""
    cord = np.flatnonzero(path.state == FROM_BELOW.index(0))
    if not cord.size:
        return None
    return replace(path, first=path.first + int(cord[0]), x=path.x[cord], y=path.y[cord], state=path.state[cord])


def _beyond(path: BestPath, slabs: Iterable[int], odds: Float32Array, extents: FloatArray, follows: str) -> Beyond:
    """Return what the network sees along the path beyond the cord, or straight on where the path ends as well.

    Args:
        path: The path through sac, cord and brainstem.
        slabs: The slabs beyond one end of the cord, from the end outward.
        odds: Log-odds of the parts, shape (3, N, X, Y).
        extents: Extent of each slab along the body, in mm.
        follows: The part that follows the cord.
    """
    order = np.array(slabs, dtype=np.int64)
    order = order[np.cumsum(extents[order]) - extents[order] < LOOK_MM]
    seen = []
    for k in order:
        on_path = int(np.clip(k - path.first, 0, len(path.x) - 1))
        window = _window(int(path.x[on_path]), int(path.y[on_path]))
        seen.append([expit(odds[PARTS.index(part), k][window].max()) for part in ("cord", follows)])
    cord, following = np.array(seen).reshape(-1, 2).T
    return Beyond(extents[order], cord, following)


def _window(x: int, y: int) -> tuple[slice, slice]:
    return slice(max(0, x - WINDOW_CELLS), x + WINDOW_CELLS + 1), slice(max(0, y - WINDOW_CELLS), y + WINDOW_CELLS + 1)


def _centers(path: BestPath, heat: Float32Array, offsets: Float32Array) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return x and y of the centre in mm from the first pixel, and its probability, for each slab of the path.

    The centre is the mean of the centres that the cells near the path predict, weighted by their probability.
    """
    results = []
    for k, (x, y) in enumerate(zip(path.x.tolist(), path.y.tolist(), strict=True), start=path.first):
        window = _window(x, y)
        odds = heat[k][window].astype(np.float64)
        weight = expit(odds)
        mesh = np.meshgrid(*[np.arange(part.start, part.start + n) for part, n in zip(window, odds.shape, strict=True)],
                           indexing="ij")  # fmt: skip
        centers = [
            (CELL_MM * cell + PIXEL_MM / 2 + offset[k][window]) for cell, offset in zip(mesh, offsets, strict=True)
        ]
        results.append([*(float((weight * at).sum() / weight.sum()) for at in centers), float(weight.max())])
    x_mm, y_mm, probability = np.array(results).T
    return x_mm, y_mm, probability


def _smooth(
    middles: FloatArray,
    values: FloatArray,
    probability: FloatArray,
    z: IntArray,
    spacing_mm: float,
) -> FloatArray:
    """Return the smoothing spline of the centres of slabs, weighted by probability, at the slices ``z``."""
    if len(middles) < MIN_SPLINE_POINTS:
        return np.interp(z, middles, values)
    penalty = spline_penalty(SMOOTHING_MM, float(np.mean(np.diff(middles))) * spacing_mm)
    spline = make_smoothing_spline(middles * spacing_mm, values, w=probability, lam=penalty)
    # The end slabs reach beyond their middles; there the natural spline is a straight line.
    return np.asarray(spline(z * spacing_mm), np.float64)


def require_cord(scan: Volume, probability: FloatArray, extents: FloatArray, total_mm: float) -> None:
    """Reject a curve that is too short or too uncertain to be a cord.

    Args:
        scan: The image, for the message.
        probability: Probability of cord in each slice (or slab) of the curve.
        extents: Extent of each of them along the cord, in mm.
        total_mm: Extent of all slices of the scan, in mm.

    Raises:
        CordlesionError: The curve is not a cord.
    """
    confidence, length_mm = float(np.average(probability, weights=extents)), float(extents.sum())
    min_mm = min(MIN_LENGTH_MM, MIN_LENGTH_SHARE * total_mm)
    if confidence < MIN_CONFIDENCE or length_mm < min_mm:
        raise CordlesionError(
            f"{scan.path or 'the image'}: no spinal cord was found; the best candidate is {length_mm:.0f} mm long "
            f"({min_mm:.0f} mm are needed), with a confidence of {confidence:.2f} ({MIN_CONFIDENCE:g} is needed)."
        )


def _require_cord_again(scan: Volume, log_odds: FloatArray, extents: FloatArray) -> None:
    """Reject a curve that is no cord in a second look."""
    mean = float(np.average(log_odds, weights=extents))
    if mean < MIN_LOG_ODDS_AGAIN:
        raise CordlesionError(
            f"{scan.path or 'the image'}: no spinal cord was found; the best candidate is {extents.sum():.0f} mm long, "
            f"but when it is cut out and mirrored, its log-odds are {mean:.1f} ({MIN_LOG_ODDS_AGAIN:g} are needed)."
        )
