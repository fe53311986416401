"""The cord's centre in each axial slice: read from a curve or a cord mask, and written as a curve."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy.interpolate import make_smoothing_spline

from cordlesion.cord.stray_voxels import Kept, centers, on_one_cord, without_specks
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import from_las, to_las
from cordlesion.io.progress import say
from cordlesion.io.volume import Volume, read_mask

LEAST_COVERAGE = 0.5
"""A curve that covers a smaller share of the axial slices may be one that was not finished."""
FEWEST_FOR_SPLINE = 5


@dataclass(frozen=True, eq=False)
class Centerline:
    """The cord's centre at some axial positions of a scan, in continuous voxel indices of the scan in LAS order."""

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    z: npt.NDArray[np.float64]
    """Strictly increasing; a gap is bridged by a straight line."""
    confidence: float | None = None
    """Mean probability along the curve that the cord's centre is there; None where the curve was not found by us."""
    remarks: tuple[str, ...] = ()
    """What its user should know of it, sentences without the name of its file."""

    def at(self, z: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return x and y at the axial positions ``z``; beyond an end the end's centre holds."""
        return np.interp(z, self.z, self.x), np.interp(z, self.z, self.y)

    def smoothed(self, spacing_mm: tuple[float, float, float], wavelength_mm: float) -> "Centerline":
        """Return the smoothing spline through the points, which halves waves of ``wavelength_mm`` along the cord.

        A curve drawn on the voxels of a sagittal scan jumps by a slice thickness from side to side; a cord does not.

        Args:
            spacing_mm: Voxel size of the scan in LAS order.
            wavelength_mm: Cut-off; 0 leaves the points as they are.
        """
        if wavelength_mm == 0 or len(self.z) < FEWEST_FOR_SPLINE:
            return self
        z_mm = self.z * spacing_mm[2]
        penalty = spline_penalty(wavelength_mm, float(np.mean(np.diff(z_mm))))
        x, y = (make_smoothing_spline(z_mm, values, lam=penalty)(z_mm) for values in (self.x, self.y))
        return Centerline(x, y, self.z, self.confidence, self.remarks)


def spline_penalty(wavelength_mm: float, step_mm: float) -> float:
    """Return the penalty with which a smoothing spline along the cord halves waves of a length.

    Through points ``step`` apart, a spline of penalty w damps a wave of angular frequency f by 1 / (1 + w f^4 step).

    Args:
        wavelength_mm: The wave that is halved; longer ones are damped less, shorter ones more.
        step_mm: Mean distance of the points.
    """
    return float((wavelength_mm / (2 * np.pi)) ** 4 / step_mm)


Finder: TypeAlias = Callable[[Volume], Centerline]
"""Looks for the cord in a scan."""


def read_centerline(path: Path | str, scan: Volume) -> Centerline:
    """Read a curve drawn on a NIfTI grid (one or more voxels in each axial slice that holds cord).

    The curve may lie on another grid than the scan: its points are carried over through world coordinates. Stray voxels
    are left out, and that is said.

    Raises:
        CordlesionError: The file is no mask, holds no voxel, or the curve leaves the image.
    """
    return _centers_of_mass(read_mask(path), scan)


def centerline_from_cord_mask(path: Path | str, scan: Volume) -> Centerline:
    """Take the centre of mass of a cord mask in each axial slice that has cord; stray voxels are left out.

    Raises:
        CordlesionError: The file is no mask, is empty, or is not on the scan's grid.
    """
    return _centers_of_mass(read_mask(path, like=scan), scan)


def coverage_remark(centerline: Centerline, scan: Volume, name: str | None = None) -> str | None:
    """Say how small a part of a scan a curve covers; None where it covers at least half of the axial slices.

    Args:
        centerline: The curve.
        scan: The image.
        name: What to call it; by default its path.
    """
    n_slices = to_las(scan).data.shape[2]
    z = np.arange(n_slices)
    held = int(((z >= centerline.z[0] - 0.5) & (z <= centerline.z[-1] + 0.5)).sum())
    if held >= LEAST_COVERAGE * n_slices:
        return None
    return (
        f"{name or scan.path}: the centerline covers {held} of {n_slices} axial slices "
        f"({100 * held / n_slices:.0f} %); no lesions are looked for in the others."
    )


def centerline_mask(centerline: Centerline, scan: Volume) -> npt.NDArray[np.bool_]:
    """Draw a curve on the scan's grid: the nearest voxel in each axial slice between its ends."""
    las = to_las(scan)
    nx, ny, nz = las.data.shape
    drawn = np.zeros((nx, ny, nz), bool)
    z = np.arange(math.ceil(centerline.z[0] - 0.5), math.floor(centerline.z[-1] + 0.5) + 1)
    z = z[(z >= 0) & (z < nz)]
    x, y = (np.rint(along).astype(int) for along in centerline.at(z.astype(np.float64)))
    drawn[x.clip(0, nx - 1), y.clip(0, ny - 1), z] = True
    return np.ascontiguousarray(from_las(drawn, scan)).astype(bool, copy=False)


def _centers_of_mass(mask: Volume, scan: Volume) -> Centerline:
    las = to_las(mask)
    marked = las.data.astype(bool, copy=False)
    if not marked.any():
        raise CordlesionError(
            f"{mask.path}: holds no voxel; the cord must be marked in at least one axial slice. Draw it and try again."
        )
    cord = without_specks(marked)
    found = centers(cord)
    kept = on_one_cord(found, las.spacing_mm)
    remarks = _remarks(int(marked.sum() - cord.sum()), kept)
    for remark in remarks:
        say(f"{mask.path}: {remark}")
    target = to_las(scan)
    points = nib.affines.apply_affine(np.linalg.inv(target.affine) @ las.affine, found[kept.points])
    _require_inside(points, target, mask.path)
    # On a rotated grid the order of slices need not be the order along the scan's axis.
    _, first = np.unique(np.round(points[:, 2], 6), return_index=True)
    x, y, z = points[first].T
    return Centerline(x, y, z, remarks=remarks)


def _remarks(n_specks: int, kept: Kept) -> tuple[str, ...]:
    """Say what of a drawn cord was not followed."""
    remarks = []
    if n_specks:
        remarks.append(f"{n_specks} voxels apart from the cord were left out of its centerline.")
    if n_stray := int((~kept.points).sum()):
        remarks.append(f"{n_stray} points far aside of the others were left out of the centerline.")
    if kept.is_steep:
        remarks.append(
            "the centerline runs more steeply to the side than a cord does; lesions are looked for along it all the "
            "same. Check that it follows the cord."
        )
    return tuple(remarks)


def _require_inside(points: npt.NDArray[np.float64], scan: Volume, path: Path | None) -> None:
    outside = ((points < -0.5) | (points > np.array(scan.data.shape) - 0.5)).any(axis=1)
    if outside.any():
        voxel = tuple(int(v) for v in np.round(points[outside][0]))
        raise CordlesionError(
            f"{path}: the centerline leaves {scan.path or 'the image'} at {int(outside.sum())} of {len(points)} points "
            f"(first at voxel {voxel}, image {scan.data.shape}); it must stay inside. Check that both belong together."
        )
