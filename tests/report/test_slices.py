import itertools

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordlesion.errors import CordlesionError
from cordlesion.preprocess.centerline import Centerline
from cordlesion.report import slices
from cordlesion.volume import Volume

ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(("LR", "AP", "SI"))
    for letters in itertools.product(*axes)
]  # fmt: skip
SHAPE, SPACING_MM = (8, 20, 30), (2.0, 0.8, 0.5)


def las_volume(data: np.ndarray) -> Volume:
    return Volume(
        data, np.diag([-SPACING_MM[0], SPACING_MM[1], SPACING_MM[2], 1.0]) + np.array([[0, 0, 0, 7.0]] * 3 + [[0] * 4])
    )


def turned(volume: Volume, orientation: str) -> Volume:
    """Store the same picture in another index order."""
    change = nib.orientations.ornt_transform(
        nib.io_orientation(volume.affine), nib.orientations.axcodes2ornt(orientation)
    )
    data = nib.orientations.apply_orientation(volume.data, change)
    affine = volume.affine @ nib.orientations.inv_ornt_aff(change, volume.data.shape)
    return Volume(np.ascontiguousarray(data), affine)


def marked() -> tuple[Volume, Volume]:
    """An image that is bright at its anterior, superior, left corner, and a lesion there."""
    image = np.random.default_rng(0).uniform(0, 1, SHAPE).astype(np.float32)
    image[-2:, -5:, -6:] += 10
    return las_volume(image), las_volume(image > 5)


def test_there_are_48_orientations() -> None:
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_pictures_are_the_same_in_every_index_order(orientation: str) -> None:
    image, mask = marked()
    expected = slices.layers(image, mask)
    stack = slices.layers(turned(image, orientation), turned(mask, orientation))
    x, z = slices.sagittal_index(stack), slices.axial_indices(stack)[0]
    for cut, index, window in (
        (slices.sagittal, x, slices.sagittal_window(stack)),
        (slices.axial, z, slices.axial_window(stack, z)),
    ):
        ours, theirs = cut(stack, index, window), cut(expected, index, window)
        np.testing.assert_array_equal(ours.image, theirs.image)
        np.testing.assert_array_equal(ours.mask, theirs.mask)
        assert ours.size_mm == pytest.approx(theirs.size_mm)
        assert ours.position_mm == pytest.approx(theirs.position_mm)


def test_sagittal_has_superior_up_and_anterior_left() -> None:
    stack = slices.layers(*marked())
    whole = slices.sagittal(stack, 7, (slice(0, 20), slice(0, 30)))
    assert whole.mask is not None
    assert whole.mask[:6, :5].all()
    assert whole.mask.sum() == 30
    assert whole.letters == ("A", "P", "I", "S")
    assert whole.size_mm == pytest.approx((16.0, 15.0))


def test_axial_has_anterior_up_and_the_patients_left_at_the_right() -> None:
    stack = slices.layers(*marked())
    whole = slices.axial(stack, 29, (slice(0, 8), slice(0, 20)))
    assert whole.mask is not None
    assert whole.mask[:5, -2:].all()
    assert whole.mask.sum() == 10
    assert whole.letters == ("R", "L", "P", "A")
    assert whole.size_mm == pytest.approx((16.0, 16.0))


def test_position_is_that_of_the_scanner() -> None:
    stack = slices.layers(*marked())
    assert slices.sagittal(stack, 3, (slice(0, 20), slice(0, 30))).position_mm == pytest.approx(7 - 2 * 3)
    assert slices.axial(stack, 10, (slice(0, 8), slice(0, 20))).position_mm == pytest.approx(7 + 0.5 * 10)


def test_sagittal_slice_is_the_one_with_most_lesion() -> None:
    lesions = np.zeros(SHAPE, bool)
    lesions[2, 5, 5] = lesions[6, 5, 5:9] = True
    assert slices.sagittal_index(slices.layers(las_volume(np.zeros(SHAPE)), lesions)) == 6


def test_without_lesions_pictures_follow_the_centerline() -> None:
    stack = slices.layers(las_volume(np.zeros(SHAPE)), np.zeros(SHAPE, bool))
    line = Centerline(np.array([1.0, 1.0]), np.array([4.0, 15.0]), np.array([2.0, 27.0]))
    assert slices.sagittal_index(stack, line) == 1
    indices = slices.axial_indices(stack, line)
    assert len(indices) == slices.MAX_AXIAL_SLICES
    assert indices == sorted(indices, reverse=True)
    assert all(2 <= z <= 27 for z in indices)


def test_at_most_six_axial_slices_through_the_largest_lesions() -> None:
    lesions = np.zeros((8, 20, 60), bool)
    for n in range(9):
        lesions[2 : 3 + n % 5, 3:5, 6 * n : 6 * n + 2] = True
    lesions[2:7, 3:8, 55] = True
    stack = slices.layers(Volume(np.zeros(lesions.shape), np.eye(4)), lesions)
    indices = slices.axial_indices(stack)
    assert len(indices) == slices.MAX_AXIAL_SLICES
    assert 55 in indices
    assert all(stack.lesions[:, :, z].any() for z in indices)


def test_a_mask_off_the_scans_grid_is_refused() -> None:
    image, _ = marked()
    with pytest.raises(CordlesionError, match="share one grid"):
        slices.layers(image, np.zeros((3, 3, 3), bool))


@given(center=st.floats(-50, 150), wanted=st.floats(0, 300), n=st.integers(1, 100))
def test_centered_range_stays_inside(center: float, wanted: float, n: int) -> None:
    window = slices.centered_range(center, wanted, n)
    assert 0 <= window.start < window.stop <= n
    assert window.stop - window.start == min(max(round(wanted), 1), n)
