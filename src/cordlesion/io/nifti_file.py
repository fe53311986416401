"""Reads one NIfTI file; the header is checked before any voxel is read (leaf module).

A header may be wrong. Shape, type, position, voxel size and number of bytes are first compared with the file itself, so
that a damaged or malicious file gives a clear error and does not fill the memory.
"""

import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NoReturn

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import AnyArray, Float32Array, FloatArray

Affine = FloatArray

VOXEL_MM = (0.02, 20.0)
"""Smallest and largest voxel size that a scan of a person can have."""
_MAX_DISTANCE_MM = 1e5
_MAX_VOXELS = 2**31
# Volume of a voxel relative to that of a box with the same edges: 0 if the axes are in one plane.
_MIN_SKEW = 1e-3
# The maximum compression ratio of zlib.
_MAX_COMPRESSION = 1032
_CHUNK = 2**16
_UNITS = {1: ("metres", 1e3), 2: ("millimetres", 1.0), 3: ("micrometres", 1e-3)}
_DAMAGE = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, OverflowError, MemoryError, zlib.error,
           KeyError, TypeError)  # fmt: skip
_ENDIAN: tuple[Literal["little", "big"], ...] = ("little", "big")
_POINTERS = {b"version https://git-lfs": "git lfs pull", b"annex/objects/": "git annex get, or datalad get"}
"""Content or link target of files that were not fetched, and the command that fetches them."""


@dataclass(frozen=True, eq=False)
class NiftiFile:
    """A file with a checked header."""

    path: Path
    header: nib.Nifti1Header
    shape: tuple[int, int, int]
    affine: Affine
    """Voxel-to-world matrix in millimetres, for any unit of the header."""
    proxy: Any
    """Array proxy of nibabel, which describes how voxels are stored."""
    offset: int
    """Byte at which the voxels begin."""

    @property
    def n_bytes(self) -> int:
        """Size of the stored voxels in bytes."""
        return math.prod(self.shape) * int(self.proxy.dtype.itemsize)

    @property
    def is_scaled(self) -> bool:
        """Whether stored values have a slope or an intercept."""
        return bool(self.proxy.slope != 1 or self.proxy.inter != 0)

    def read(self) -> AnyArray:
        """Return the voxels as stored, or as float32 if they are scaled.

        Raises:
            CordlesionError: The file is truncated or damaged.
        """
        try:
            stored = self._stored().reshape(self.shape)
            return stored if not self.is_scaled else _scaled(stored, self.proxy.slope, self.proxy.inter)
        except _DAMAGE as error:
            raise CordlesionError(
                f"{self.path}: the file is truncated or damaged ({_one_line(error)}). Copy or export it again."
            ) from error

    def _stored(self) -> AnyArray:
        shape, dtype = self.proxy.shape, self.proxy.dtype
        if self.path.name.endswith(".nii.gz"):
            content = _decompressed(self.path, self.offset + self.n_bytes)
            array = np.ndarray(shape, dtype, content, self.offset, order="F")
            array.flags.writeable = False
            return array
        if self.offset == self.proxy.offset:
            return np.asanyarray(self.proxy.get_unscaled())
        return np.asanyarray(nib.arrayproxy.ArrayProxy(self.path, (shape, dtype, self.offset)).get_unscaled())


def open_nifti(path: Path) -> NiftiFile:
    """Read and check the header of a 3-D NIfTI file.

    Raises:
        CordlesionError: The file is missing, a folder, not NIfTI, not 3-D, empty, not of real numbers, smaller than its
            header declares, or has a singular affine or implausible voxel sizes.
    """
    _require_file(path)
    image = _load(path)
    shape = _shape(path, image.shape)
    proxy: Any = image.dataobj
    if proxy.dtype.kind not in "iuf":
        _refuse(path, f"voxels are of type {_type_name(proxy.dtype)}; real numbers are needed. Convert it to float32.")
    offset = _offset(path, image)
    checked = NiftiFile(path, image.header, shape, _affine_mm(path, image), proxy, offset)
    _require_size(checked, Path(str(image.file_map["image"].filename)))
    return checked


