"""Coordinates of the cord in a real scan: position along the cord, and place in its section (no torch).

The same coordinates as those of the simulator: ``s`` is the position along the cord in mm, downwards, here from its
upper end in the scan; in the plane across the cord, ``u`` points to the right and ``v`` to the front, from its centre.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.interpolate import make_interp_spline

from cordlesion.cord.centerline import Centerline
from cordlesion.detectability.rays import Edges, measure_edges, surface_radius_mm
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Array, Float32Array, FloatArray, Mask
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume

SMOOTHING_MM = 25.0
"""Waves of the cord's centre that are shorter than this are damped by more than half."""
GIRTH_SMOOTHING_MM = 8.0
"""SD of the Gaussian filter of the cord's width along the cord."""
SURFACE_SD_VOXELS = 0.75
"""SD of the Gaussian filter that makes a smooth surface of the mask's steps; the surface is where it is 1/2."""
STEP_MM = 0.5
"""Distance of the tabulated points of the curve."""
MIN_LENGTH_MM = 8.0
"""A shorter piece of cord has no room for a lesion."""
MAX_RIM_MM = 1.2
"""Largest distance between the surface of the mask and the edge to the fluid that is taken as true."""
_BEYOND_MM = 20.0
"""The curve goes on straight beyond its ends, for points there."""
_ITERATIONS = 5


