"""Hostile NIfTI and npz files: headers, sizes, compression and values that are wrong, given to whoever reads them."""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

from fuzzing.case import Case, Generator

SHAPE = (12, 12, 16)
_AFFINE = np.diag([-0.6, 0.6, 1.2, 1.0])
# Offset and layout of the fields of a NIfTI-1 header that reading depends on.
_FIELDS = {
    "sizeof_hdr": (0, "<i"), "dim[0]": (40, "<h"), "dim[1]": (42, "<h"), "dim[2]": (44, "<h"), "dim[3]": (46, "<h"),
    "dim[4]": (48, "<h"), "datatype": (70, "<h"), "bitpix": (72, "<h"), "pixdim[0]": (76, "<f"),
    "pixdim[1]": (80, "<f"), "pixdim[3]": (88, "<f"), "vox_offset": (108, "<f"), "scl_slope": (112, "<f"),
    "scl_inter": (116, "<f"), "xyzt_units": (123, "<B"), "qform_code": (252, "<h"), "sform_code": (254, "<h"),
    "quatern_b": (256, "<f"), "qoffset_x": (268, "<f"), "srow_x[0]": (280, "<f"), "srow_x[3]": (292, "<f"),
    "srow_y[1]": (300, "<f"), "srow_z[2]": (320, "<f"), "magic": (344, "<i"), "extension": (348, "<i"),
}  # fmt: skip
_REALS = (0.0, -1.0, 1.0, 1e-30, 1e38, -1e38, np.nan, np.inf, 176.0, 351.0, 352.5, 1e9)
_KINDS = ("scan", "mask", "map")


def _header(rng: np.random.Generator, content: bytes) -> tuple[str, bytes]:
    """Set one to three fields to a value that some file, or nobody's, holds."""
    change, changed = [], bytearray(content)
    for name in rng.choice(list(_FIELDS), rng.integers(1, 4), replace=False):
        place, layout = _FIELDS[name]
        if layout == "<f":
            value: float = float(rng.choice(_REALS))
        else:
            bits = 8 * struct.calcsize(layout)
            low, high = (0, 255) if layout == "<B" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            value = int(rng.choice([low, high, 0, 1, 2, 3, 4, 16, 128, 512, 1792, rng.integers(low, high)]))
            value = min(max(value, low), high)
        struct.pack_into(layout, changed, place, value)
        change.append(f"{name} = {value:g}")
    return ", ".join(change), bytes(changed)


def _flip(rng: np.random.Generator, content: bytes) -> tuple[str, bytes]:
    changed = bytearray(content)
    places = rng.integers(0, min(len(changed), 400), rng.integers(1, 9))
    for place in places:
        changed[place] ^= 1 << int(rng.integers(8))
    return f"bits of bytes {sorted(map(int, places))}", bytes(changed)


def _cut(rng: np.random.Generator, content: bytes) -> tuple[str, bytes]:
    length = int(rng.integers(0, len(content)))
    return f"cut to {length} bytes", content[:length]


def _extended(rng: np.random.Generator, content: bytes) -> tuple[str, bytes]:
    n_bytes = int(rng.choice([1, 1000, 2**26]))
    return f"{n_bytes} bytes behind", content + bytes(n_bytes)


