"""Volumes: an array with its place in space; safe NIfTI reading and atomic writing (leaf module)."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
import numpy.typing as npt

from cordlesion.errors import CordlesionError
from cordlesion.io.nifti_file import open_nifti, unit_factor
from cordlesion.io.probability import as_probabilities
from cordlesion.io.writing import atomic_path

# Two grids are the same when no voxel centre differs by more than this; NIfTI stores affines as float32.
GRID_TOLERANCE_MM = 1e-3
VALUE_ROUNDING = 1e-6
"""Values of a mask closer than this, relative to the larger, are one value."""
# So many values beside 0 are parts of the anatomy whatever they are, and whole numbers up to an 8-bit label are.
_FEW_VALUES = 9
_MOST_LABELS = 255
_GEOMETRY = ("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
             "sform_code", "srow_x", "srow_y", "srow_z", "xyzt_units")  # fmt: skip


class SeveralValuesError(CordlesionError):
    """A mask marks by several values, and nothing says which one is meant."""

    def __init__(self, message: str, are_labels: bool) -> None:
        super().__init__(message)
        self.are_labels = are_labels
        """Whether the values number parts of the anatomy or lesions, as those of an image do not."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3-D array and the affine that maps voxel indices to millimetres (RAS+, as in nibabel)."""

    data: npt.NDArray[np.generic]
    """Voxel values, shape (X, Y, Z)."""
    affine: npt.NDArray[np.float64]
    """Voxel-to-world matrix, shape (4, 4)."""
    header: nib.Nifti1Header | None = None
    """Header of the file it came from; outputs on the same grid copy its geometry exactly."""
    path: Path | None = None
    """The file it came from, for messages."""
    mask_value: float | None = None
    """Of a mask: the value of its voxels in the file; where it was read for a given value that it lacks, the highest of
    the others. None where the file holds none, or it is not from a file."""

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along each index axis."""
        x, y, z = nib.affines.voxel_sizes(self.affine)
        return float(x), float(y), float(z)

    @property
    def orientation(self) -> str:
        """Where each index axis points to, in nibabel's letters, e.g. ``"LAS"``."""
        return "".join(nib.aff2axcodes(self.affine))


def transform_used(volume: Volume) -> Literal["sform", "qform", "none"]:
    """Say which transform of its file places a volume: the sform where it is coded, as in nibabel, FSL and SCT."""
    header = volume.header
    if header is None or header["sform_code"] > 0:
        return "sform"
    return "qform" if header["qform_code"] > 0 else "none"


def placement_remark(volume: Volume, name: str | None = None) -> str | None:
    """Say which transform is used where the two of a file disagree or both are missing; None where all is clear.

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


def read_volume(path: Path | str) -> Volume:
    """Read a 3-D NIfTI file.

    Raises:
        CordlesionError: The file is missing, a folder, truncated, not NIfTI, not 3-D, empty, or holds NaN or infinity.
    """
    path = Path(path)
    file = open_nifti(path)
    data = file.read()
    low, high = float(data.min()), float(data.max())  # NaN and infinity show in them, without an array of answers
    if not (math.isfinite(low) and math.isfinite(high)):
        n = sum(int(np.count_nonzero(~np.isfinite(part))) for part in np.moveaxis(data, -1, 0))
        raise CordlesionError(
            f"{path}: holds NaN or infinite voxels ({n} of {data.size}); finite intensities are needed. "
            "Replace them and try again."
        )
    return Volume(data, file.affine, file.header, path)


def read_grid(path: Path | str) -> Volume:
    """Read only the header of a NIfTI file: a volume of zeros that takes no memory, to write others like it.

    Raises:
        CordlesionError: The file is missing, is not NIfTI, or its header is not valid.
    """
    file = open_nifti(Path(path))
    return Volume(np.broadcast_to(np.uint8(0), file.shape), file.affine, file.header, file.path)


def read_scan(path: Path | str) -> Volume:
    """Read an image to be segmented, as float32.

    Raises:
        CordlesionError: As :func:`read_volume`, or all voxels have one value, or two, as in a mask.
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