@dataclass(frozen=True, eq=False)
class CordSpace:
    """The cord of a scan; all arrays are in LAS order, all lengths in mm."""

    scan: Volume
    """In LAS order."""
    inside: Mask
    """The cord mask."""
    surface: Float32Array
    """The smoothed mask: above 1/2 inside the smooth surface of the cord."""
    curve: FloatArray
    """Points of the cord's centre, shape (N, 3), from the lower end to the upper one."""
    position: FloatArray
    """Position ``s`` of these points, falling; 0 is the upper end of the cord in the scan."""
    length_mm: float
    half_rl: FloatArray
    """Semi-axis of the cord at these points, to the right and left, up to its edge."""
    half_ap: FloatArray
    """Semi-axis to the front and back, in the plane across the cord."""
    edges: Edges
    """The edge to the fluid."""
    rim_mm: float
    """How far this edge lies outside the surface of the mask; masks that are drawn by hand end inside it."""

    @property
    def spacing_mm(self) -> FloatArray:
        """Voxel size."""
        return np.array(self.scan.spacing_mm)

    def semi_axes(self, s_mm: float) -> tuple[float, float]:
        """Return the semi-axes of the cord at a position."""
        return tuple(float(np.interp(-s_mm, -self.position, half)) for half in (self.half_rl, self.half_ap))  # type: ignore[return-value]

    def girth(self, s_mm: Array) -> tuple[Float32Array, Float32Array]:
        """Return the semi-axes of the cord at positions."""
        rl, ap = (np.interp(-s_mm, -self.position, half).astype(np.float32) for half in (self.half_rl, self.half_ap))
        return rl, ap

    def centre_at(self, s_mm: float) -> FloatArray:
        """Return the centre of the cord at a position, in mm from the first voxel."""
        return np.array([np.interp(-s_mm, -self.position, axis) for axis in self.curve.T])

    def coordinates(self, points_mm: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return (u, v, s) of points, shape (..., 3), in mm from the first voxel.

        The position is that of the plane across the curve which contains the point: found by Newton's iteration, which
        converges where the distance from the cord is well below the radius of its curve.
        """
        tangents = np.gradient(self.curve, self.position, axis=0)
        # Rises along the table, as np.interp requires.
        rising = -self.position
        t = np.interp(points_mm[..., 2], self.curve[:, 2], rising)
        for _ in range(_ITERATIONS):
            centre, along = (_at(t, rising, table) for table in (self.curve, tangents))
            t = t - ((points_mm - centre) * along).sum(axis=-1)
        centre, along = (_at(t, rising, table) for table in (self.curve, tangents))
        along = along / np.linalg.norm(along, axis=-1, keepdims=True)
        offset = points_mm - centre
        front = np.array([0.0, 1.0, 0.0]) - along[..., 1:2] * along
        front /= np.linalg.norm(front, axis=-1, keepdims=True)
        right = np.cross(front, along)  # front x down points to the left of the patient's left: -x
        right *= np.sign(-right[..., :1] + 1e-12)
        return (offset * right).sum(axis=-1), (offset * front).sum(axis=-1), -t


def _at(t: FloatArray, knots: FloatArray, table: FloatArray) -> FloatArray:
    return np.stack([np.interp(t, knots, axis) for axis in table.T], axis=-1)


def cord_space(scan: Volume, cord: Mask) -> CordSpace:
    """Describe the cord of a scan by its mask.

    Args:
        scan: The image.
        cord: Its cord mask, on the scan's grid and in its index order.

    Raises:
        CordlesionError: The mask is shorter than 8 mm.
    """
    las, inside = to_las(scan), np.ascontiguousarray(to_las(Volume(cord, scan.affine)).data.astype(bool))
    slices = np.flatnonzero(inside.any(axis=(0, 1)))
    _require_length(scan, slices, las.spacing_mm[2])
    centres, axes = _sections(inside, slices, las.spacing_mm)
    surface = _surface(inside)
    edges, rim = _rim(las, surface, centres, slices)
    curve, z_mm = _curve(centres, slices, las.spacing_mm)
    steps = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    low, high = ((slices[0] - 0.5) * las.spacing_mm[2], (slices[-1] + 0.5) * las.spacing_mm[2])
    top = float(np.interp(high, z_mm, along))
    half_rl, half_ap = (_smooth_girth(half, slices, z_mm, las.spacing_mm[2]) for half in axes)
    # An axial section of a cord that leans is longer from front to back than the section across it.
    lean = np.abs(np.gradient(curve[:, 2], along))
    return CordSpace(
        scan=las, inside=inside, surface=surface, curve=curve, position=top - along,
        length_mm=top - float(np.interp(low, z_mm, along)), half_rl=half_rl + rim, half_ap=half_ap * lean + rim,
        edges=edges, rim_mm=rim,
    )  # fmt: skip


def _require_length(scan: Volume, slices: Array, slice_mm: float) -> None:
    length = (int(slices[-1]) - int(slices[0]) + 1) * slice_mm if len(slices) else 0.0
    if len(slices) < 2 or length < MIN_LENGTH_MM:
        raise CordlesionError(
            f"{scan.path or 'the scan'}: its cord mask is {length:.0f} mm long; {MIN_LENGTH_MM:g} mm are needed for a "
            "lesion. Give a mask of more of the cord."
        )


def _sections(
    inside: Mask, slices: Array, spacing_mm: tuple[float, float, float]
) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
    """Return the centre (index) of each axial section, and the semi-axes of an ellipse with its second moments."""
    rows = []
    for z in slices:
        index = np.argwhere(inside[:, :, z])
        # A voxel has an extent of its own: 1/12 of its square.
        spread = np.sqrt(index.var(axis=0) + 1 / 12)
        rows.append([*index.mean(axis=0), *(2 * spread * spacing_mm[:2])])
    x, y, rl, ap = np.array(rows).T
    return np.stack([x, y], axis=1), (rl, ap)


def _curve(centres: FloatArray, slices: Array, spacing_mm: tuple[float, float, float]) -> tuple[FloatArray, FloatArray]:
    """Return points of the smooth curve in mm, from below the cord to above it, and their heights."""
    line = Centerline(centres[:, 0], centres[:, 1], slices.astype(np.float64)).smoothed(spacing_mm, SMOOTHING_MM)
    at = line.z * spacing_mm[2]
    spline = make_interp_spline(at, np.stack([line.x * spacing_mm[0], line.y * spacing_mm[1]], axis=1),
                                k=min(3, len(at) - 1))  # fmt: skip
    z_mm = np.arange(at[0] - _BEYOND_MM, at[-1] + _BEYOND_MM + STEP_MM, STEP_MM)
    held = z_mm.clip(at[0], at[-1])
    # Straight beyond the ends, in the mean direction of the last 10 mm.
    reach = min(10.0, at[-1] - at[0])
    slopes = np.where(
        (z_mm < at[0])[:, None],
        (spline(at[0] + reach) - spline(at[0])) / reach,
        (spline(at[-1]) - spline(at[-1] - reach)) / reach,
    )
    across = spline(held) + slopes * (z_mm - held)[:, None]
    return np.column_stack([across, z_mm]), z_mm


def _smooth_girth(half: FloatArray, slices: Array, z_mm: FloatArray, slice_mm: float) -> FloatArray:
    smooth = ndimage.gaussian_filter1d(half, max(GIRTH_SMOOTHING_MM / slice_mm, 1e-3), mode="nearest")
    return np.interp(z_mm, slices * slice_mm, smooth)


def cord_edges(scan: Volume, cord: Mask) -> FloatArray:
    """Return how far each edge to the fluid lies outside the surface of a cord mask, in mm; NaN where there is none.

    Args:
        scan: The image.
        cord: A mask on its grid, with at least one voxel.
    """
    las, inside = to_las(scan), np.ascontiguousarray(to_las(Volume(cord, scan.affine)).data.astype(bool))
    slices = np.flatnonzero(inside.any(axis=(0, 1)))
    centres, _ = _sections(inside, slices, las.spacing_mm)
    return _edge_gaps(las, _surface(inside), centres, slices)[1]


def _edge_gaps(las: Volume, surface: Float32Array, centres: FloatArray, slices: Array) -> tuple[Edges, FloatArray]:
    edges = measure_edges(las, centres, slices)
    return edges, edges.radius_mm - surface_radius_mm(surface, las.spacing_mm, centres, slices)


def _rim(las: Volume, surface: Float32Array, centres: FloatArray, slices: Array) -> tuple[Edges, float]:
    """Return the edges of the cord, and the median of their distances from the surface of the mask."""
    edges, gap = _edge_gaps(las, surface, centres, slices)
    return edges, float(np.clip(np.nanmedian(gap), 0, MAX_RIM_MM)) if np.isfinite(gap).any() else 0.0


def _surface(inside: Mask) -> Float32Array:
    smooth: Float32Array = ndimage.gaussian_filter(inside.astype(np.float32), SURFACE_SD_VOXELS, mode="nearest")
    return smooth
