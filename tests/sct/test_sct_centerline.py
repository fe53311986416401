import os
import stat

import nibabel as nib
import numpy as np
import pytest

from cordlesion.cord.ends import Ends
from cordlesion.errors import CordlesionError
from cordlesion.io.volume import read_scan
from cordlesion.sct.centerline_program import centerline_from_sct
from support.images import noise, write_image


@pytest.fixture
def scan(tmp_path):
    return read_scan(write_image(tmp_path / "scan.nii.gz", noise()))


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return ``install(name, script)``: put a stub executable on an otherwise empty PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/bin{os.pathsep}/usr/bin")

    def add(name, script):
        path = programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return add


def drawn(path, scan, width):
    """Write a cord ``width`` voxels wide around (12, 9)."""
    data = np.zeros(scan.data.shape, np.uint8)
    data[12 - width : 12 + width + 1, 9 - width : 9 + width + 1, 3:30] = 1
    nib.save(nib.Nifti1Image(data, scan.affine), path)
    return path


def assert_found(curve):
    np.testing.assert_array_equal(curve.z, np.arange(3, 30))
    np.testing.assert_allclose([curve.x, curve.y], [[12] * 27, [9] * 27], atol=1e-4)
    # The programs give no reason why a curve ends inside the scan.
    assert curve.ends == Ends("lost", "border")
    assert curve.confidence is None


def test_sct_get_centerline_is_called_as_its_manual_says(scan, install, tmp_path):
    result = drawn(tmp_path / "result.nii.gz", scan, 0)
    install("sct_get_centerline", f'echo "$1 $2 $3 $4 $5" > {tmp_path}/call; cp {result} "$6.nii.gz"')
    assert_found(centerline_from_sct(scan))
    assert (tmp_path / "call").read_text() == f"-i {scan.path} -c t2 -o\n"


def test_where_only_sct_deepseg_is_there_its_cord_mask_is_taken(scan, install, tmp_path):
    result = drawn(tmp_path / "result.nii.gz", scan, 2)
    install("sct_deepseg", f'echo "$1 $2 $3 $4" > {tmp_path}/call; cp {result} "$5"')
    assert_found(centerline_from_sct(scan))
    assert (tmp_path / "call").read_text() == f"spinalcord -i {scan.path} -o\n"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo working; echo 'no GPU, no luck' >&2; exit 3", "status 3 .* no GPU, no luck"),
        ("echo done", "status 0 and no centerline; its last output: done"),
        ("exit 1", "last output: nothing"),
    ],
)
def test_its_failure_is_told_in_its_own_words(scan, install, script, told):
    install("sct_get_centerline", script)
    with pytest.raises(CordlesionError, match=told):
        centerline_from_sct(scan)


def test_a_stub_that_is_no_program_is_told(scan, install, tmp_path):
    install("sct_get_centerline", "")
    (tmp_path / "bin/sct_get_centerline").write_bytes(b"\x00\x01")
    with pytest.raises(CordlesionError, match="could not be run"):
        centerline_from_sct(scan)


def test_without_the_toolbox_it_says_so(scan, install):
    del install
    with pytest.raises(CordlesionError, match="neither sct_get_centerline nor sct_deepseg is on the PATH"):
        centerline_from_sct(scan)
