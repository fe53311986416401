"""Rescans: the same person with the same lesions, in another position, with other noise, perhaps at another site.

A rescan is planned by another technician on the same protocol, so its field of view lies near that of the first scan.
Its header places it in the coordinates of the first scan, as after a registration: a lesion has the same place in both.
"""

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from cordlesion.io.arrays import Array
from cordlesion.simulate.acquisition import Acquisition
from cordlesion.simulate.anatomy import S_MM
from cordlesion.simulate.frame import CordFrame, Pose
from cordlesion.simulate.randomness import keyed_rng, normal

OTHER_SITE_SHARE = 0.5
"""Share of the rescans that are taken at another site."""
SHIFT_SD_MM, FORWARD_SD_MM, OFFSET_SD_MM = 4.0, 1.5, 0.8
"""Differences in the position of the field of view: along the cord, from front to back, sideways."""
PITCH_SD_DEG, TILT_SD_DEG = 1.5, 1.0
_REACH_MM = 10.0
"""Distance from the cord of the points that are matched."""


def rescan_acquisition(first: Acquisition, drawn: Acquisition, is_same_site: bool, *keys: int) -> Acquisition:
    """Return the acquisition of a rescan.

    Args:
        first: That of the first scan.
        drawn: One that was drawn for the rescan, at its site.
        is_same_site: Whether the protocol is that of the first scan, too; then the coil, noise and artefacts differ.
        keys: Seed, subject and number of the rescan.
    """
    pose = _near(first.pose, *keys)
    if not is_same_site:
        return replace(drawn, pose=pose)
    return replace(
        first,
        pose=pose,
        noise=drawn.noise,
        shading_z=drawn.shading_z,
        shading_back=drawn.shading_back,
        artefacts=drawn.artefacts,
        gain=drawn.gain,
    )


def _near(pose: Pose, *keys: int) -> Pose:
    rng = keyed_rng("rescan pose", *keys)
    return replace(
        pose,
        centre_s_mm=pose.centre_s_mm + normal(rng, 0, SHIFT_SD_MM, -10, 10),
        forward_mm=pose.forward_mm + normal(rng, 0, FORWARD_SD_MM, -4, 4),
        offset_mm=pose.offset_mm + normal(rng, 0, OFFSET_SD_MM, -2, 2),
        pitch=pose.pitch + float(np.radians(normal(rng, 0, PITCH_SD_DEG, -4, 4))),
        tilt=pose.tilt + float(np.tan(np.radians(normal(rng, 0, TILT_SD_DEG, -3, 3)))),
    )


def placement(first: CordFrame, second: CordFrame, in_view: Array) -> tuple[Array, Array]:
    """Return the rotation and the shift that place a rescan in the frame of the first scan.

    They fit points at and around the cord best (Kabsch, Acta Cryst. A 1976).

    Args:
        first: The cord in the first scan.
        second: In the rescan.
        in_view: Which points of the cord are in view, a mask of ``S_MM``.

    Returns:
        Shapes (3, 3) and (3,): ``rotation @ point + shift``.
    """
    fixed, moving = _points(first)[:, in_view].reshape(-1, 3), _points(second)[:, in_view].reshape(-1, 3)
    centres = fixed.mean(axis=0), moving.mean(axis=0)
    rotation = Rotation.align_vectors(fixed - centres[0], moving - centres[1])[0].as_matrix()
    return rotation, centres[0] - rotation @ centres[1]


def _points(frame: CordFrame) -> Array:
    """Return the centre of the cord, and points to its sides, shape (5, S, 3)."""
    centre = np.stack([frame.x_mm, frame.y_mm, frame.z_mm], axis=1)
    sideways = np.zeros_like(centre)
    sideways[:, 0] = _REACH_MM
    forward = _REACH_MM * np.stack([np.zeros(len(S_MM)), np.cos(frame.angle), np.sin(frame.angle)], axis=1)
    return np.stack([centre, centre + sideways, centre - sideways, centre + forward, centre - forward])