def _filled(rng: np.random.Generator, content: bytes) -> tuple[str, bytes]:
    """Overwrite voxels with a value that floats or integers take for something special."""
    value = bytes(rng.choice([[0, 0, 0xC0, 0x7F], [0, 0, 0x80, 0x7F], [0xFF] * 4, [1, 0, 0, 0]]).astype(np.uint8))
    return f"voxels {value.hex()}", content[:352] + value * ((len(content) - 352) // 4)


_CHANGES: tuple[Callable[[np.random.Generator, bytes], tuple[str, bytes]], ...] = (
    _header, _header, _header, _flip, _cut, _extended, _filled,
)  # fmt: skip


def prepare(common: Path) -> None:
    """Write a sound scan, mask and map, and the arrays of an export of nnU-Net."""
    (common / "nifti").mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    data = {
        "scan": rng.integers(0, 1000, SHAPE).astype(np.int16),
        "mask": (rng.random(SHAPE) < 0.05).astype(np.uint8),
        "map": rng.random(SHAPE).astype(np.float32),
    }
    for kind, array in data.items():
        nib.save(nib.Nifti1Image(array, _AFFINE), common / "nifti" / f"{kind}.nii")
    classes = np.stack([1 - data["map"], data["map"]]).transpose(0, 3, 2, 1).astype(np.float16)
    np.savez_compressed(common / "nifti" / "map.npz", probabilities=classes)


def _command(kind: str, path: Path, rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """Choose who reads the file."""
    out, sound = folder / "out", {one: str(common / "nifti" / f"{one}.nii") for one in _KINDS}
    commands = {
        "scan": [("centerline", str(path), "-o", str(out / "curve.nii.gz"), "-q")],
        "mask": [
            ("evaluate", "--reference", str(path), "--prediction", sound["mask"], "-o", str(out / "m.tsv"), "-q"),
            ("evaluate", "--reference", sound["mask"], "--prediction", str(path), "-o", str(out / "m.tsv"), "-q"),
        ],
        "map": [("tune", "--reference", sound["mask"], "--probability", str(path), "-o", str(out / "t.json"), "-q")],
    }
    choices = commands[kind]
    return Case("", choices[int(rng.integers(len(choices)))])


def nifti(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """Damage a NIfTI file, compressed or not, and give it to a command that reads such files."""
    kind = str(rng.choice(_KINDS))
    change, content = _CHANGES[int(rng.integers(len(_CHANGES)))](rng, (common / "nifti" / f"{kind}.nii").read_bytes())
    path = folder / f"{kind}.nii"
    if rng.random() < 0.5:
        path, content = folder / f"{kind}.nii.gz", gzip.compress(content, 1)
        if rng.random() < 0.3:
            described, content = _flip(rng, content) if rng.random() < 0.5 else _cut(rng, content)
            change = f"{change}; compressed: {described}"
    path.write_bytes(content)
    (folder / "out").mkdir(exist_ok=True)
    return Case(f"{path.name}: {change}", _command(kind, path, rng, common, folder).command)


def npz(rng: np.random.Generator, common: Path, folder: Path) -> Case:
    """Damage an export of nnU-Net: its bytes, or the header of its array."""
    content = (common / "nifti" / "map.npz").read_bytes()
    change = int(rng.integers(4))
    if change < 2:
        change, content = (_flip, _cut)[change](rng, content)
    else:
        change, content = _other_array(rng)
    (folder / "x.npz").write_bytes(content)
    return Case(
        f"x.npz: {change}", (str(folder / "x.npz"), str(common / "nifti" / "scan.nii")), "fuzzing.nifti:read_export"
    )


def _other_array(rng: np.random.Generator) -> tuple[str, bytes]:
    """Make an export whose array declares another shape or type than it holds, or holds other values."""
    shape = tuple(int(rng.choice([0, 1, 2, 3, 12, 16, 10**6, 2**40])) for _ in range(rng.integers(0, 6)))
    dtype = str(rng.choice(["<f2", "<f4", "<f8", "|O", "<i4", "<c16", "|S9", "<f16"]))
    header = repr({"descr": dtype, "fortran_order": bool(rng.integers(2)), "shape": shape}).encode().ljust(117) + b"\n"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + rng.bytes(int(rng.integers(0, 5000)))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("probabilities.npy", member)
    return f"{dtype} {shape}, checksum {zlib.crc32(member):08x}", stream.getvalue()


def read_export(path: str, scan: str) -> None:
    """Read an export as a comparator of a study does."""
    from cordlesion.io.volume import read_grid
    from cordlesion.nnunet.softmax import read_softmax

    read_softmax(Path(path), read_grid(Path(scan)))


GENERATORS: dict[str, Generator] = {"nifti": nifti, "npz": npz}
