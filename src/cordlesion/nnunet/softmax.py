"""nnU-Net's softmax exports: one class of an ``.npz`` file as a probability map on the scan's grid.

nnU-Net (Isensee et al. 2021) writes ``probabilities`` (``softmax`` in its first version) of shape (classes, z, y, x):
the voxels of the scan's NIfTI file in reverse index order, or, if its reader reorients, those of the file turned to
right-anterior-superior. ``plans.json`` or ``dataset.json`` of the export names the reader; without them the mask of the
same case shows it. The pickle file is never opened. The declared size is checked before memory is allocated.
"""

import functools
import io
import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import nibabel as nib
import numpy as np

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import AnyArray, Float32Array, Mask
from cordlesion.io.probability import as_probabilities
from cordlesion.io.progress import show_message
from cordlesion.io.reading import read_json
from cordlesion.io.volume import Volume, read_volume, require_same_grid

ARRAYS = ("probabilities", "softmax")
"""Names of the array, by version of nnU-Net."""
_MOST_CLASSES = 64
_FLOAT_BYTES = (2, 4, 8)
_LONGEST_HEADER = 10_000
_BLOCK_VOXELS = 2**14
_BROKEN = (
    *(OSError, EOFError, ValueError, KeyError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error),
    *(lzma.LZMAError, struct.error),
    # Headers are Python literals, and numpy passes on the errors of their parser.
    *(SyntaxError, TypeError, MemoryError, tokenize.TokenError),
)
# Two classes of a softmax sum to 1, except for rounding to 16 bits; two sigmoid channels of regions do not.
_SUM_TOLERANCE = 1e-2
_READER_KEYS = {"dataset.json": "overwrite_image_reader_writer", "plans.json": "image_reader_writer"}
"""Files of an export that may name nnU-Net's reader, in order of precedence, and the key."""
_REORIENTS = "WithReorient"
# In nibabel's letters, which both readers that reorient use.
_RAS = nib.orientations.axcodes2ornt("RAS")


@dataclass(frozen=True)
class _Declared:
    """The content of an array's header."""

    member: zipfile.ZipInfo
    shape: tuple[int, ...]
    fortran: bool
    """Whether the first index runs fastest."""
    dtype: np.dtype[np.generic]

    @property
    def name(self) -> str:
        return self.member.filename.removesuffix(".npy")


def read_softmax(path: Path | str, scan: Volume, lesion_class: int | None = None) -> Float32Array:
    """Read the lesion class of a softmax export.

    Args:
        path: The ``.npz`` file.
        scan: The scan it was predicted from; only its grid is used.
        lesion_class: Number of the class that is lesion; by default 1 if there are two classes that sum to 1.

    Returns:
        Probabilities on the scan's grid and in its index order.

    Raises:
        CordlesionError: The file is damaged or holds no such array of numbers, the array does not fit the scan, the
            class does not exist, the values are no probabilities, or the orientation is unknown.

    Examples:
        Here ``export.npz`` is a softmax export of two classes, and ``scan.nii.gz`` the scan.

        >>> import cordlesion
        >>> scan = cordlesion.read_scan("scan.nii.gz")
        >>> probability = cordlesion.read_softmax("export.npz", scan)
        >>> probability.shape == scan.data.shape
        True
    """
    path = Path(path)
    reorients = _reader_reorients(path)
    try:
        with zipfile.ZipFile(path) as archive:
            declared = _declared(path, archive)
            _check(path, declared, _shapes(scan, reorients), scan)
            which = _lesion_class(path, declared.shape[0], lesion_class)
            # Not numpy.load: it looks the name up again and may find another member than the checked one.
            with archive.open(declared.member) as stream:
                probability = _read_class(stream, declared, which).astype(np.float32).transpose()
            probability = as_probabilities(probability, path, "Export the softmax, not the logits.")
            if lesion_class is None:
                with archive.open(declared.member) as stream:
                    _require_softmax(path, probability, _read_class(stream, declared, 1 - which).transpose())
    except _BROKEN as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CordlesionError(f"{path}: no readable .npz file ({reason}). Export or copy it again.") from error
    return _on_grid(path, probability, scan, which, reorients)


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


def _read_class(stream: IO[bytes], declared: _Declared, which: int) -> AnyArray:
    """Read one class, shape (z, y, x); the others are skipped and never in memory together."""
    _header(stream)
    shape = declared.shape[1:]
    if declared.fortran:
        return _read_interleaved(stream, declared, which).reshape(shape, order="F")
    stream.seek(which * math.prod(shape) * declared.dtype.itemsize, io.SEEK_CUR)
    return _read_values(stream, declared.dtype, math.prod(shape)).reshape(shape)


def _read_interleaved(stream: IO[bytes], declared: _Declared, which: int) -> AnyArray:
    """Read one class block by block, where the classes of each voxel are adjacent."""
    n_classes, n_voxels = declared.shape[0], math.prod(declared.shape[1:])
    one = np.empty(n_voxels, declared.dtype)
    for start in range(0, n_voxels, _BLOCK_VOXELS):
        part = one[start : start + _BLOCK_VOXELS]
        part[:] = _read_values(stream, declared.dtype, len(part) * n_classes)[which::n_classes]
    return one


