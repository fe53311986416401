import gzip
import re
import struct

import nibabel as nib
import numpy as np
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.io.volume import (
    Volume,
    read_grid,
    read_mask,
    read_probability,
    read_scan,
    read_volume,
    require_same_grid,
    write_volume,
)
from support.images import (
    AFFINE,
    BROKEN,
    SHAPE,
    UNUSABLE_MASKS,
    UNUSABLE_SCANS,
    assert_same_geometry,
    box,
    noise,
    write_image,
)
from support.strategies import AXES, make_scan


def oblique_file(path, orientation, qform_code, sform_code, units="mm", kind=nib.Nifti1Image):
    """A file whose two transforms have the given codes; where both are set they differ, as tools may leave them."""
    scan = make_scan(orientation, (0.6, 0.7, 2.0), (9, 8, 7), (0.1, -0.2, 0.3), seed=1)
    image = kind(scan.data, scan.affine)
    image.set_qform(scan.affine, qform_code)
    moved = scan.affine + 0.25 * np.eye(4, k=3) * (qform_code > 0)
    image.set_sform(moved if sform_code else None, sform_code)
    image.header.set_xyzt_units(units)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (1, 2), (4, 3), (0, 0)])
@pytest.mark.parametrize("orientation", ["LAS", "RPI", "PSR", "IRA"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_outputs_have_the_scans_geometry_bit_by_bit(tmp_path, codes, orientation, suffix):
    scan = read_volume(
        oblique_file(tmp_path / f"scan{suffix}", orientation, *codes, units="mm" if codes[0] else "unknown")
    )
    write_volume(tmp_path / f"mask{suffix}", scan.data > 50, scan)
    written = nib.load(tmp_path / f"mask{suffix}")
    assert_same_geometry(nib.load(tmp_path / f"scan{suffix}").header, written.header)
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), scan.data > 50)
    assert written.get_data_dtype() == np.uint8
    require_same_grid(read_volume(tmp_path / f"mask{suffix}"), scan)


def test_outputs_of_a_nifti2_scan_keep_its_place(tmp_path):
    scan = read_volume(oblique_file(tmp_path / "scan.nii", "PSR", 1, 1, kind=nib.Nifti2Image))
    write_volume(tmp_path / "map.nii", scan.data, scan)
    np.testing.assert_allclose(nib.load(tmp_path / "map.nii").affine, scan.affine, atol=1e-5)


@pytest.mark.parametrize("orientation", AXES)
def test_spacing_and_orientation(orientation):
    scan = make_scan(orientation, (0.5, 0.7, 3.0), (4, 5, 6), (0.05, 0.1, -0.1), seed=0)
    assert scan.orientation == orientation
    expected = {"LR": 0.5, "AP": 0.7, "IS": 3.0}
    for letter, spacing in zip(orientation, scan.spacing_mm, strict=True):
        assert spacing == pytest.approx(next(v for letters, v in expected.items() if letter in letters))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_values_survive_reading(tmp_path, dtype):
    data = np.arange(60).reshape(3, 4, 5).astype(dtype)
    volume = read_volume(write_image(tmp_path / "a.nii.gz", data))
    assert volume.data.dtype == dtype
    np.testing.assert_array_equal(volume.data, data)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_scaled_integers_are_read_as_the_numbers_they_stand_for(tmp_path, name):
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), AFFINE)
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, tmp_path / name)
    expected = nib.load(tmp_path / name).get_fdata()
    assert expected[0, 0, 1] != 1  # the scaling is in the file
    np.testing.assert_allclose(read_scan(tmp_path / name).data, expected)


def test_a_file_may_be_compressed_in_pieces_or_hold_more_than_the_image(tmp_path):
    path, data = tmp_path / "a.nii.gz", noise((3, 4, 5))
    content = gzip.decompress(write_image(path, data).read_bytes())
    for pieces in ([content[:100], content[100:400], content[400:]], [content, b"more"], [content + b"more"]):
        path.write_bytes(b"".join(map(gzip.compress, pieces)))
        np.testing.assert_array_equal(read_volume(path).data, data)


def test_a_soundly_compressed_part_of_an_image_raises_a_clear_error(tmp_path):
    path = write_image(tmp_path / "a.nii.gz", noise((3, 4, 5)))
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1]))
    with pytest.raises(CordlesionError, match="truncated or damaged"):
        read_volume(path)


def test_a_fourth_axis_of_length_one_is_dropped(tmp_path):
    assert read_volume(write_image(tmp_path / "a.nii.gz", noise((3, 4, 5, 1)))).data.shape == (3, 4, 5)


