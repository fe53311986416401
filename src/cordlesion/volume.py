"""Volumes: an array with its place in space; safe NIfTI reading and atomic writing (leaf module)."""

import gzip
import io
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from cordlesion.artifacts import atomic_path
from cordlesion.errors import CordlesionError

# Two grids are the same when no voxel centre differs by more than this; NIfTI stores affines as float32.
GRID_TOLERANCE_MM = 1e-3
_DAMAGE = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, OverflowError, MemoryError, zlib.error)
_POINTERS = {b"version https://git-lfs": "git lfs pull", b"annex/objects/": "git annex get, or datalad get"}
"""How what stands for a file that was not fetched begins, or where it links to."""
_ENDIAN: tuple[Literal["little", "big"], ...] = ("little", "big")
_GEOMETRY = ("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
             "sform_code", "srow_x", "srow_y", "srow_z", "xyzt_units")  # fmt: skip


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
        qform = header.get_qform()
    except ValueError:
        return f"{named}: its sform is used; its qform is invalid."
    shift_mm = _farthest_mm(volume.affine, qform, volume.data.shape)
    if shift_mm <= _tolerance_mm(volume):
        return None
    return f"{named}: its sform is used; its qform would place voxels up to {shift_mm:.1f} mm elsewhere."


def read_volume(path: Path | str) -> Volume:
    """Read a 3-D NIfTI file.

    Raises:
        CordlesionError: The file is missing, a folder, truncated, not NIfTI, not 3-D, empty, or holds NaN or infinity.
    """
    return _read_with_extremes(Path(path))[0]


def _read_with_extremes(path: Path) -> tuple[Volume, float, float]:
    """Read a volume, and its extremes, which have to be looked for anyway."""
    if path.is_dir():
        raise CordlesionError(f"{path}: is a folder; a NIfTI file (.nii or .nii.gz) is needed. Give one of its files.")
    if not path.is_file():
        _require_fetched(path)
        raise CordlesionError(f"{path}: no such file. Check the name; a NIfTI file (.nii or .nii.gz) is needed.")
    image = _load(path)
    shape = image.shape
    if len(shape) > 3 and all(n == 1 for n in shape[3:]):
        shape = shape[:3]
    if len(shape) != 3 or min(shape) < 1:
        raise CordlesionError(
            f"{path}: the image has shape {image.shape}; one non-empty 3-D volume is needed. Extract it and try again."
        )
    data = _read_data(path, image).reshape(shape)
    low, high = float(data.min()), float(data.max())  # they tell of NaN and infinity without an array of answers
    if not (math.isfinite(low) and math.isfinite(high)):
        raise CordlesionError(
            f"{path}: holds NaN or infinite voxels; finite intensities are needed. Replace them and try again."
        )
    return Volume(data, _checked_affine(path, image), image.header, path), low, high


def read_grid(path: Path | str) -> Volume:
    """Read only the header of a NIfTI file: a volume of zeros that takes no memory, to write others like it.

    Raises:
        CordlesionError: The file is missing or is not NIfTI.
    """
    path = Path(path)
    image = _load(path)
    return Volume(np.broadcast_to(np.uint8(0), image.shape[:3]), _checked_affine(path, image), image.header, path)


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


def read_mask(path: Path | str, like: Volume | None = None) -> Volume:
    """Read a mask as a boolean volume; any single non-zero value (1, 255) counts as inside.

    Raises:
        CordlesionError: As :func:`read_volume`; more than one non-zero value; or another grid than ``like``.
    """
    volume = read_volume(path)
    inside = volume.data != 0
    values = np.unique(volume.data.T[inside.T])  # transposed, because selecting in Fortran order is far slower
    if len(values) > 1:
        raise CordlesionError(
            f"{path}: a mask with 0 and one other value is needed, found {len(values)} other values "
            f"({values[0]:g} to {values[-1]:g}). Binarise it first."
        )
    mask = Volume(inside, volume.affine, volume.header, volume.path)
    if like is not None:
        require_same_grid(mask, like)
    return mask


def read_probability(path: Path | str, like: Volume | None = None) -> Volume:
    """Read a probability map as float32.

    Raises:
        CordlesionError: As :func:`read_volume`; values outside [0, 1]; or another grid than ``like``.
    """
    volume, low, high = _read_with_extremes(Path(path))
    if low < 0 or high > 1:
        raise CordlesionError(
            f"{path}: values from {low:g} to {high:g} found; probabilities between 0 and 1 are needed. "
            "Export probabilities, not logits or percentages."
        )
    probability = Volume(volume.data.astype(np.float32, copy=False), volume.affine, volume.header, volume.path)
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
            f"{name}: lies up to {distance_mm:.2f} mm away from {other} although both have shape {like.data.shape}; "
            f"both must share one grid. Resample the first one to the second with nearest neighbour.{''.join(remarks)}"
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
    image = nib.Nifti1Image(stored, like.affine)
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


