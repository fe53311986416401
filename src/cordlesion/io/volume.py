"""Volumes from and to NIfTI files: safe reading, atomic writing (leaf module)."""

import math
from pathlib import Path

import nibabel as nib
import numpy as np

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import AnyArray, Mask
from cordlesion.io.grid import Volume as Volume
from cordlesion.io.grid import placement_remark as placement_remark
from cordlesion.io.grid import require_same_grid as require_same_grid
from cordlesion.io.grid import transform_used as transform_used
from cordlesion.io.nifti_file import open_nifti
from cordlesion.io.probability import as_probabilities
from cordlesion.io.writing import atomic_path

VALUE_ROUNDING = 1e-6
"""Values of a mask closer than this, relative to the larger, are one value."""
# Up to this many values other than 0 are labels of anatomy; so are whole numbers up to an 8-bit label.
_FEW_VALUES = 9
_MOST_LABELS = 255
_GEOMETRY = ("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
             "sform_code", "srow_x", "srow_y", "srow_z", "xyzt_units")  # fmt: skip


class SeveralValuesError(CordlesionError):
    """A mask has several values, and which one is lesion is unknown."""

    def __init__(self, message: str, are_labels: bool) -> None:
        super().__init__(message)
        self.are_labels = are_labels
        """Whether the values are labels of anatomy or lesions, not intensities of an image."""


def read_volume(path: Path | str) -> Volume:
    """Read a 3-D NIfTI file.

    Raises:
        CordlesionError: The file is missing, a folder, truncated, not NIfTI, not 3-D, empty, or holds NaN or infinity.
    """
    path = Path(path)
    file = open_nifti(path)
    data = file.read()
    low, high = float(data.min()), float(data.max())  # they reveal NaN and infinity without a boolean array
    if not (math.isfinite(low) and math.isfinite(high)):
        n = sum(int(np.count_nonzero(~np.isfinite(part))) for part in np.moveaxis(data, -1, 0))
        raise CordlesionError(
            f"{path}: holds NaN or infinite voxels ({n} of {data.size}); finite intensities are needed. "
            "Replace them and try again."
        )
    return Volume(data, file.affine, file.header, path)


def read_grid(path: Path | str) -> Volume:
    """Read only the header of a NIfTI file: a volume of zeros that takes no memory, as the grid of others.

    Raises:
        CordlesionError: The file is missing, is not NIfTI, or its header is not valid.
    """
    file = open_nifti(Path(path))
    return Volume(np.broadcast_to(np.uint8(0), file.shape), file.affine, file.header, file.path)


