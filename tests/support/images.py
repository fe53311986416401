"""Small NIfTI files, sound and broken."""

from pathlib import Path

import nibabel as nib
import numpy as np

AFFINE = np.diag([-0.6, 0.6, 0.6, 1.0])
SHAPE = (24, 24, 40)

GEOMETRY = ("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
            "srow_x", "srow_y", "srow_z", "xyzt_units")  # fmt: skip


def write_image(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def noise(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 100, shape).astype(np.float32)


def box(*corners: tuple[int, int], shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """A mask of one box, given first and last-but-one index per axis."""
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(a, b) for a, b in corners)] = 1
    return mask


def truncate(path: Path, share: float = 0.5) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def rewrite_end(path: Path, last: int, end: bytes) -> Path:
    """Put other bytes in the place of a file's last ones."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - last] + end)
    return path


def _with_value(value: float) -> np.ndarray:
    data = noise()
    data[3, 4, 5] = value
    return data


BROKEN = {
    "missing": (lambda path: path, "no such file"),
    "truncated gz": (lambda path: truncate(write_image(path, noise())), "truncated or damaged"),
    "truncated nii": (lambda path: truncate(write_image(path.with_suffix(""), noise())), "truncated or damaged"),
    "wrong checksum": (lambda path: rewrite_end(write_image(path, noise()), 8, bytes(8)), "truncated or damaged"),
    "bytes behind": (lambda path: rewrite_end(write_image(path, noise()), 0, b"behind"), "truncated or damaged"),
    "only a header": (lambda path: truncate(write_image(path.with_suffix(""), noise()), 0.002), "not a readable NIfTI"),
    "compressed, named .nii": (
        lambda path: write_image(path, noise()).rename(path.with_suffix("")),
        "its content is compressed, contrary to its name",
    ),
    "not compressed, named .nii.gz": (
        lambda path: write_image(path.with_suffix(""), noise()).rename(path),
        "its content is not compressed, contrary to its name",
    ),
    "text": (lambda path: (path.write_text("no image"), path)[1], "not a readable NIfTI"),
    "empty file": (lambda path: (path.touch(), path)[1], "not a readable NIfTI"),
    "4-D": (lambda path: write_image(path, noise((4, 4, 4, 2))), "one non-empty 3-D volume is needed"),
    "2-D": (lambda path: write_image(path, noise((4, 4))), "one non-empty 3-D volume is needed"),
    "zero-size": (lambda path: write_image(path, noise((4, 0, 4))), "one non-empty 3-D volume is needed"),
    "NaN": (lambda path: write_image(path, _with_value(np.nan)), "NaN or infinite"),
    "infinity": (lambda path: write_image(path, _with_value(-np.inf)), "NaN or infinite"),
    "complex": (lambda path: write_image(path, noise().astype(np.complex64)), "real numbers are needed"),
    "singular affine": (lambda path: write_singular(path), "affine is singular"),
}
"""Kind of fault -> (writes such a file at a path ending in .nii.gz, and returns where; part of the sentence)."""

UNUSABLE_SCANS = BROKEN | {
    "constant": (lambda path: write_image(path, np.full(SHAPE, 7, np.int16)), "every voxel has the value 7"),
    "a mask": (lambda path: write_image(path, box((2, 5), (2, 5), (2, 5))), "values 0 and 1 only, as a mask does"),
    "beyond float32": (lambda path: write_image(path, _with_value(1.0).astype(float) * 1e300), "32-bit floats"),
}

UNUSABLE_MASKS = BROKEN | {
    # No whole numbers: those would number the parts of a segmentation, and no mask of the folder could be trusted.
    "not binary": (lambda path: write_image(path, np.arange(0, 13.5, 0.5).reshape(3, 3, 3)), "26 other values"),
    "another shape": (lambda path: write_image(path, box((2, 5), (2, 5), (2, 5), shape=(24, 24, 41))), "one grid"),
    "another affine": (
        lambda path: write_image(path, box((2, 5), (2, 5), (2, 5)), AFFINE + 0.5 * np.eye(4, k=3)),
        "mm away",
    ),
    "flipped": (lambda path: write_image(path, box((2, 5), (2, 5), (2, 5)), np.diag([0.6, 0.6, 0.6, 1])), "mm away"),
}


def write_singular(path: Path) -> Path:
    header = nib.Nifti1Header()
    header.set_data_shape((3, 3, 3))
    header.set_data_dtype(np.float32)
    header["sform_code"] = 1
    path = path.with_suffix("")
    path.write_bytes(header.binaryblock + bytes(4) + noise((3, 3, 3)).tobytes())
    return path


def assert_same_geometry(first, second):
    for field in GEOMETRY:
        np.testing.assert_array_equal(first[field], second[field], err_msg=field)
    np.testing.assert_array_equal(first["pixdim"][:4], second["pixdim"][:4])
