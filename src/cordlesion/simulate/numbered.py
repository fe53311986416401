"""Which voxel of a simulated scan belongs to which true lesion, and what is known of each lesion in view."""

import numpy as np

from cordlesion.io.arrays import Array, UInt8Array
from cordlesion.simulate import levels
from cordlesion.simulate.anatomy import S_MM
from cordlesion.simulate.frame import CordFrame
from cordlesion.simulate.scan import SimulatedScan, frame_of, in_storage
from cordlesion.simulate.spindle import Lesion, spindle
from cordlesion.simulate.true_lesions import TrueLesion

HALF = 0.5
"""Voxels with a larger share of lesion belong to the true mask."""


def number_lesions(scan: SimulatedScan, scan_id: str, subject: str) -> tuple[UInt8Array, list[TrueLesion]]:
    """Return the mask with the number of each lesion, in the orientation of the stored file, and the row of each.

    A voxel belongs to the lesion whose level function is lowest there. Lesions are numbered from the top.
    """
    share = scan.evidence.share
    numbered = np.zeros(share.shape, np.uint8)
    inside = np.argwhere(share > 0)
    frame = frame_of(scan.anatomy, scan.acquisition)
    u, v, s = _coordinates(scan, frame, inside)
    owner = _owner(scan, u, v, s)
    shares = share[tuple(inside.T)]
    top = _top_of_cord(scan, frame)
    rows: list[TrueLesion] = []
    for index, lesion in enumerate(scan.lesions):
        mine = owner == index
        if not mine.any():
            continue
        number = len(rows) + 1
        numbered[tuple(inside[mine & (shares > HALF)].T)] = number
        place = tuple(float(np.average(axis[mine], weights=shares[mine])) for axis in (u, v))
        voxels = tuple(inside[mine].T)
        rows.append(
            _row(scan, lesion, scan_id, subject, number, shares[mine], scan.evidence.excess[voxels], place, top)
        )
    return np.asarray(in_storage(numbered, scan), np.uint8), rows


def _coordinates(scan: SimulatedScan, frame: CordFrame, index: Array) -> tuple[Array, Array, Array]:
    """Return (u, v, s) of the centres of voxels, axes right, front, up."""
    x, y, z = (scan.acquisition.axis_mm(axis)[index[:, axis]] for axis in range(3))
    s, v = frame.section(y, z)
    from_cord = (x - np.interp(s, S_MM, frame.x_mm)).astype(np.float32)
    cosine, sine = np.float32(np.cos(frame.roll)), np.float32(np.sin(frame.roll))
    return cosine * from_cord + sine * v, cosine * v - sine * from_cord, s


def _owner(scan: SimulatedScan, u: Array, v: Array, s: Array) -> Array:
    """Return the index of the lesion of each point; -1 without lesions."""
    if not scan.lesions:
        return np.full(len(s), -1)
    girth = scan.anatomy.semi_axes(s)
    level = [spindle(lesion, u, v, s, girth, scan.anatomy.texture) for lesion in scan.lesions]
    return np.asarray(np.argmin(level, axis=0))


def _top_of_cord(scan: SimulatedScan, frame: CordFrame) -> float:
    """Return the position of the upper end of the cord in the scan."""
    heights = scan.acquisition.axis_mm(2)[scan.evidence.cord.any(axis=(0, 1))]
    s, _, _ = frame.at_height(heights + scan.acquisition.spacing_mm[2] / 2)
    return float(np.nanmin(s)) if np.isfinite(s).any() else 0.0


def _row(
    scan: SimulatedScan,
    lesion: Lesion,
    scan_id: str,
    subject: str,
    number: int,
    shares: Array,
    excess: Array,
    place: tuple[float, ...],
    top_mm: float,
) -> TrueLesion:
    voxel_mm3 = float(np.prod(scan.acquisition.spacing_mm))
    right, front = place
    return TrueLesion(
        scan_id=scan_id,
        subject=subject,
        lesion=number,
        volume_mm3=round(float(shares.sum(dtype=float)) * voxel_mm3, 3),
        mask_volume_mm3=round(int((shares > HALF).sum()) * voxel_mm3, 3),
        length_mm=round(lesion.length_mm, 2),
        contrast=round(scan.signals.contrast(lesion), 4),
        peak_contrast=round(1 + float(excess.max()), 4),
        column=lesion.column,
        level=levels.NAMES[int(levels.level_index(np.array(lesion.centre_s_mm)))],
        position_mm=round(lesion.centre_s_mm - top_mm, 2),
        distance_mm=round(float(np.hypot(right, front)), 2),
        left_mm=round(-right, 2),
        anterior_mm=round(front, 2),
    )
