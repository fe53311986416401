"""Volumes: an array with its affine, and the comparison of grids (leaf module)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import AnyArray, FloatArray
from cordlesion.io.nifti_file import unit_factor

# Two grids are equal if no voxel centre differs by more than this; NIfTI stores affines as float32.
GRID_TOLERANCE_MM = 1e-3


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3-D array and the affine that maps voxel indices to millimetres (RAS+, as in nibabel).

    Examples:
        >>> import cordlesion
        >>> import numpy as np
        >>> volume = cordlesion.Volume(np.zeros((4, 5, 6)), np.diag([-0.5, 0.5, 2.0, 1.0]))
        >>> volume.spacing_mm, volume.orientation
        ((0.5, 0.5, 2.0), 'LAS')
    """

    data: AnyArray
    """Voxel values, shape (X, Y, Z)."""
    affine: FloatArray
    """Voxel-to-world matrix, shape (4, 4)."""
    header: nib.Nifti1Header | None = None
    """Header of the file it came from; outputs on the same grid copy its geometry exactly."""
    path: Path | None = None
    """The file it came from, for messages."""
    mask_value: float | None = None
    """Of a mask: the value of its voxels in the file; where it was read for a given value that it lacks, the highest of
    the others. None where the file holds none, or it is not from a file."""

    def __repr__(self) -> str:
        shape, spacing = (" x ".join(f"{edge:g}" for edge in edges) for edges in (self.data.shape, self.spacing_mm))
        of_file = f", {self.path.name}" if self.path else ""
        return f"Volume({shape} voxels of {spacing} mm, {self.orientation}{of_file})"

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along each index axis."""
        x, y, z = nib.affines.voxel_sizes(self.affine)
        return float(x), float(y), float(z)

    @property
    def orientation(self) -> str:
        """Direction of each index axis, in nibabel's axis codes, e.g. ``"LAS"``."""
        return "".join(nib.aff2axcodes(self.affine))


def transform_used(volume: Volume) -> Literal["sform", "qform", "none"]:
    """Return the transform of the file that is used: the sform if its code is set, as in nibabel, FSL and SCT."""
    header = volume.header
    if header is None or header["sform_code"] > 0:
        return "sform"
    return "qform" if header["qform_code"] > 0 else "none"


def placement_remark(volume: Volume, name: str | None = None) -> str | None:
    """Return a warning about the used transform if the two of a file disagree or both are missing, else None.

    Tools differ in which of the two they follow, so that masks made elsewhere may lie elsewhere.

    Args:
        volume: Read from a file.
        name: What to call it; by default its path.
    """
    header, used, named = volume.header, transform_used(volume), name or volume.path
    if used == "none":
        return (
            f"{named}: has neither sform nor qform, so its orientation is a guess: {volume.orientation} "
            "(index axes point to). Set one of them if left and right matter."
        )
    if header is None or not (header["sform_code"] > 0 and header["qform_code"] > 0):
        return None
    try:
        qform = _in_mm(header.get_qform(), header)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError):
        return f"{named}: its sform is used; its qform is invalid."
    shift_mm = _farthest_mm(volume.affine, qform, volume.data.shape)
    if shift_mm <= _tolerance_mm(volume):
        return None
    return f"{named}: its sform is used; its qform would place voxels up to {_length(shift_mm, 1)} mm elsewhere."


def require_same_grid(volume: Volume, like: Volume) -> None:
    """Check that two volumes have the same shape and position.

    Raises:
        CordlesionError: They do not; the sentence names both files.
    """
    name, other = volume.path or "the volume", like.path or "the image"
    if volume.data.shape != like.data.shape:
        raise CordlesionError(
            f"{name}: has shape {volume.data.shape} but {other} has {like.data.shape}; both must share one grid. "
            "Resample the first one to the second with nearest neighbour."
        )
    distance_mm = _farthest_mm(volume.affine, like.affine, like.data.shape)
    if distance_mm > _tolerance_mm(like):
        remarks = [f" {remark}" for one in (volume, like) if (remark := placement_remark(one))]
        raise CordlesionError(
            f"{name}: lies up to {_length(distance_mm, 2)} mm away from {other} although both have shape "
            f"{like.data.shape}; both must share one grid. Resample the first one to the second with nearest neighbour."
            f"{''.join(remarks)}"
        )


def _farthest_mm(first: FloatArray, second: FloatArray, shape: tuple[int, ...]) -> float:
    """Return the largest distance between positions of a voxel under two affines; it is at a corner of the image."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij")).reshape(3, -1).T
    shift = nib.affines.apply_affine(first, corners) - nib.affines.apply_affine(second, corners)
    return float(np.linalg.norm(shift, axis=1).max())


def _tolerance_mm(grid: Volume) -> float:
    # An axis flip or a half-voxel shift is far above rounding, which grows with the field of view.
    return max(GRID_TOLERANCE_MM, 0.05 * min(grid.spacing_mm))


def _in_mm(affine: FloatArray, header: nib.Nifti1Header) -> FloatArray:
    """Return an affine of a header in millimetres."""
    factor = unit_factor(header)
    scaled: FloatArray = affine * np.array([[factor], [factor], [factor], [1.0]])
    return scaled


def _length(mm: float, decimals: int) -> str:
    """Return a length with the given decimals, or with its first digit if these would be zeros."""
    return f"{mm:.{decimals}f}" if mm >= 0.5 * 10**-decimals else f"{mm:.1g}"
