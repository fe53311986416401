"""Headers may be wrong: units, sizes, positions and offsets are checked before voxels are read."""

import gzip
import struct
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.io.volume import placement_remark, read_grid, read_mask, read_scan, read_volume, write_volume
from support.images import AFFINE, assert_same_geometry, box, noise, write_image

METRES = {"meter": 1e3, "mm": 1, "micron": 1e-3, "unknown": 1}
SMALL = (6, 7, 8)
_VOX_OFFSET, _DIM, _SROW_X, _SROW_Y = 108, 40, 280, 296


def in_unit(path: Path, unit: str, kind=nib.Nifti1Image, dtype=np.int16) -> Path:
    """Return a scan with lengths in a unit; its world coordinates are always the same."""
    affine = AFFINE.copy()
    affine[:3] /= METRES[unit]
    image = kind((10 * noise(SMALL)).astype(dtype), affine)
    image.set_qform(affine, 1)
    image.set_sform(affine, 2)
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    return path


def patched(path: Path, place: int, kind: str, *values: float) -> Path:
    """Overwrite a field of the header of a .nii file."""
    content = bytearray(path.read_bytes())
    struct.pack_into(kind, content, place, *values)
    path.write_bytes(content)
    return path


def compressed(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return packed


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("unit", METRES)
def test_a_scan_is_the_same_in_any_unit(tmp_path, unit, kind):
    scan = read_volume(in_unit(tmp_path / "scan.nii.gz", unit, kind))
    np.testing.assert_allclose(scan.affine, AFFINE, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(read_grid(tmp_path / "scan.nii.gz").spacing_mm, 0.6, rtol=1e-6)
    assert placement_remark(scan) is None
    write_volume(tmp_path / "mask.nii.gz", scan.data > 500, scan)
    if kind is nib.Nifti1Image:  # outputs of NIfTI-2 files are NIfTI-1, in float32
        assert_same_geometry(nib.load(tmp_path / "scan.nii.gz").header, nib.load(tmp_path / "mask.nii.gz").header)
    assert read_mask(tmp_path / "mask.nii.gz", like=scan).data.sum() == (scan.data > 500).sum()


@pytest.mark.parametrize(("unit", "name"), [("meter", "metres"), ("micron", "micrometres")])
def test_implausible_voxels_are_rejected_with_the_unit(tmp_path, unit, name):
    path = tmp_path / "scan.nii"
    image = nib.Nifti1Image(noise(SMALL), AFFINE)
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    with pytest.raises(CordlesionError, match=rf"scan\.nii: its voxels measure .* \(unit of the header: {name}"):
        read_grid(path)


@pytest.mark.parametrize("size_mm", [0.019, 20.5, 1e30])
def test_implausible_voxel_sizes_raise_a_clear_error(tmp_path, size_mm):
    path = write_image(tmp_path / "scan.nii.gz", noise(SMALL), np.diag([1, 1, size_mm, 1]))
    with pytest.raises(CordlesionError, match=r"0\.02 to 20 mm are plausible"):
        read_volume(path)


@pytest.mark.parametrize(
    ("place", "values", "fault"),
    [
        (_SROW_X, (1e38, 0, 0, 0), "its voxels measure"),
        (_SROW_X, (1, 0, 0, 1e38), "away from the origin"),
        (_SROW_X, (1, 0, 0, 1e6), "away from the origin"),
        (_SROW_X, (np.nan, 0, 0, 0), "affine is singular"),
        (_SROW_X, (-0.6, 0.6, 0, 0) * 2, "affine is singular"),  # two axes point the same way
    ],
)
def test_an_impossible_affine_raises_a_clear_error(tmp_path, place, values, fault):
    path = write_image(tmp_path / "scan.nii", noise(SMALL))
    with pytest.raises(CordlesionError, match=fault):
        read_volume(patched(path, place, f"<{len(values)}f", *values))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("slope", [1, 0.5])
def test_an_offset_of_zero_means_the_end_of_the_header(tmp_path, suffix, kind, slope):
    image = kind((10 * noise(SMALL)).astype(np.int16), AFFINE)
    image.header.set_slope_inter(slope, 0)
    nib.save(image, tmp_path / "sound.nii")
    expected = read_volume(tmp_path / "sound.nii").data
    place, layout = (_VOX_OFFSET, "<f") if kind is nib.Nifti1Image else (168, "<q")
    path = patched(tmp_path / "sound.nii", place, layout, 0)
    path = compressed(path) if suffix == ".nii.gz" else path
    np.testing.assert_array_equal(read_volume(path).data, expected)


def test_an_offset_in_the_header_is_rejected(tmp_path):
    path = write_image(tmp_path / "scan.nii", noise(SMALL))
    with pytest.raises(CordlesionError, match=r"scan\.nii: .*176"):
        read_volume(patched(path, _VOX_OFFSET, "<f", 176))


@pytest.mark.parametrize("slope", [1, 0.5])
def test_bytes_after_the_image_are_not_decompressed(tmp_path, slope):
    image = nib.Nifti1Image((10 * noise(SMALL)).astype(np.int16), AFFINE)
    image.header.set_slope_inter(slope, 0)
    nib.save(image, tmp_path / "scan.nii")
    expected = read_volume(tmp_path / "scan.nii").data
    bomb = tmp_path / "bomb.nii.gz"
    bomb.write_bytes(gzip.compress((tmp_path / "scan.nii").read_bytes() + bytes(200 * 2**20)))
    tracemalloc.start()
    try:
        np.testing.assert_array_equal(read_volume(bomb).data, expected)
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    finally:
        tracemalloc.stop()


def test_joined_and_padded_members_are_one_file(tmp_path):
    content = write_image(tmp_path / "scan.nii", noise(SMALL)).read_bytes()
    path = tmp_path / "joined.nii.gz"
    path.write_bytes(gzip.compress(content[:500]) + gzip.compress(content[500:]) + bytes(70_000))
    np.testing.assert_array_equal(read_volume(path).data, noise(SMALL))


@pytest.mark.parametrize("packed", [False, True])
def test_more_voxels_than_the_file_can_contain_are_rejected_before_allocation(tmp_path, packed):
    path = patched(write_image(tmp_path / "scan.nii", noise((40, 40, 40))), _DIM, "<4h", 3, 1000, 1000, 1000)
    path = compressed(path) if packed else path
    tracemalloc.start()
    try:
        with pytest.raises(CordlesionError, match=r"truncated or damaged: its header declares 4000000352 bytes, more"):
            read_volume(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_too_many_voxels_are_rejected(tmp_path):
    path = write_image(tmp_path / "scan.nii", np.zeros(SMALL, np.uint8))
    patched(path, _DIM, "<4h", 3, 2000, 2000, 2000)
    with path.open("r+b") as stream:
        stream.truncate(352 + 2000**3)  # a file with a hole: it takes no space
    with pytest.raises(CordlesionError, match="2000 x 2000 x 2000 voxels; at most"):
        read_grid(path)


@pytest.mark.parametrize("slope", [1, 2])
def test_colours_raise_a_clear_error_with_and_without_a_slope(tmp_path, slope):
    data = np.zeros(SMALL, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(data, AFFINE), tmp_path / "scan.nii")
    path = patched(tmp_path / "scan.nii", 112, "<2f", slope, 0)
    with pytest.raises(CordlesionError, match="voxels are of type RGB; real numbers are needed"):
        read_scan(path)


@pytest.mark.parametrize(
    ("content", "command"),
    [
        (b"/annex/objects/MD5E-s1234--abc.nii.gz\n", "git annex get"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n", "git lfs pull"),
    ],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_pointer_gives_the_command_that_fetches_it(tmp_path, content, command, suffix):
    path = tmp_path / f"scan{suffix}"
    path.write_bytes(content)
    with pytest.raises(CordlesionError, match=rf"whose content is not here; .* Fetch it \({command}"):
        read_volume(path)


def test_a_broken_link_gives_the_command_that_fetches_it(tmp_path):
    (tmp_path / "scan.nii.gz").symlink_to("../.git/annex/objects/x/scan.nii.gz")
    with pytest.raises(CordlesionError, match=r"a pointer to a file whose content is not here; .*git annex get"):
        read_volume(tmp_path / "scan.nii.gz")


@pytest.mark.parametrize(("second", "value"), [(0.99999994, 1), (255 * (1 + 1e-7), 255)])
def test_values_one_rounding_apart_are_one_value(tmp_path, second, value):
    data = value * box((1, 3), (1, 3), (1, 3), shape=SMALL).astype(np.float32)
    data[1, 1, 1] = second
    mask = read_mask(write_image(tmp_path / "mask.nii.gz", data))
    assert mask.data.sum() == 8
    assert mask.mask_value == pytest.approx(value)


def test_several_values_are_named_with_their_digits(tmp_path):
    data = box((1, 3), (1, 3), (1, 3), shape=SMALL).astype(np.float32)
    data[1, 1, 1] = 0.9999
    with pytest.raises(CordlesionError, match=r"found 2 other values \(0\.999899983 to 1\)"):
        read_mask(write_image(tmp_path / "mask.nii.gz", data))


def test_a_given_value_of_several_is_lesion(tmp_path):
    data = box((1, 5), (1, 5), (1, 5), shape=SMALL)
    data[2, 2, 2] = 2
    path = write_image(tmp_path / "mask.nii.gz", data)
    assert read_mask(path, value=2).data.sum() == 1
    assert read_mask(path, value=1).data.sum() == 63
    assert not read_mask(path, value=3).data.any()


def test_the_message_about_almost_equal_transforms_shows_their_difference(tmp_path):
    image = nib.Nifti1Image(noise(SMALL), AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE + 0.04 * np.eye(4, k=3), 1)
    nib.save(image, tmp_path / "scan.nii.gz")
    assert "up to 0.04 mm elsewhere" in str(placement_remark(read_volume(tmp_path / "scan.nii.gz")))