def unit_factor(header: nib.Nifti1Header) -> float:
    """Return the length unit of a header in millimetres; without a unit, it is 1 mm."""
    return _unit(header)[1]


def _unit(header: nib.Nifti1Header) -> tuple[str, float]:
    return _UNITS.get(int(header["xyzt_units"]) & 7, ("not given", 1.0))


def _require_file(path: Path) -> None:
    try:
        if path.is_dir():
            _refuse(path, "is a folder; a NIfTI file (.nii or .nii.gz) is needed. Give one of its files.")
        is_file = path.is_file()
    except OSError as error:
        raise CordlesionError(
            f"{path}: cannot be accessed ({error.strerror}). Check the path and its permissions."
        ) from error
    if not is_file:
        _require_fetched(path)
        _refuse(path, "no such file. Check the name; a NIfTI file (.nii or .nii.gz) is needed.")


def _load(path: Path) -> nib.Nifti1Pair:
    try:
        image = nib.load(path)
    except _DAMAGE as error:
        _require_fetched(path)
        raise CordlesionError(f"{path}: {_unreadable(path, error)}") from error
    if not isinstance(image, nib.Nifti1Pair):
        _refuse(path, f"is a {type(image).__name__}, not a NIfTI file. Export the scan as .nii or .nii.gz.")
    return image


def _unreadable(path: Path, error: BaseException) -> str:
    """Return why a file cannot be loaded, and what to do."""
    if renamed := _true_name(path):
        return (
            f"its content is {'' if renamed.suffix == '.gz' else 'not '}compressed, contrary to its name; "
            f"both must agree. Rename it to {renamed.name}."
        )
    return f"not a readable NIfTI file ({_one_line(error)}). Export the scan as .nii or .nii.gz."


def _require_fetched(path: Path) -> None:
    """Reject a file without permission, or a pointer to a file that was not fetched (git-annex, Git LFS)."""
    try:
        with path.open("rb") as stream:
            start = stream.read(200)
    except PermissionError as error:
        raise CordlesionError(
            f"{path}: cannot be opened ({error.strerror}). Change the permissions of the file."
        ) from error
    except OSError:
        start = os.fsencode(path.readlink()) if path.is_symlink() else b""
    command = next((command for mark, command in _POINTERS.items() if mark in start), None)
    if command is not None:
        _refuse(path, f"is a pointer to a file whose content is not here; the content is needed. Fetch it ({command}).")


def _true_name(path: Path) -> Path | None:
    """Return the correct name of a NIfTI file whose suffix and compression differ; None if they agree."""
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


def _shape(path: Path, found: tuple[int, ...]) -> tuple[int, int, int]:
    shape = found[:3] if len(found) > 3 and all(n == 1 for n in found[3:]) else found
    if len(shape) != 3 or min(shape) < 1:
        _refuse(path, f"the image has shape {found}; one non-empty 3-D volume is needed. Extract it and try again.")
    x, y, z = map(int, shape)
    return x, y, z


def _offset(path: Path, image: nib.Nifti1Pair) -> int:
    """Return the byte at which voxels begin; some programs write 0 for the end of the header."""
    proxy: Any = image.dataobj
    declared = int(proxy.offset)
    least = int(image.header.single_vox_offset) if isinstance(image, nib.Nifti1Image) else 0
    if declared >= least:
        return declared
    if declared != 0 or image.header.extensions:
        _refuse(path, f"according to its header, voxels begin at byte {declared}, inside the header ({least} bytes and "
                      "its extensions). Export the scan again, or correct vox_offset.")  # fmt: skip
    return least


