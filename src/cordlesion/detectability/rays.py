"""Where the cord ends and how blurred its edge is: profiles from its centre outward, to the bright fluid (no torch)."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cordlesion.io.arrays import Array, Float32Array, FloatArray, Mask
from cordlesion.io.volume import Volume

STEP_MM = 0.1
"""Distance of the points of a profile."""
REACH_MM = 14.0
"""Length of a profile: more than half a cord and the fluid around it."""
N_DIRECTIONS = 24
FLUID_MM = 2.5
"""The brightest point of the fluid is looked for up to this distance from the beginning of the rise."""
AVERAGED_MM = 2.0
"""SD of the Gaussian filter of profiles along the cord."""
MIN_FLUID = 1.3
"""Fluid is brighter than the cord by at least this factor; other edges are not measured."""
THICK_FLUID_MM = 2.0
"""Widths are measured next to fluid of at least this thickness: the blurred peak of a thin layer is too low, so that
the edge would look too narrow."""
CORE_MM = 1.5
"""The signal of the cord is the median of the profiles up to this distance from the centre."""
MIN_EDGES = 20
SLANT = 0.5
"""In thick slices, a ray may lean out of the plane of the slices by this much (sine of the angle)."""
THICK = 1.8
"""Slices are thick if they are so many times thicker than a pixel is wide."""


@dataclass(frozen=True, eq=False)
class Edges:
    """The edge between cord and fluid, for each axial slice and direction; NaN where there is none. Shape (Z, D)."""

    radius_mm: FloatArray
    """Distance of the half height from the centre of the cord."""
    width_mm: FloatArray
    """Distance between 10 % and 90 % of the height."""
    angles: FloatArray
    """Directions in the axial plane (LAS), shape (D,)."""


def slice_axis(spacing_mm: tuple[float, ...] | FloatArray) -> int | None:
    """Return the axis across thick slices, or None where voxels are about as long as wide."""
    steps = np.asarray(spacing_mm)
    axis = int(steps.argmax())
    return axis if steps[axis] > THICK * np.median(steps) else None


def measure_edges(las: Volume, centres: FloatArray, slices: Array) -> Edges:
    """Measure the edge of the cord in axial slices.

    Args:
        las: The scan in LAS order.
        centres: Centre of the cord in each slice, voxel index (x, y), shape (Z, 2).
        slices: Index of each slice.
    """
    angles = np.arange(N_DIRECTIONS) * 2 * np.pi / N_DIRECTIONS
    profiles = np.array([_profiles(las, centre, int(z), angles) for centre, z in zip(centres, slices, strict=True)])
    # A cord hardly changes over a few mm, and noise would narrow and widen single edges.
    profiles = ndimage.gaussian_filter1d(profiles, AVERAGED_MM / las.spacing_mm[2], axis=0, mode="nearest")
    core = np.median(profiles[:, :, : round(CORE_MM / STEP_MM)], axis=(1, 2))
    found = np.array([[_edge(ray, level) for ray in rays] for rays, level in zip(profiles, core, strict=True)])
    radius, width = found[..., 0], found[..., 1]
    # A ray that crosses thick slices measures their thickness.
    if (axis := slice_axis(las.spacing_mm)) in (0, 1):
        across = np.abs((np.cos(angles), np.sin(angles))[axis])
        width[:, across > SLANT] = np.nan
    return Edges(radius, width, angles)


def _profiles(las: Volume, centre: FloatArray, z: int, angles: FloatArray) -> FloatArray:
    """Return the signal along the rays of a slice, shape (D, P); outside the image it is 0."""
    distance = np.arange(0, REACH_MM, STEP_MM)
    at = [
        centre[axis] + np.outer(turn(angles), distance) / las.spacing_mm[axis]
        for axis, turn in enumerate((np.cos, np.sin))
    ]
    return ndimage.map_coordinates(las.data[:, :, z].astype(np.float64), at, order=3, mode="constant")


def _edge(profile: FloatArray, core: float) -> tuple[float, float]:
    """Return where a profile rises from cord to fluid, and the 10-90 % width of the rise, in mm."""
    above = np.flatnonzero(profile > MIN_FLUID * core)
    if not len(above) or core <= 0:
        return np.nan, np.nan
    first = int(above[0])
    peak = first + int(profile[first : first + round(FLUID_MM / STEP_MM)].argmax())
    # The foot of the rise: the lowest point of the last 3 mm before it, at least the signal of the cord.
    foot = max(core, float(profile[max(0, first - 30) : first + 1].min()))
    height = profile[peak] - foot
    low, middle, top = (_crossing(profile, peak, foot + share * height) for share in (0.1, 0.5, 0.9))
    end = np.flatnonzero(profile[peak:] < foot + 0.5 * height)
    fluid_mm = (peak + (int(end[0]) if len(end) else np.inf) - middle) * STEP_MM
    return middle * STEP_MM, (top - low) * STEP_MM if fluid_mm >= THICK_FLUID_MM else np.nan


def _crossing(profile: FloatArray, peak: int, level: float) -> float:
    """Return the last point before the peak where the profile rises through a level, interpolated."""
    below = np.flatnonzero(profile[: peak + 1] < level)
    if not len(below):
        return np.nan
    k = int(below[-1])
    return k + (level - profile[k]) / (profile[k + 1] - profile[k]) if k < peak else float(k)


def surface_radius_mm(
    surface: Float32Array, spacing_mm: tuple[float, ...], centres: FloatArray, slices: Array
) -> FloatArray:
    """Return where the smoothed mask of the cord falls below 1/2, in the directions of :func:`measure_edges`."""
    angles = np.arange(N_DIRECTIONS) * 2 * np.pi / N_DIRECTIONS
    distance = np.arange(0, REACH_MM, STEP_MM)
    radii = []
    for centre, z in zip(centres, slices, strict=True):
        at = [
            centre[axis] + np.outer(turn(angles), distance) / spacing_mm[axis]
            for axis, turn in enumerate((np.cos, np.sin))
        ]
        inside = ndimage.map_coordinates(surface[:, :, int(z)], at, order=1, mode="constant") > 0.5
        radii.append(inside.argmin(axis=1) * STEP_MM)
    return np.array(radii)


def edge_width_mm(edges: Edges) -> float | None:
    """Return the median width of the edges, or None with fewer than 20."""
    widths = edges.width_mm[np.isfinite(edges.width_mm)]
    return float(np.median(widths)) if len(widths) >= MIN_EDGES else None


def inside_radius(shape: tuple[int, ...], spacing_mm: tuple[float, ...], centres: FloatArray, slices: Array,
                  radius_mm: FloatArray, angles: FloatArray) -> Mask:  # fmt: skip
    """Return the mask of the voxels nearer to the centre than the radius in their direction, slice by slice."""
    mask = np.zeros(shape, bool)
    x, y = np.ogrid[: shape[0], : shape[1]]
    around = np.append(angles, 2 * np.pi)
    for centre, z, radius in zip(centres, slices, radius_mm, strict=True):
        dx, dy = (x - centre[0]) * spacing_mm[0], (y - centre[1]) * spacing_mm[1]
        limit = np.interp(np.arctan2(dy, dx) % (2 * np.pi), around, np.append(radius, radius[0]))
        mask[:, :, int(z)] = np.hypot(dx, dy) < limit
    return mask
