"""The centre of the cord in each axial slice: read from a curve or a cord mask, and drawn as a curve."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import nibabel as nib
import numpy as np
from scipy.interpolate import make_smoothing_spline

from cordlesion.cord.ends import Ends
from cordlesion.cord.stray_voxels import ContinuousPart, centers, remove_specks, select_continuous
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray, IntArray, Mask
from cordlesion.io.orient import file_index, from_las, to_las
from cordlesion.io.progress import show_message
from cordlesion.io.volume import Volume, read_mask

MIN_COVERAGE = 0.5
"""A curve that covers a smaller share of the axial slices may be unfinished; users are warned."""
MIN_SURE = 0.5
"""Where the probability of cord is lower, users are warned."""
MIN_SPLINE_POINTS = 5


@dataclass(frozen=True, eq=False)
class Centerline:
    """The centre of the cord at some axial positions, in continuous voxel indices of the scan in LAS order."""

    x: FloatArray
    y: FloatArray
    z: FloatArray
    """Strictly increasing; between two points the curve is a straight line."""
    confidence: float | None = None
    """Probability of the cord along the least sure 10 mm of the curve; None for a curve that no detector found."""
    remarks: tuple[str, ...] = ()
    """Warnings for the user, as sentences without the file name."""
    slice_confidence: FloatArray | None = None
    """Probability of the cord at each point of the curve; None for a curve that no detector found."""
    ends: Ends | None = None
    """Why the curve ends where it does; None for a drawn curve, whose ends are the decision of who drew it."""

    def at(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return x and y at the axial positions ``z``; beyond an end, x and y of that end."""
        return np.interp(z, self.z, self.x), np.interp(z, self.z, self.y)

    def smoothed(self, spacing_mm: tuple[float, float, float], wavelength_mm: float) -> "Centerline":
        """Return the smoothing spline of the points. It halves the amplitude of waves of ``wavelength_mm``.

        A curve drawn on the voxels of a sagittal scan jumps sideways by a slice thickness; a cord does not.

        Args:
            spacing_mm: Voxel size of the scan in LAS order.
            wavelength_mm: Cut-off; 0 means no smoothing.
        """
        if wavelength_mm == 0 or len(self.z) < MIN_SPLINE_POINTS:
            return self
        z_mm = self.z * spacing_mm[2]
        penalty = spline_penalty(wavelength_mm, float(np.mean(np.diff(z_mm))))
        x, y = (make_smoothing_spline(z_mm, values, lam=penalty)(z_mm) for values in (self.x, self.y))
        return replace(self, x=x, y=y)


def spline_penalty(wavelength_mm: float, step_mm: float) -> float:
    """Return the penalty of a smoothing spline that halves the amplitude of waves of ``wavelength_mm``.

    For points ``step`` apart, a penalty w multiplies a wave of angular frequency f by 1 / (1 + w f^4 step).

    Args:
        wavelength_mm: Wavelength that is halved. Longer waves are damped less, shorter waves more.
        step_mm: Mean distance between the points.
    """
    return float((wavelength_mm / (2 * np.pi)) ** 4 / step_mm)


Finder: TypeAlias = Callable[[Volume], Centerline]
"""A function that finds the cord in a scan."""


def read_centerline(path: Path | str, scan: Volume) -> Centerline:
    """Read a curve drawn on a NIfTI grid (one or more voxels in each axial slice with cord).

    The curve may have another grid than the scan: its points are mapped through world coordinates. Stray voxels are
    left out, with a warning.

    Raises:
        CordlesionError: The file is not a mask, is empty, or the curve leaves the image.
    """
    return _centers_of_mass(read_mask(path), scan)


def centerline_from_cord_mask(path: Path | str, scan: Volume) -> Centerline:
    """Return the centre of mass of a cord mask in each axial slice with cord; stray voxels are left out.

    Raises:
        CordlesionError: The file is not a mask, is empty, or is not on the grid of the scan.
    """
    return _centers_of_mass(read_mask(path, like=scan), scan)


def coverage_remark(centerline: Centerline, scan: Volume, name: str | None = None) -> str | None:
    """Return a warning if a drawn curve covers less than half of the axial slices, or a found one is uncertain.

    A curve that was found gives reasons for its ends; :func:`lost_remark` reports those that are lost.

    Args:
        centerline: The curve.
        scan: The image.
        name: Name of the scan in the warning; by default its path.
    """
    if centerline.ends is not None:
        return _doubt(centerline, scan, name)
    n_slices = to_las(scan).data.shape[2]
    covered = len(slices_of(centerline, n_slices))
    if covered >= MIN_COVERAGE * n_slices:
        return None
    return (
        f"{name or scan.path}: the centerline covers {covered} of {n_slices} axial slices "
        f"({100 * covered / n_slices:.0f} %); no lesions are looked for in the others."
    )