def _holds_only(data: npt.NDArray[np.generic], low: float, high: float) -> bool:
    # Slice by slice, because a scan that is no mask tells so at once.
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
    """
    volume = read_volume(path)
    inside = volume.data != 0 if value is None else np.isclose(volume.data, value, rtol=VALUE_ROUNDING, atol=0)
    found = _only_value(volume, inside) if value is None else _given_value(volume, inside, value)
    mask = Volume(inside, volume.affine, volume.header, volume.path, found)
    if like is not None:
        require_same_grid(mask, like)
    return mask


def _given_value(volume: Volume, inside: npt.NDArray[np.bool_], value: float) -> float | None:
    """Return the value where the mask holds it, else the highest of the others; None where there is none."""
    return value if inside.any() else float(volume.data.max()) or None


def _only_value(volume: Volume, inside: npt.NDArray[np.bool_]) -> float | None:
    values = np.unique(volume.data.T[inside.T])  # transposed, because selecting in Fortran order is far slower
    if not len(values):
        return None
    low, high = float(values[0]), float(values[-1])
    if high - low > VALUE_ROUNDING * max(abs(low), abs(high)):
        raise SeveralValuesError(
            f"{volume.path}: a mask with 0 and one other value is needed, found {len(values)} other values "
            f"({low:.9g} to {high:.9g}). Say which one is lesion (--lesion-value; `lesion_value` in a study), "
            "or binarise it first.",
            _are_labels(values),
        )
    return high


def _are_labels(values: npt.NDArray[np.generic]) -> bool:
    """Say whether values are those of a segmentation: a few, or whole numbers that number its parts."""
    whole = len(values) <= _MOST_LABELS and bool(np.array_equal(values, np.round(values)))
    return len(values) <= _FEW_VALUES or whole


def read_probability(path: Path | str, like: Volume | None = None) -> Volume:
    """Read a probability map as float32; what lies outside [0, 1] by rounding, up to 1e-3, is clipped.

    Raises:
        CordlesionError: As :func:`read_volume`; values farther outside [0, 1]; or another grid than ``like``.
    """
    volume = read_volume(path)
    data = as_probabilities(volume.data, path, "Export probabilities, not logits or percentages.")
    probability = Volume(data, volume.affine, volume.header, volume.path)
    if like is not None:
        require_same_grid(probability, like)
    return probability


def require_same_grid(volume: Volume, like: Volume) -> None:
    """Check that two volumes share shape and place.

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


def write_volume(path: Path | str, data: npt.NDArray[np.generic], like: Volume) -> None:
    """Write ``data`` atomically on the grid of ``like``, copying its geometry (both transforms, their codes) exactly.

    Args:
        path: Target, ending in ``.nii`` or ``.nii.gz``.
        data: Array of the shape of ``like``; booleans are stored as uint8.
        like: The volume whose space the output shares.

    Raises:
        CordlesionError: The folder cannot be written.
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


def _farthest_mm(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], shape: tuple[int, ...]) -> float:
    """Return how far apart two affines place a voxel at most, which is at a corner of the image."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij")).reshape(3, -1).T
    shift = nib.affines.apply_affine(first, corners) - nib.affines.apply_affine(second, corners)
    return float(np.linalg.norm(shift, axis=1).max())


def _tolerance_mm(grid: Volume) -> float:
    # An axis flip or a half-voxel shift is far above rounding, which grows with the field of view.
    return max(GRID_TOLERANCE_MM, 0.05 * min(grid.spacing_mm))


def _in_mm(affine: npt.NDArray[np.float64], header: nib.Nifti1Header) -> npt.NDArray[np.float64]:
    """Return an affine of a header in millimetres."""
    factor = unit_factor(header)
    scaled: npt.NDArray[np.float64] = affine * np.array([[factor], [factor], [factor], [1.0]])
    return scaled


def _length(mm: float, decimals: int) -> str:
    """Return a length with so many decimals, or with its first digit where those would be zeros."""
    return f"{mm:.{decimals}f}" if mm >= 0.5 * 10**-decimals else f"{mm:.1g}"


def _copy_geometry(source: nib.Nifti1Header, target: nib.Nifti1Header) -> None:
    """Copy both transforms bit by bit; going through matrices would round the quaternion anew."""
    for field in _GEOMETRY:
        target[field] = source[field]
    target["pixdim"][:4] = source["pixdim"][:4]
