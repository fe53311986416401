"""Reorientation to index order left-anterior-superior ("LAS" for nibabel, "RPI" for the Spinal Cord Toolbox)."""

import nibabel as nib
import numpy as np

from cordlesion.io.arrays import AnyArray
from cordlesion.io.volume import Volume

_LAS = nib.orientations.axcodes2ornt("LAS")


def to_las(volume: Volume) -> Volume:
    """Return ``volume`` with permuted and flipped axes, so that indices increase to L, A and S; no resampling.

    The data is a view. An oblique volume stays oblique: each axis is assigned to the nearest anatomical direction.

    Examples:
        >>> import cordlesion
        >>> import numpy as np
        >>> volume = cordlesion.Volume(np.zeros((4, 5, 6)), np.diag([0.5, 0.5, 2.0, 1.0]))
        >>> volume.orientation, cordlesion.to_las(volume).orientation
        ('RAS', 'LAS')
    """
    transform = nib.orientations.ornt_transform(nib.io_orientation(volume.affine), _LAS)
    data = nib.orientations.apply_orientation(volume.data, transform)
    affine = volume.affine @ nib.orientations.inv_ornt_aff(transform, volume.data.shape)
    return Volume(data, affine, None, volume.path)


def from_las(data: AnyArray, like: Volume) -> AnyArray:
    """Inverse of :func:`to_las`: convert an array in LAS order to the orientation of ``like``."""
    transform = nib.orientations.ornt_transform(_LAS, nib.io_orientation(like.affine))
    restored: AnyArray = nib.orientations.apply_orientation(data, transform)
    return restored


def file_index(scan: Volume, las: Volume, z: int) -> str:
    """Return the index of an axial slice in the file, with the letter of its axis: ``k = 18``.

    Args:
        scan: The scan as it is stored.
        las: The scan, or a part of it, in LAS order.
        z: Index of the slice there.
    """
    axis, index = file_slice(scan, las, z)
    return f"{axis} = {index}"


def file_slice(scan: Volume, las: Volume, z: int) -> tuple[str, int]:
    """Return the axis of the axial slices in the file (i, j or k), and the index of one; as :func:`file_index`."""
    change = np.linalg.inv(scan.affine) @ las.affine
    axis = int(np.abs(change[:3, 2]).argmax())
    return "ijk"[axis], round(float(change[axis] @ (0, 0, z, 1)))