def _affine_mm(path: Path, image: nib.Nifti1Pair) -> Affine:
    """Return the affine in millimetres, checked."""
    unit, factor = _unit(image.header)
    with np.errstate(all="ignore"):
        affine: Affine = np.asarray(image.affine, dtype=np.float64) * np.array([[factor], [factor], [factor], [1.0]])
        sizes = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
        skew = abs(np.linalg.det(affine[:3, :3] / sizes)) if np.isfinite(sizes).all() and sizes.all() else 0.0
    if not np.isfinite(affine).all() or (skew < _MIN_SKEW and np.isfinite(sizes).all()):
        _refuse(path, "the header's affine is singular; voxel sizes are needed. Repair the header.")
    if not (VOXEL_MM[0] <= sizes.min() and sizes.max() <= VOXEL_MM[1]):
        measured = " x ".join(f"{size:.4g}" for size in sizes)
        _refuse(
            path,
            f"its voxels measure {measured} mm (unit of the header: {unit}); {VOXEL_MM[0]:g} to {VOXEL_MM[1]:g} mm are "
            "plausible. Correct the voxel size or the unit (xyzt_units) of the header.",
        )
    if abs(affine[:3, 3]).max() > _MAX_DISTANCE_MM:
        _refuse(path, f"its header places the image {abs(affine[:3, 3]).max():.2g} mm away from the origin; less than "
                      f"{_MAX_DISTANCE_MM:.0e} mm is plausible. Repair the header.")  # fmt: skip
    return affine


def _require_size(file: NiftiFile, data_path: Path) -> None:
    """Compare the declared size with the size of the file, before any voxel is read."""
    try:
        held = data_path.stat().st_size
    except OSError as error:
        raise CordlesionError(f"{data_path}: cannot be read ({error.strerror}). Copy the file again.") from error
    compressed = data_path.name.endswith(".gz")
    if file.offset + file.n_bytes > held * (_MAX_COMPRESSION if compressed else 1):
        _refuse(file.path, f"the file is truncated or damaged: its header declares {file.offset + file.n_bytes} bytes, "
                           f"more than its {held} {'compressed ' if compressed else ''}bytes can hold. "
                           "Copy or export it again.")  # fmt: skip
    if math.prod(file.shape) > _MAX_VOXELS:
        _refuse(
            file.path,
            f"the header declares {' x '.join(map(str, file.shape))} voxels; at most {_MAX_VOXELS} are read. "
            "Export the scan again, or crop it.",
        )


def _decompressed(path: Path, n_bytes: int) -> bytearray:
    """Decompress a number of bytes without the global interpreter lock; the rest is not kept in memory.

    Faster than nibabel, which decompresses in small pieces.
    """
    # Allocated once: a growing buffer is copied, and allocation can take longer than decompression.
    content, filled = bytearray(n_bytes), 0
    with path.open("rb") as stream:
        unpacker, raw = _unpacker(), stream.read(_CHUNK)
        while raw:
            part = unpacker.decompress(raw, max(1, n_bytes - filled))
            if part and filled == n_bytes:
                return content  # the file has more bytes than the header declares
            content[filled : filled + len(part)] = part
            filled += len(part)
            raw = unpacker.unconsumed_tail or unpacker.unused_data or stream.read(_CHUNK)
            if unpacker.eof and (raw := _next_member(stream, raw)):
                unpacker = _unpacker()  # several gzip members may be concatenated
    if filled < n_bytes or not unpacker.eof:
        raise EOFError(f"{filled} bytes instead of {n_bytes}" if filled < n_bytes else "its end is missing")
    return content


def _unpacker() -> Any:  # noqa: ANN401 - the type of zlib has no public name
    return zlib.decompressobj(zlib.MAX_WBITS | 16)


def _next_member(stream: IO[bytes], raw: bytes) -> bytes:
    """Skip the zero padding of a compressed file."""
    while raw and not (rest := raw.lstrip(b"\0")):
        raw = stream.read(_CHUNK)
    return rest if raw else b""


def _scaled(stored: AnyArray, slope: float, inter: float) -> Float32Array:
    """Scale in float64 slice by slice, which needs less memory, and round once."""
    scaled = np.empty(stored.shape, np.float32, order="F")
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(stored.shape[2]):
            scaled[..., k] = apply_read_scaling(stored[..., k], np.float64(slope), np.float64(inter))
    return scaled


def _type_name(dtype: np.dtype[Any]) -> str:
    return "RGB" if dtype.names else str(dtype)


def _refuse(path: Path, reason: str) -> NoReturn:
    raise CordlesionError(f"{path}: {reason}")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