def _doubt(centerline: Centerline, scan: Volume, name: str | None) -> str | None:
    """Return a warning if the cord is more likely absent than present along 10 mm, with the longest such stretch."""
    if centerline.confidence is None or centerline.slice_confidence is None or centerline.confidence >= MIN_SURE:
        return None
    las, z = to_las(scan), np.rint(centerline.z).astype(int)
    # A slice that the curve skips shows no cord.
    unsure = np.ones(z[-1] - z[0] + 1, bool)
    unsure[z - z[0]] = centerline.slice_confidence < MIN_SURE
    runs = np.split(np.arange(z[0], z[-1] + 1), np.flatnonzero(np.diff(unsure)) + 1)
    longest = max((run for run in runs if unsure[run[0] - z[0]]), key=len, default=z)
    upper, lower = (file_index(scan, las, int(longest[at])) for at in (-1, 0))
    return (
        f"{name or scan.path}: the cord is uncertain along {len(longest) * las.spacing_mm[2]:.0f} mm (axial slices "
        f"{upper} to {lower}). Look whether the centerline follows it there."
    )


def lost_remark(centerline: Centerline, scan: Volume, name: str | None = None) -> str | None:
    """Return a warning if the cord was lost at an end of a curve, else None.

    Args:
        centerline: The curve.
        scan: The image.
        name: Name of the scan in the warning; by default its path.
    """
    if centerline.ends is None or not centerline.ends.lost:
        return None
    las = to_las(scan)
    z = slices_of(centerline, las.data.shape[2])
    beyond = {"superior": (int(z[-1]), las.data.shape[2] - 1 - int(z[-1])), "inferior": (int(z[0]), int(z[0]))}
    places = [
        f"at its {end} end, axial slice {file_index(scan, las, at)} ({n} slices, {n * las.spacing_mm[2]:.0f} mm, are "
        "beyond it)"
        for end, (at, n) in beyond.items()
        if end in centerline.ends.lost
    ]
    return f"{name or scan.path}: the cord was lost {' and '.join(places)}; nothing is searched there."


def slices_of(centerline: Centerline, n_slices: int) -> IntArray:
    """Return the axial slices (LAS index) that a curve covers, of the ``n_slices`` of the scan."""
    z = np.arange(math.ceil(centerline.z[0] - 0.5), math.floor(centerline.z[-1] + 0.5) + 1)
    return z[(z >= 0) & (z < n_slices)]


def centerline_mask(centerline: Centerline, scan: Volume) -> Mask:
    """Draw a curve on the grid of the scan: the nearest voxel in each axial slice between its ends."""
    las = to_las(scan)
    nx, ny, nz = las.data.shape
    drawn = np.zeros((nx, ny, nz), bool)
    z = slices_of(centerline, nz)
    x, y = (np.rint(along).astype(int) for along in centerline.at(z.astype(np.float64)))
    drawn[x.clip(0, nx - 1), y.clip(0, ny - 1), z] = True
    return np.ascontiguousarray(from_las(drawn, scan)).astype(bool, copy=False)


def _centers_of_mass(mask: Volume, scan: Volume) -> Centerline:
    las = to_las(mask)
    marked = las.data.astype(bool, copy=False)
    if not marked.any():
        raise CordlesionError(
            f"{mask.path}: is empty; the cord must be marked in at least one axial slice. Draw it and try again."
        )
    cord = remove_specks(marked)
    found = centers(cord)
    part = select_continuous(found, las.spacing_mm)
    remarks = _remarks(int(marked.sum() - cord.sum()), part)
    for remark in remarks:
        show_message(f"{mask.path}: {remark}")
    target = to_las(scan)
    points = nib.affines.apply_affine(np.linalg.inv(target.affine) @ las.affine, found[part.points])
    _require_inside(points, target, mask.path)
    # On a rotated grid, slices may have another order than along the axis of the scan.
    _, first = np.unique(np.round(points[:, 2], 6), return_index=True)
    x, y, z = points[first].T
    return Centerline(x, y, z, remarks=remarks)


def _remarks(n_specks: int, part: ContinuousPart) -> tuple[str, ...]:
    """Return warnings about the parts of a drawn cord that were left out."""
    remarks = []
    if n_specks:
        remarks.append(f"{n_specks} voxels that are not connected to the cord were left out of its centerline.")
    if n_stray := int((~part.points).sum()):
        remarks.append(f"{n_stray} points far from the others were left out of the centerline.")
    if part.is_steep:
        remarks.append(
            "the centerline moves sideways more steeply than a cord does; it is used as it is. Check that it follows "
            "the cord."
        )
    return tuple(remarks)


def _require_inside(points: FloatArray, scan: Volume, path: Path | None) -> None:
    outside = ((points < -0.5) | (points > np.array(scan.data.shape) - 0.5)).any(axis=1)
    if outside.any():
        voxel = tuple(int(v) for v in np.round(points[outside][0]))
        raise CordlesionError(
            f"{path}: the centerline leaves {scan.path or 'the image'} at {int(outside.sum())} of {len(points)} points "
            f"(first at voxel {voxel}, image {scan.data.shape}); it must stay inside. Check that both are of one scan."
        )