@pytest.mark.parametrize(("write", "fault"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_raises_a_clear_error(tmp_path, write, fault):
    path = write(tmp_path / "scan.nii.gz")
    with pytest.raises(CordlesionError, match=fault) as error:
        read_volume(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize(
    ("place", "kind", "values", "fault"),
    [
        (42, "<3h", (32767, 32767, 32767), "truncated or damaged"),  # more than any machine's memory
        (42, "<h", (-3,), "one non-empty 3-D volume is needed"),
        (108, "<f", (1e18,), "truncated or damaged"),  # where the voxels begin
        (108, "<f", (np.inf,), "not a readable NIfTI"),
    ],
)
def test_a_header_of_nonsense_raises_a_clear_error(tmp_path, name, place, kind, values, fault):
    content = bytearray(write_image(tmp_path / "sound.nii", noise((3, 4, 5))).read_bytes())
    struct.pack_into(kind, content, place, *values)
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    with pytest.raises(CordlesionError, match=fault):
        read_volume(path)


@pytest.mark.parametrize(("wrong", "right"), [("a.nii", "a.nii.gz"), ("a.nii.gz", "a.nii")])
def test_renamed_as_it_is_reported_a_file_is_read(tmp_path, wrong, right):
    write_image(tmp_path / right, noise()).rename(tmp_path / wrong)
    with pytest.raises(CordlesionError, match=rf"Rename it to {re.escape(right)}\.$"):
        read_volume(tmp_path / wrong)
    (tmp_path / wrong).rename(tmp_path / right)
    np.testing.assert_array_equal(read_volume(tmp_path / right).data, noise())


@pytest.mark.parametrize(("write", "fault"), UNUSABLE_SCANS.values(), ids=UNUSABLE_SCANS)
def test_an_unusable_scan_raises_a_clear_error(tmp_path, write, fault):
    path = write(tmp_path / "scan.nii.gz")
    with pytest.raises(CordlesionError, match=fault):
        read_scan(path)


@pytest.mark.parametrize(("write", "fault"), UNUSABLE_MASKS.values(), ids=UNUSABLE_MASKS)
def test_an_unusable_mask_raises_a_clear_error(tmp_path, write, fault):
    scan = read_scan(write_image(tmp_path / "scan.nii.gz", noise()))
    path = write(tmp_path / "mask.nii.gz")
    with pytest.raises(CordlesionError, match=fault) as error:
        read_mask(path, like=scan)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("value", [1, 255, 3])
def test_any_one_value_means_inside(tmp_path, value):
    lesion = box((2, 5), (3, 9), (1, 4))
    mask = read_mask(write_image(tmp_path / "mask.nii.gz", lesion * np.uint8(value)))
    assert mask.data.dtype == bool
    np.testing.assert_array_equal(mask.data, lesion.astype(bool))


def test_an_empty_mask_is_a_mask(tmp_path):
    assert not read_mask(write_image(tmp_path / "mask.nii.gz", np.zeros(SHAPE, np.uint8))).data.any()


@pytest.mark.parametrize(("low", "high"), [(-0.01, 1), (0, 1.01), (0, 100)])
def test_logits_and_percentages_are_no_probabilities(tmp_path, low, high):
    data = np.linspace(low, high, 60, dtype=np.float32).reshape(3, 4, 5)
    with pytest.raises(CordlesionError, match="probabilities between 0 and 1 are needed"):
        read_probability(write_image(tmp_path / "p.nii.gz", data))


def test_probabilities_are_read_in_float32(tmp_path):
    data = np.linspace(0, 1, 60).reshape(3, 4, 5)
    probability = read_probability(write_image(tmp_path / "p.nii.gz", data))
    assert probability.data.dtype == np.float32
    np.testing.assert_array_equal(probability.data, data.astype(np.float32))


@pytest.mark.parametrize(("shift_mm", "same"), [(0, True), (0.01, True), (0.1, False), (0.6, False)])
@pytest.mark.parametrize("axis", range(3))
def test_grids_are_the_same_up_to_rounding(shift_mm, same, axis):
    affine = AFFINE.copy()
    affine[axis, 3] = shift_mm
    first, second = Volume(noise(), affine), Volume(noise(), AFFINE)
    if same:
        require_same_grid(first, second)
    else:
        with pytest.raises(CordlesionError, match="mm away"):
            require_same_grid(first, second)


def test_reading_only_the_grid_takes_no_memory(tmp_path):
    path = write_image(tmp_path / "a.nii.gz", noise())
    grid = read_grid(path)
    assert grid.data.shape == SHAPE
    assert set(grid.data.strides) == {0}
    np.testing.assert_array_equal(grid.affine, read_volume(path).affine)


def test_data_of_another_shape_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match="shape"):
        write_volume(tmp_path / "a.nii.gz", np.zeros((2, 2, 2)), Volume(noise(), AFFINE))
    assert not list(tmp_path.iterdir())


def test_volumes_made_in_memory_are_written_in_millimetres(tmp_path):
    write_volume(tmp_path / "a.nii.gz", noise(), Volume(noise(), AFFINE))
    written = nib.load(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(written.affine, AFFINE, atol=1e-6)
    assert written.header.get_xyzt_units()[0] == "mm"


def test_same_data_gives_the_same_bytes(tmp_path):
    for name in "ab":
        write_volume(tmp_path / name / "x.nii.gz", noise(), Volume(noise(), AFFINE))
    first, second = ((tmp_path / name / "x.nii.gz").read_bytes() for name in "ab")
    assert first == second


@pytest.mark.parametrize("name", ["map", "map.nii.gz.txt", "map.png"])
def test_an_image_needs_the_name_of_an_image(tmp_path, name):
    volume = Volume(np.zeros((2, 2, 2)), np.eye(4))
    with pytest.raises(CordlesionError, match=r"a name that ends in \.nii\.gz or \.nii is needed"):
        write_volume(tmp_path / name, volume.data, volume)
    assert not list(tmp_path.iterdir())
