"""Stray voxels are ignored with a warning; plausible cords are kept unchanged."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.cord.centerline import centerline_from_cord_mask, read_centerline
from cordlesion.cord.stray_voxels import centers, remove_specks, select_continuous
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume, read_mask
from support.images import write_image

SPACING = (0.75, 0.75, 1.5)
SHAPE = (40, 40, 60)
SCAN = Volume(np.zeros(SHAPE, np.float32), np.diag([-0.75, 0.75, 1.5, 1]))


def course(z):
    """Return the centre of a bent cord in voxels."""
    return 20 + 4 * np.sin(z / 12), 18 + 6 * np.cos(z / 15)


def cord(radius=5, slices=range(45)):
    mask, (x, y) = np.zeros(SHAPE, bool), np.mgrid[: SHAPE[0], : SHAPE[1]]
    for z in slices:
        cx, cy = course(z)
        mask[..., z] = (x - cx) ** 2 + (y - cy) ** 2 <= radius**2
    return mask


def curve(slices=range(45)):
    mask = np.zeros(SHAPE, bool)
    for z in slices:
        mask[(*np.rint(course(z)).astype(int), z)] = True
    return mask


DRAWN = {
    "cord": (cord(), centerline_from_cord_mask),
    "cord in every fifth slice": (cord(slices=range(0, 45, 5)), centerline_from_cord_mask),
    "curve": (curve(), read_centerline),
    "curve in every other slice": (curve(range(0, 45, 2)), read_centerline),
}


def read(folder, mask, reader):
    return reader(write_image(folder / "drawn.nii.gz", mask.astype(np.uint8), SCAN.affine), SCAN)


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("stray", [(1, 1, 58), (38, 2, 50), (1, 38, 20), (39, 39, 0)])
def test_a_stray_voxel_is_ignored_with_a_warning(tmp_path, kind, stray):
    mask, reader = DRAWN[kind]
    expected = read(tmp_path, mask, reader)
    assert expected.remarks == ()
    strayed = mask.copy()
    strayed[stray] = True
    found = read(tmp_path, strayed, reader)
    for axis in "xyz":
        np.testing.assert_array_equal(getattr(found, axis), getattr(expected, axis))
    assert len(found.remarks) == 1
    assert found.remarks[0].startswith("1 ")
    assert "left out" in found.remarks[0]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 4))
def test_a_few_specks_do_not_change_a_cord(seed, n_specks):
    rng, mask = np.random.default_rng(seed), cord()
    strayed = mask.copy()
    strayed[tuple(rng.integers(0, n, n_specks) for n in SHAPE)] = True
    near = remove_specks(strayed) & ~mask
    assert (remove_specks(strayed) >= mask).all()
    grown = np.zeros_like(mask)
    for place in np.argwhere(mask):
        grown[tuple(slice(max(0, k - 4), k + 5) for k in place)] = True
    assert not (near & ~grown).any()  # voxels that touch the cord are part of it


def test_a_steep_curve_is_kept_with_a_warning(tmp_path):
    mask = np.zeros(SHAPE, bool)
    for z in range(30):
        mask[5 + (25 if z % 2 else 0), 20, z] = True
    found = read(tmp_path, mask, read_centerline)
    assert len(found.z) == 30
    assert "more steeply than a cord" in found.remarks[0]


@pytest.mark.parametrize(
    "name",
    [
        "t2_seg-manual.nii.gz",
        "sub-unf01_T2w_seg-manual.nii.gz",
        "PAM50_small_cord.nii.gz",
        "t2_ms_centerline.nii.gz",
        "t2star/sub-9418_run-1_T2starw_label-SC_seg.nii.gz",
    ],
)
def test_real_cords_are_kept_and_stray_voxels_are_removed(shared, name):
    volume = to_las(read_mask(shared("data", "real", *name.split("/"))))
    mask = np.asarray(volume.data, bool)
    expected = centers(mask)
    assert (remove_specks(mask) == mask).all()
    assert select_continuous(expected, volume.spacing_mm).points.all()
    for corner in ((0, 0, 0), (-1, 0, -1), (0, -1, mask.shape[2] // 2)):
        strayed = mask.copy()
        strayed[corner] = True
        found = centers(remove_specks(strayed))
        np.testing.assert_array_equal(found[select_continuous(found, volume.spacing_mm).points], expected)
