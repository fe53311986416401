import errno
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cordlesion.centerlines import FINDERS
from cordlesion.cord.centerline import Centerline, centerline_from_cord_mask, centerline_mask, read_centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import to_las
from cordlesion.io.volume import read_scan, write_volume
from cordlesion.scan.centerline import centerline_file
from support.images import assert_same_geometry
from support.strategies import make_scan

Z = np.arange(3.0, 9.0)
CURVE = Centerline(4.0 + 0.5 * Z, 7.0 - 0.4 * Z, Z, 0.87)


@pytest.fixture
def scan(tmp_path):
    made = make_scan("PIR", (0.7, 0.6, 2.0), (14, 12, 10), (0.1, -0.2, 0.05), 3)
    write_volume(tmp_path / "scan.nii.gz", made.data, made)
    return tmp_path / "scan.nii.gz"


@pytest.fixture
def found(monkeypatch):
    monkeypatch.setattr("cordlesion.centerlines.FINDERS", {**FINDERS, "auto": lambda _: CURVE})


@pytest.mark.usefixtures("found")
def test_the_curve_has_one_voxel_per_axial_slice_and_can_be_given_back(cli, scan, tmp_path):
    ended = cli("centerline", scan, "-o", tmp_path / "curve.nii.gz")
    assert ended.status == 0
    assert "cord in 6 of 10 axial slices (12 mm), confidence 0.87" in ended.output + ended.error
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    image, written = read_scan(scan), nib.load(tmp_path / "curve.nii.gz")
    assert_same_geometry(written.header, nib.load(scan).header)
    curve = read_centerline(tmp_path / "curve.nii.gz", image)
    counts = to_las(replace(image, data=np.asarray(written.dataobj))).data.sum(axis=(0, 1))
    np.testing.assert_array_equal(counts, [0, 0, 0, 1, 1, 1, 1, 1, 1, 0])
    np.testing.assert_allclose(curve.z, Z, atol=1e-4)
    assert np.abs(curve.x - CURVE.x).max() < 0.51
    assert np.abs(curve.y - CURVE.y).max() < 0.51


def test_a_curve_that_leaves_the_image_is_drawn_at_its_border(scan):
    image = read_scan(scan)
    outside = Centerline(CURVE.x + 100, CURVE.y, CURVE.z)
    x, _, _ = np.nonzero(to_las(replace(image, data=centerline_mask(outside, image))).data)
    assert set(x) == {to_las(image).data.shape[0] - 1}


@pytest.mark.usefixtures("found")
def test_where_the_picture_cannot_be_written_there_is_no_curve_either(scan, tmp_path, monkeypatch):
    def full(_: object, path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("cordlesion.pictures.overlay.save_png", full)
        with pytest.raises(CordlesionError, match=r"curve\.png: cannot be written \(No space left on device\)"):
            centerline_file(scan, tmp_path / "curve.nii.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii.gz"]
    centerline_file(scan, tmp_path / "curve.nii.gz")


@pytest.mark.usefixtures("found")
def test_the_scan_itself_is_never_overwritten(cli, scan):
    before = scan.read_bytes()
    ended = cli("centerline", scan, "-o", scan)
    assert ended.status == 2
    assert "is the file that is read, and would be overwritten" in ended.error
    assert scan.read_bytes() == before


@pytest.mark.usefixtures("found")
@pytest.mark.parametrize("there", ["curve.nii.gz", "curve.png"])
def test_a_curve_that_may_have_been_edited_is_replaced_only_when_asked(cli, scan, tmp_path, there):
    (tmp_path / there).write_text("edited")
    command = ("centerline", scan, "-o", tmp_path / "curve.nii.gz")
    ended = cli(*command)
    assert ended.status == 2
    assert f"{tmp_path / there}: exists already, and may have been edited; another name is needed" in ended.error
    assert "--overwrite" in ended.error
    assert (tmp_path / there).read_text() == "edited"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([there, "scan.nii.gz"])
    assert cli(*command, "--overwrite").status == 0
    assert (tmp_path / there).read_bytes() != b"edited"
    before = scan.read_bytes()
    assert "is the file that is read" in cli("centerline", scan, "-o", scan, "--overwrite").error
    assert scan.read_bytes() == before


def test_a_scan_without_cord_writes_nothing(cli, scan, tmp_path):
    ended = cli("centerline", scan, "-o", tmp_path / "curve.nii.gz")
    assert ended.status == 2
    assert "no spinal cord was found" in ended.error
    assert "Try another --source, or draw the curve yourself" in ended.error
    assert "--centerline" not in ended.error
    assert not (tmp_path / "curve.nii.gz").exists()
    assert not (tmp_path / "curve.png").exists()


def test_scts_network_is_a_source(cli, shared, tmp_path):
    scan, network = shared("data", "real", "t2.nii.gz"), shared("data", "sct", "t2_ctr.h5")
    ended = cli("centerline", scan, "-o", tmp_path / "curve.nii.gz", "--source", network)
    assert ended.status == 0
    assert "cord in 55 of 55 axial slices (55 mm), confidence 1.00" in ended.output
    image = read_scan(scan)
    curve = read_centerline(tmp_path / "curve.nii.gz", image)
    mask = centerline_from_cord_mask(shared("data", "real", "t2_seg-manual.nii.gz"), image)
    x, y = curve.at(mask.z)
    assert np.hypot(x - mask.x, y - mask.y).max() < 1.5


def test_an_unknown_source_is_told_before_anything_is_done(cli, scan, tmp_path):
    ended = cli("centerline", scan, "-o", tmp_path / "curve.nii.gz", "--source", "optic")
    assert ended.status == 2
    assert "'optic' is no source of centerlines; one of auto, sct or the file" in ended.error