def _read_values(stream: IO[bytes], dtype: np.dtype[np.generic], count: int) -> AnyArray:
    # A buffer of the right size, even if the file is larger.
    if len(values := stream.read(count * dtype.itemsize)) < count * dtype.itemsize:
        raise EOFError("the array is cut off")
    return np.frombuffer(values, dtype)


def _check(path: Path, declared: _Declared, shapes: Sequence[tuple[int, ...]], scan: Volume) -> None:
    """Refuse an array of other objects than numbers or of another shape than the scan: this bounds its size."""
    if declared.dtype.kind != "f" or declared.dtype.itemsize not in _FLOAT_BYTES:
        raise CordlesionError(
            f"{path}: {declared.name!r} holds values of type {declared.dtype}; floating-point probabilities are "
            "needed, and nothing else is opened. Export the softmax of nnU-Net again."
        )
    expected = [tuple(reversed(shape)) for shape in shapes]
    if len(declared.shape) != 4 or declared.shape[1:] not in expected:
        wanted = ", ".join(map(str, expected[0]))
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
            f"Set `lesion_class` of the comparator (--lesion-class of a command) to a number from 0 to {n_classes - 1}."
        )
    which = 1 if wanted is None else wanted
    if which >= n_classes:
        raise CordlesionError(
            f"{path}: has {n_classes} classes, numbered from 0, so there is no class {which}. "
            "Mend `lesion_class` of the comparator (--lesion-class of a command)."
        )
    return which


def _reader_reorients(path: Path) -> bool | None:
    """Return whether nnU-Net's reader turned the scan to right-anterior-superior; None if no file names it.

    Raises:
        CordlesionError: Such a file is damaged.
    """
    # Those of the validation of a fold lie in the folder of all folds, two levels up.
    places = (path.parent, path.parent.parent.parent) if path.parent.name.startswith("validation") else (path.parent,)
    for file, key in ((place / name, key) for place in places for name, key in _READER_KEYS.items()):
        if file.is_file() and isinstance(reader := read_json(file, dict).get(key), str):
            return reader.endswith(_REORIENTS)
    return None


def _shapes(scan: Volume, reorients: bool | None) -> list[tuple[int, ...]]:
    """Return the shapes, in index order, that the array may have: the scan's own, and turned."""
    own = scan.data.shape
    axes = np.argsort(nib.io_orientation(scan.affine)[:, 0])
    turned = tuple(own[axis] for axis in axes)
    return [own] if reorients is False else [turned] if reorients else [own, turned]


def _on_grid(path: Path, probability: Float32Array, scan: Volume, which: int, reorients: bool | None) -> Float32Array:
    """Return an array in the scan's index order, turned back if nnU-Net's reader turned the scan."""
    back = nib.orientations.ornt_transform(_RAS, nib.io_orientation(scan.affine))
    turned = np.ascontiguousarray(nib.orientations.apply_orientation(probability, back))
    if reorients is not None:
        return turned if reorients else probability
    candidates = [one for one in (probability, turned) if one.shape == scan.data.shape]
    if len(candidates) == 1 or np.array_equal(probability, turned):
        return candidates[0]
    if (mask := _mask_of_case(path, scan, which)) is not None:
        wrong = [np.count_nonzero((one >= 0.5) != mask) for one in candidates]
        if wrong[0] != wrong[1]:
            return candidates[int(np.argmin(wrong))]
    _report_unknown(path.parent)
    return probability


@functools.cache
def _report_unknown(folder: Path) -> None:
    """Report once that an orientation is assumed."""
    show_message(
        f"{folder}: has no plans.json or dataset.json that names nnU-Net's reader, so arrays are taken to be in the "
        "scans' own orientation, as all readers but ...WithReorient write them. Copy these files of the export there."
    )


def _mask_of_case(path: Path, scan: Volume, which: int) -> Mask | None:
    """Read the mask that nnU-Net writes with its array; None if there is none."""
    for ending in (".nii.gz", ".nii"):
        file = path.with_name(f"{path.name.removesuffix('.npz')}{ending}")
        if file.is_file():
            labels = read_volume(file)
            require_same_grid(labels, scan)
            of_class: Mask = labels.data == which
            return of_class if of_class.any() else np.asarray(labels.data != 0)
    return None


def _require_softmax(path: Path, lesion: Float32Array, other: AnyArray) -> None:
    """Refuse two channels that are not the two classes of a softmax: then it is unknown which one is lesion."""
    excess = np.subtract(other, 1, dtype=np.float32)
    excess += lesion
    low, high = 1 + float(excess.min()), 1 + float(excess.max())
    if not (low >= 1 - _SUM_TOLERANCE and high <= 1 + _SUM_TOLERANCE):
        raise CordlesionError(
            f"{path}: its two channels sum to {low:.3g} to {high:.3g}, not to 1, so they are no background and lesion "
            "of one softmax (an export of regions, or small logits?). Set `lesion_class` of the comparator "
            "(--lesion-class of a command) to 0 or 1, the number of the channel that is lesion."
        )