def read_scan(path: Path | str) -> Volume:
    """Read an image to be segmented, as float32.

    Raises:
        CordlesionError: As :func:`read_volume`, or all voxels have one value, or two, as in a mask.

    Examples:
        >>> import cordlesion
        >>> scan = cordlesion.read_scan("scan.nii.gz")
        >>> scan.data.shape, scan.data.dtype.name, tuple(round(mm, 2) for mm in scan.spacing_mm)
        ((24, 24, 40), 'float32', (0.6, 0.6, 0.6))
    """
    volume = read_volume(path)
    with np.errstate(over="ignore"):
        data = volume.data.astype(np.float32, copy=False)
    low, high = float(data.min()), float(data.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise CordlesionError(
            f"{path}: holds intensities beyond {np.finfo(np.float32).max:.1g}; values that fit into 32-bit floats are "
            "needed. Rescale the scan."
        )
    if low == high:
        raise CordlesionError(
            f"{path}: every voxel has the value {low:g}; a scan with contrast is needed. Check the export of this scan."
        )
    if _holds_only(data, low, high):
        raise CordlesionError(
            f"{path}: holds the values {low:g} and {high:g} only, as a mask does; a scan is needed. "
            "Give the image, not a segmentation of it."
        )
    return Volume(data, volume.affine, volume.header, volume.path)


def _holds_only(data: AnyArray, low: float, high: float) -> bool:
    # Slice by slice, so that a scan that is not a mask is recognised at once.
    return all(bool(np.all((part == low) | (part == high))) for part in np.moveaxis(data, -1, 0))


def read_mask(path: Path | str, like: Volume | None = None, value: float | None = None) -> Volume:
    """Read a mask as a boolean volume.

    Args:
        path: The file.
        like: The grid it must share.
        value: Only voxels of this value are inside, whatever others there are; by default any single value but 0 (1,
            255), which the result's ``mask_value`` holds.

    Raises:
        CordlesionError: As :func:`read_volume`; more than one non-zero value (:class:`SeveralValuesError`); or another
            grid than ``like``.

    Examples:
        >>> import cordlesion
        >>> mask = cordlesion.read_mask("mask.nii.gz", like=cordlesion.read_scan("scan.nii.gz"))
        >>> mask.data.dtype, mask.mask_value
        (dtype('bool'), 1.0)
    """
    volume = read_volume(path)
    inside = volume.data != 0 if value is None else np.isclose(volume.data, value, rtol=VALUE_ROUNDING, atol=0)
    found = _only_value(volume, inside) if value is None else _given_value(volume, inside, value)
    mask = Volume(inside, volume.affine, volume.header, volume.path, found)
    if like is not None:
        require_same_grid(mask, like)
    return mask


def _given_value(volume: Volume, inside: Mask, value: float) -> float | None:
    """Return the value if the mask contains it, else the highest of the others; None if the mask is empty."""
    return value if inside.any() else float(volume.data.max()) or None


def _only_value(volume: Volume, inside: Mask) -> float | None:
    if volume.data.dtype == np.uint8 and (highest := int(volume.data.max())) <= 1:
        return float(highest) or None
    values = np.unique(volume.data.T[inside.T])  # transposed, because selecting in Fortran order is far slower
    if not len(values):
        return None
    low, high = float(values[0]), float(values[-1])
    if high - low > VALUE_ROUNDING * max(abs(low), abs(high)):
        raise SeveralValuesError(
            f"{volume.path}: a mask with 0 and one other value is needed, found {len(values)} other values "
            f"({low:.9g} to {high:.9g}). Say which one is lesion (--lesion-value; `lesion_value` in a study), "
            f"or binarize it first.{_numbered_remark(volume.path)}",
            _are_labels(values),
        )
    return high


def _numbered_remark(path: Path | None) -> str:
    """Return what takes a file of numbered lesions, where its name is that of one."""
    is_numbered = path is not None and path.name.removesuffix(".gz").removesuffix(".nii").endswith("_dseg")
    return " If each value is a lesion, `evaluate` takes it with --instances." if is_numbered else ""


def _are_labels(values: AnyArray) -> bool:
    """Return whether values are labels of a segmentation: few values, or integers."""
    whole = len(values) <= _MOST_LABELS and bool(np.array_equal(values, np.round(values)))
    return len(values) <= _FEW_VALUES or whole


def read_probability(path: Path | str, like: Volume | None = None) -> Volume:
    """Read a probability map as float32; values outside [0, 1] by up to 1e-3 (rounding) are clipped.

    Raises:
        CordlesionError: As :func:`read_volume`; values farther outside [0, 1]; or another grid than ``like``.

    Examples:
        >>> import cordlesion
        >>> probability = cordlesion.read_probability("map.nii.gz")
        >>> probability.data.dtype.name, bool(probability.data.max() <= 1)
        ('float32', True)
    """
    volume = read_volume(path)
    data = as_probabilities(volume.data, path, "Export probabilities, not logits or percentages.")
    probability = Volume(data, volume.affine, volume.header, volume.path)
    if like is not None:
        require_same_grid(probability, like)
    return probability


def write_volume(path: Path | str, data: AnyArray, like: Volume) -> None:
    """Write ``data`` atomically on the grid of ``like``, copying its geometry (both transforms, their codes) exactly.

    Args:
        path: Target, ending in ``.nii`` or ``.nii.gz``.
        data: Array of the shape of ``like``; booleans are stored as uint8.
        like: The volume whose space the output shares.

    Raises:
        CordlesionError: The folder cannot be written.

    Examples:
        A probability map is cut, and the mask gets the map's place in space.

        >>> import cordlesion
        >>> probability = cordlesion.read_probability("map.nii.gz")
        >>> mask = cordlesion.binarize(probability.data, 0.3)
        >>> cordlesion.write_volume("new_mask.nii.gz", mask, like=probability)
        >>> cordlesion.read_mask("new_mask.nii.gz").spacing_mm == probability.spacing_mm
        True
    """
    if not str(path).endswith((".nii", ".nii.gz")):
        raise CordlesionError(
            f"{path}: a name that ends in .nii.gz or .nii is needed for an image. Choose another name."
        )
    if data.shape != like.data.shape:
        raise ValueError(f"data has shape {data.shape}, the grid has {like.data.shape}")
    stored = data.view(np.uint8) if data.dtype == bool else data
    # In the unit of the header, which is copied: the affine of a volume is in millimetres.
    image = nib.Nifti1Image(stored, like.affine if like.header is None else like.header.get_best_affine())
    if like.header is not None:
        _copy_geometry(like.header, image.header)
    else:
        image.header.set_xyzt_units("mm")
    with atomic_path(Path(path)) as temporary:
        nib.save(image, temporary)


def _copy_geometry(source: nib.Nifti1Header, target: nib.Nifti1Header) -> None:
    """Copy both transforms bit by bit; a conversion to matrices would round the quaternion again."""
    for field in _GEOMETRY:
        target[field] = source[field]
    target["pixdim"][:4] = source["pixdim"][:4]