def _load(path: Path) -> nib.Nifti1Pair:
    try:
        image = nib.load(path)
    except _DAMAGE as error:
        _require_fetched(path)
        if renamed := _true_name(path):
            raise CordlesionError(
                f"{path}: its content is {'' if renamed.suffix == '.gz' else 'not '}compressed, unlike its name says; "
                f"both must agree. Rename it to {renamed.name}."
            ) from error
        raise CordlesionError(
            f"{path}: not a readable NIfTI file ({_one_line(error)}). Export the scan as .nii or .nii.gz."
        ) from error
    if not isinstance(image, nib.Nifti1Pair):
        raise CordlesionError(
            f"{path}: is a {type(image).__name__}, not a NIfTI file. Export the scan as .nii or .nii.gz."
        )
    return image


def _require_fetched(path: Path) -> None:
    """Refuse a file of which only a pointer is here (git-annex, Git LFS), naming the command that fetches it."""
    try:
        with path.open("rb") as stream:
            start = stream.read(200)
    except OSError:
        start = os.fsencode(path.readlink()) if path.is_symlink() else b""
    command = next((command for mark, command in _POINTERS.items() if mark in start), None)
    if command is not None:
        raise CordlesionError(
            f"{path}: is a pointer to a file whose content is not here; the content is needed. Fetch it ({command})."
        )


def _true_name(path: Path) -> Path | None:
    """Return the name that fits the content of a NIfTI file whose name tells of the wrong compression."""
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
    except OSError:
        return None
    if path.name.endswith(".nii") and start.startswith(b"\x1f\x8b"):
        return path.with_name(f"{path.name}.gz")
    # A NIfTI file begins with the size of its header.
    if path.name.endswith(".nii.gz") and any(int.from_bytes(start, order) in (348, 540) for order in _ENDIAN):
        return path.with_suffix("")
    return None


def _read_data(path: Path, image: nib.Nifti1Pair) -> npt.NDArray[np.generic]:
    try:
        # The header of a loaded image no longer tells the scaling; only the array proxy does.
        stored: Any = image.dataobj
        is_scaled = stored.slope != 1 or stored.inter != 0
        if isinstance(image, nib.Nifti1Image) and path.name.endswith(".gz"):
            stored = _decompressed(path, stored, is_scaled)
        data: npt.NDArray[np.generic] = np.asanyarray(stored, dtype=np.float32 if is_scaled else None)
    except _DAMAGE as error:
        raise CordlesionError(
            f"{path}: the file is truncated or damaged ({_one_line(error)}). Copy or export it again."
        ) from error
    if not (np.issubdtype(data.dtype, np.integer) or np.issubdtype(data.dtype, np.floating)):
        raise CordlesionError(
            f"{path}: voxels are of type {data.dtype}; real numbers are needed. Convert it to float32."
        )
    return data


def _decompressed(path: Path, proxy: Any, is_scaled: bool) -> Any:  # noqa: ANN401 - nibabel's are not typed
    """Decompress a file at once, outside the interpreter lock: nibabel does it piece by piece, two files in turn.

    The content itself is the array, which cannot be written to; scaled content is read by the proxy that is returned.
    """
    compressed = path.read_bytes()
    n_bytes = proxy.offset + math.prod(proxy.shape) * proxy.dtype.itemsize
    # Into memory of the right size: what grows is copied, and asking the system for it may take longer than zlib does.
    content = zlib.decompress(compressed, zlib.MAX_WBITS | 16, n_bytes)
    # A gzip file ends with the length of what it holds; if not, several are joined, or something else follows.
    if len(content) < n_bytes or not compressed.endswith((len(content) % 2**32).to_bytes(4, "little")):
        content = gzip.decompress(compressed)
    if len(content) < n_bytes:
        raise EOFError(f"{len(content)} bytes instead of {n_bytes}")
    if not is_scaled:
        return np.ndarray(proxy.shape, proxy.dtype, content, proxy.offset, order="F")
    layout = (proxy.shape, proxy.dtype, proxy.offset, proxy.slope, proxy.inter)
    return nib.arrayproxy.ArrayProxy(io.BytesIO(content), layout)


def _checked_affine(path: Path, image: nib.Nifti1Pair) -> npt.NDArray[np.float64]:
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise CordlesionError(f"{path}: the header's affine is singular; voxel sizes are needed. Repair the header.")
    return affine


def _copy_geometry(source: nib.Nifti1Header, target: nib.Nifti1Header) -> None:
    """Copy both transforms bit by bit; going through matrices would round the quaternion anew."""
    for field in _GEOMETRY:
        target[field] = source[field]
    target["pixdim"][:4] = source["pixdim"][:4]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
