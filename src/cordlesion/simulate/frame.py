"""Maps points of the scan frame to positions along the cord.

The scan frame is in mm: x to the right, y to the front, z up; its origin is the middle of the field of view. The cord
bends only in the sagittal plane (its small sideways deviation shears the section), so (s, v) depends only on (y, z).
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from cordlesion.io.arrays import Array
from cordlesion.simulate.anatomy import S_MM, Anatomy

MAP_STEP_MM = 2.0
"""Step of the map from (y, z) to (s, v). Both are smooth; the error of linear interpolation is below 0.01 mm."""


@dataclass(frozen=True)
class Pose:
    """Position of the subject in one scan."""

    centre_s_mm: float
    """Position along the cord at the middle of the field of view."""
    forward_mm: float
    """Distance of the cord in front of the middle of the field of view, there."""
    pitch: float
    """Mean direction of the cord over the field of view, in the sagittal plane, radians."""
    offset_mm: float
    """Distance of the cord to the right of the middle, there."""
    tilt: float
    """Coronal slope: mm to the right per mm down."""
    roll: float
    """Rotation about the cord, radians."""


@dataclass(frozen=True, eq=False)
class CordFrame:
    """The curve of the cord in one scan, and the map from (y, z) to (s, v)."""

    y_mm: Array
    z_mm: Array
    """The curve at ``S_MM``."""
    x_mm: Array
    origin_mm: tuple[float, float]
    s_map: Array
    v_map: Array
    angle: Array
    """Direction of the curve in the sagittal plane, radians."""
    roll: float

    def section(self, y_mm: Array, z_mm: Array) -> tuple[Array, Array]:
        """Return (s, v) for points of the sagittal plane, in mm."""
        at = np.stack([(y_mm - self.origin_mm[0]) / MAP_STEP_MM, (z_mm - self.origin_mm[1]) / MAP_STEP_MM])
        s, v = (
            map_coordinates(table, at, order=1, mode="nearest", output=np.float32) for table in (self.s_map, self.v_map)
        )
        return s, v

    def at_height(self, z_mm: Array) -> tuple[Array, Array, Array]:
        """Return (s, x, y) of the centre of the cord at heights ``z_mm``; s is NaN beyond the ends of the curve."""
        # z decreases monotonically with s, because the cord never turns upwards.
        s = np.interp(-z_mm, -self.z_mm, S_MM, left=np.nan, right=np.nan)
        return s, np.interp(s, S_MM, self.x_mm), np.interp(s, S_MM, self.y_mm)


def cord_frame(anatomy: Anatomy, pose: Pose, half_ap_mm: float, half_si_mm: float) -> CordFrame:
    """Place the cord of a subject in the field of view and tabulate the map to (s, v)."""
    in_view = np.abs(S_MM - pose.centre_s_mm) < half_si_mm
    angle = anatomy.direction - anatomy.direction[in_view].mean() + pose.pitch
    y, z = _curve(angle, pose)
    x = anatomy.lateral_mm + pose.offset_mm + pose.tilt * (S_MM - pose.centre_s_mm)
    x = x - np.interp(pose.centre_s_mm, S_MM, anatomy.lateral_mm)
    grid_y = np.arange(-half_ap_mm - 4, half_ap_mm + 6, MAP_STEP_MM)
    grid_z = np.arange(-half_si_mm - 14, half_si_mm + 16, MAP_STEP_MM)
    s_map, v_map = _invert(y, z, angle, *np.meshgrid(grid_y, grid_z, indexing="ij"))
    return CordFrame(y, z, x, (grid_y[0], grid_z[0]), s_map, v_map, angle, pose.roll)


def _curve(angle: Array, pose: Pose) -> tuple[Array, Array]:
    step = float(S_MM[1] - S_MM[0])
    y, z = np.cumsum(np.sin(angle)) * step, -np.cumsum(np.cos(angle)) * step
    y += pose.forward_mm - np.interp(pose.centre_s_mm, S_MM, y)
    z -= np.interp(pose.centre_s_mm, S_MM, z)
    return y, z


def _invert(y: Array, z: Array, angle: Array, grid_y: Array, grid_z: Array) -> tuple[Array, Array]:
    """Find, by Newton iterations, the s whose normal plane contains each grid point."""
    turn = np.gradient(angle, S_MM)
    s = np.interp(-grid_z, -z, S_MM)
    for _ in range(8):
        a = np.interp(s, S_MM, angle)
        dy, dz = grid_y - np.interp(s, S_MM, y), grid_z - np.interp(s, S_MM, z)
        ahead = dy * np.sin(a) - dz * np.cos(a)
        v = dy * np.cos(a) + dz * np.sin(a)
        # Beyond the centre of curvature the section is not unique; damping keeps distant points stable.
        slope = np.maximum(1 - np.interp(s, S_MM, turn) * v, 0.4)
        s = np.clip(s + ahead / slope, S_MM[0], S_MM[-1])
    return s, v
