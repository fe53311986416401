"""nnU-Net's softmax exports: one class of an ``.npz`` file as a probability map on the scan's grid.

nnU-Net (Isensee et al. 2021) writes ``probabilities`` (``softmax`` in its first version) of shape (classes, z, y, x):
the voxels of the scan's NIfTI file in reverse index order. The place of the voxels is that of the scan itself, so the
pickle beside the array is never opened. What the file declares is checked before anything of its size is allocated.
"""

import io
import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from cordlesion.errors import CordlesionError
from cordlesion.volume import Volume

ARRAYS = ("probabilities", "softmax")
"""Names of the array, by version of nnU-Net."""
_MOST_CLASSES = 64
_FLOAT_BYTES = (2, 4, 8)
_LONGEST_HEADER = 10_000
_BLOCK_VOXELS = 2**14
_BROKEN = (
    *(OSError, EOFError, ValueError, KeyError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error),
    *(lzma.LZMAError, struct.error),
    # Headers are Python literals, and numpy lets through what their parser says.
    *(SyntaxError, TypeError, MemoryError, tokenize.TokenError),
)
# Sums of rounded terms may exceed 1 a little.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class _Declared:
    """What the header of an array says."""

    member: zipfile.ZipInfo
    shape: tuple[int, ...]
    fortran: bool
    """Whether the first index runs fastest."""
    dtype: np.dtype[np.generic]

    @property
    def name(self) -> str:
        return self.member.filename.removesuffix(".npy")


def read_softmax(path: Path, scan: Volume, lesion_class: int | None = None) -> npt.NDArray[np.float32]:
    """Read the lesion class of a softmax export.

    Args:
        path: The ``.npz`` file.
        scan: The scan it was predicted from; its grid alone is looked at.
        lesion_class: Number of the class that is lesion; 1 where it is not given and there are two.

    Returns:
        Probabilities on the scan's grid and in its index order.

    Raises:
        CordlesionError: The file is damaged, holds no such array or one of other objects than numbers, the array does
            not fit the scan, the class is not among its classes, or its values are no probabilities.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            declared = _declared(path, archive)
            _check(path, declared, scan)
            which = _lesion_class(path, declared.shape[0], lesion_class)
            # Not numpy.load, which looks the name up again and may find another member than the one that was checked.
            with archive.open(declared.member) as stream:
                probability = _read_class(stream, declared, which).astype(np.float32).transpose()
    except _BROKEN as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CordlesionError(f"{path}: no readable .npz file ({reason}). Export or copy it again.") from error
    return _checked(path, probability)


def _declared(path: Path, archive: zipfile.ZipFile) -> _Declared:
    """Read the header of the array, a few hundred bytes."""
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    name = next((name for name in ARRAYS if name in members), None)
    if name is None:
        raise CordlesionError(
            f"{path}: holds {', '.join(sorted(members)) or 'nothing'}; the array {' or '.join(ARRAYS)} is needed. "
            "Export it with `nnUNetv2_predict --save_probabilities`."
        )
    with archive.open(members[name]) as stream:
        return _Declared(members[name], *_header(stream))


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = np.lib.format.read_magic(stream)
    size = stream.read(2 if version == (1, 0) else 4)
    if (length := int.from_bytes(size, "little")) > _LONGEST_HEADER:
        raise ValueError(f"a header of {length} bytes")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    header: tuple[tuple[int, ...], bool, np.dtype[np.generic]] = read(io.BytesIO(size + stream.read(length)))
    return header


def _read_class(stream: IO[bytes], declared: _Declared, which: int) -> npt.NDArray[np.generic]:
    """Read one class, shape (z, y, x): the others are passed over, and never held together."""
    _header(stream)
    shape = declared.shape[1:]
    if declared.fortran:
        return _read_interleaved(stream, declared, which).reshape(shape, order="F")
    stream.seek(which * math.prod(shape) * declared.dtype.itemsize, io.SEEK_CUR)
    return _read_values(stream, declared.dtype, math.prod(shape)).reshape(shape)


def _read_interleaved(stream: IO[bytes], declared: _Declared, which: int) -> npt.NDArray[np.generic]:
    """Read one class where each voxel's classes lie side by side, a block of voxels at a time."""
    n_classes, n_voxels = declared.shape[0], math.prod(declared.shape[1:])
    one = np.empty(n_voxels, declared.dtype)
    for start in range(0, n_voxels, _BLOCK_VOXELS):
        part = one[start : start + _BLOCK_VOXELS]
        part[:] = _read_values(stream, declared.dtype, len(part) * n_classes)[which::n_classes]
    return one


def _read_values(stream: IO[bytes], dtype: np.dtype[np.generic], count: int) -> npt.NDArray[np.generic]:
    # A buffer of the right size and no larger, whatever the file holds beyond.
    if len(values := stream.read(count * dtype.itemsize)) < count * dtype.itemsize:
        raise EOFError("the array is cut off")
    return np.frombuffer(values, dtype)


def _check(path: Path, declared: _Declared, scan: Volume) -> None:
    """Refuse what is not of numbers, or not of the scan's shape: so its size is bounded by the scan's."""
    if declared.dtype.kind != "f" or declared.dtype.itemsize not in _FLOAT_BYTES:
        raise CordlesionError(
            f"{path}: {declared.name!r} holds values of type {declared.dtype}; floating-point probabilities are "
            "needed, and nothing else is opened. Export the softmax of nnU-Net again."
        )
    expected = tuple(reversed(scan.data.shape))
    if len(declared.shape) != 4 or declared.shape[1:] != expected:
        wanted = ", ".join(map(str, expected))
        raise CordlesionError(
            f"{path}: {declared.name!r} has shape {declared.shape}; (classes, {wanted}) is needed, the axes of "
            f"{scan.path} in reverse order. Predict from that very scan; nnU-Net 1 crops its exports: pad them first."
        )
    if not 1 <= declared.shape[0] <= _MOST_CLASSES:
        raise CordlesionError(
            f"{path}: {declared.name!r} has {declared.shape[0]} classes; 1 to {_MOST_CLASSES} are supported. "
            "Export fewer classes."
        )
    if declared.member.file_size < math.prod(declared.shape) * declared.dtype.itemsize:
        raise CordlesionError(f"{path}: {declared.name!r} is cut off before its end. Export or copy the file again.")


def _lesion_class(path: Path, n_classes: int, wanted: int | None) -> int:
    if wanted is None and n_classes != 2:
        raise CordlesionError(
            f"{path}: has {n_classes} classes, and which one is lesion is known for two only. "
            f"Set `lesion_class` of the comparator to a number from 0 to {n_classes - 1}."
        )
    which = 1 if wanted is None else wanted
    if which >= n_classes:
        raise CordlesionError(
            f"{path}: has {n_classes} classes, numbered from 0, so there is no class {which}. "
            "Mend `lesion_class` of the comparator."
        )
    return which


def _checked(path: Path, probability: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    low, high = float(probability.min()), float(probability.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise CordlesionError(
            f"{path}: values from {low:g} to {high:g} found; probabilities between 0 and 1 are needed. "
            "Export the softmax, not the logits."
        )
    return np.clip(probability, 0, 1)
