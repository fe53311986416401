import itertools

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from cordlesion.cord.centerline import Centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import file_index
from cordlesion.io.volume import Volume
from cordlesion.pictures import slices
from cordlesion.pictures.shades import cord_gray, gray_around

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
    x, z = slices.sagittal_index(stack), slices.axial_indices(stack, [np.argwhere(stack.lesions)])[0]
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
    indices = slices.axial_indices(stack, [], line)
    assert len(indices) == slices.SLICES_WITHOUT_LESIONS
    assert indices == sorted(indices, reverse=True)
    assert all(2 <= z <= 27 for z in indices)


def test_axial_slices_go_through_the_largest_lesions() -> None:
    """Of 13 lesions of 2 slices each, one above the other; the smallest ones get no slice."""
    sizes = np.random.default_rng(1).permutation(13) + 2
    lesions = [np.array([(x, y, 6 * k + y) for x in range(size) for y in range(2)]) for k, size in enumerate(sizes)]
    stack = slices.layers(Volume(np.zeros((20, 20, 80)), np.eye(4)), None)
    indices = slices.axial_indices(stack, lesions)
    assert len(indices) == slices.MAX_AXIAL_SLICES
    assert indices == sorted(indices, reverse=True)
    assert sorted(sizes[z // 6] for z in indices) == list(range(6, 15))


def test_a_lesion_that_is_seen_well_already_gets_no_slice_of_its_own() -> None:
    lesions = np.zeros((8, 20, 30), bool)
    lesions[1:4, 2:8, 10:15] = True
    lesions[6:8, 2:6, 9:13] = True  # as wide in slice 12 as anywhere
    lesions[6:8, 12:15, 12:16] = True
    lesions[6, 12, 12] = lesions[6, 13, 12] = False  # only two thirds as wide in slice 12
    stack = slices.layers(las_volume(np.zeros(SHAPE)), lesions)
    labels, n = ndimage.label(lesions)
    found = slices.axial_indices(stack, [np.argwhere(labels == k + 1) for k in range(n)])
    assert found == [14, 12, 10], "the middle of the slices in which a lesion is widest, and of those not seen yet"


def choose(*spans: tuple[int, int], n_slices: int = 60, slice_mm: float = 1.0) -> list[int]:
    """Slices for lesions of one width, each from a slice to a slice."""
    stack = slices.layers(Volume(np.zeros((8, 8, n_slices)), np.diag([-1.0, 1.0, slice_mm, 1.0])), None)
    return slices.axial_indices(stack, [np.array([(4, 4, z) for z in range(low, high + 1)]) for low, high in spans])


def test_a_long_lesion_gets_slices_along_its_length() -> None:
    assert choose((5, 50)) == [40, 28, 16], "46 mm"
    found = choose((0, 59), slice_mm=2.5)
    assert len(found) in slices.FULL_ROWS
    assert max(-np.diff([60, *found, -1])) * 2.5 <= slices.UNSEEN_MM + 2.5


def test_few_and_small_lesions_fill_the_smallest_sheet() -> None:
    assert choose((20, 21)) == [21, 20, 19]
    assert choose((30, 30), n_slices=31) == [30, 29, 28]
    assert choose((0, 0), n_slices=2) == [1, 0]
    assert len(choose((5, 9), (20, 24), (30, 34), (40, 44), (50, 54))) == 6


@pytest.mark.parametrize("orientation", ["LAS", "RPI", "PIR", "SAL"])
def test_slices_are_named_as_the_file_counts(orientation: str) -> None:
    image = las_volume(np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE))
    stored = turned(image, orientation)
    letter, index = file_index(stored, slices.layers(stored, None).scan, 21).split(" = ")
    axis = next(n for n, code in enumerate(orientation) if code in "SI")
    assert letter == "ijk"[axis]
    np.testing.assert_array_equal(
        np.sort(stored.data.take(int(index), axis), axis=None), np.sort(image.data[..., 21], None)
    )


def test_what_is_cut_out_around_lesions_keeps_its_place() -> None:
    image, mask = las_volume(np.random.default_rng(0).uniform(0, 1, SHAPE)), np.zeros(SHAPE, bool)
    mask[3:5, 10, 12:16] = True
    part, start = slices.around_lesions(slices.layers(image, mask), 2.0)
    assert part.scan.data.shape == (4, 5, 12)
    np.testing.assert_array_equal(part.scan.data, image.data[2:6, 8:13, 8:20])
    np.testing.assert_array_equal(np.argwhere(part.lesions) + start, np.argwhere(mask))
    np.testing.assert_allclose(part.scan.affine @ (0, 0, 0, 1), image.affine @ (*start, 1))
    assert file_index(image, part.scan, 4) == "k = 12"


def bent(seed: int = 0) -> tuple[Volume, Centerline, np.ndarray]:
    """A scan whose cord, bright, leans to the left, and has a lesion that leans with it."""
    data = np.random.default_rng(seed).uniform(0, 1, SHAPE).astype(np.float32)
    z = np.arange(30.0)
    curve = Centerline(1 + 0.15 * z, np.full(30, 9.0), z)
    lesion = np.zeros(SHAPE, bool)
    for k in range(30):
        data[round(curve.x[k]), 8:11, k] += 50
        lesion[round(curve.x[k]), 9, k] = 10 <= k < 20
    return las_volume(data), curve, lesion


def test_a_cut_along_the_cord_shows_all_of_a_cord_that_leans() -> None:
    scan, curve, lesion = bent()
    stack = slices.layers(scan, lesion)
    window = (slice(2, 18), slice(0, 30))
    cut = slices.along_cord(stack, curve, window)
    assert cut.size_mm == pytest.approx((16 * 0.8, 30 * 0.5))
    assert cut.letters == ("A", "P", "I", "S")
    cord = cut.image > 20
    assert cord[:, 7:10].all()  # rows of A run from 17 down to 2
    assert not cord[:, :7].any()
    assert not cord[:, 10:].any()
    assert cut.mask is not None
    np.testing.assert_array_equal(np.argwhere(cut.mask), [(29 - k, 8) for k in range(19, 9, -1)])
    straight = slices.sagittal(stack, 3, window)
    assert (straight.image > 20).any(axis=1).sum() < 15


def test_a_cut_along_a_straight_cord_is_the_sagittal_slice() -> None:
    stack = slices.layers(*marked())
    window = (slice(3, 18), slice(4, 30))
    ours = slices.along_cord(stack, Centerline(np.full(2, 7.0), np.full(2, 9.0), np.array([8.0, 20.0])), window)
    theirs = slices.sagittal(stack, 7, window)
    np.testing.assert_allclose(ours.image, theirs.image)
    np.testing.assert_array_equal(ours.mask, theirs.mask)
    assert (ours.size_mm, ours.position_mm) == (theirs.size_mm, theirs.position_mm)


def test_a_shadow_shows_lesions_of_every_sagittal_slice() -> None:
    scan, _, lesion = bent()
    lesion[0, 4, 25] = True
    seen = slices.shadow(slices.layers(scan, lesion), (slice(0, 20), slice(0, 30)))
    expected = {(29 - k, 19 - 9) for k in range(10, 20)} | {(29 - 25, 19 - 4)}
    assert {tuple(place) for place in np.argwhere(seen).tolist()} == expected


def test_shades_come_from_the_cord_and_its_surroundings() -> None:
    """Beside the cord lies something a hundred times as bright, and far along it, too."""
    data = np.full((80, 80, 60), 9000, np.float32)
    data[35:46, 35:46, 20:41] = np.linspace(100, 200, 11)[:, None, None]
    stack = slices.layers(Volume(data, np.diag([-2.0, 2.0, 1.0, 1.0])), None)
    line = Centerline(np.full(2, 40.0), np.full(2, 40.0), np.array([0.0, 59.0]))
    low, high = cord_gray(stack, line, 30, 30)
    assert 100 <= low < 115
    assert 185 < high <= 200


def test_lesions_far_from_the_curve_are_in_the_middle_of_their_picture() -> None:
    lesions = np.zeros((100, 100, 4), bool)
    lesions[88:92, 80:84, 2] = True
    stack = slices.layers(Volume(np.zeros(lesions.shape), np.diag([-1.0, 1.0, 1.0, 1.0])), lesions)
    line = Centerline(np.full(2, 20.0), np.full(2, 20.0), np.array([0.0, 3.0]))
    along_l, along_a = slices.axial_window(stack, 2, line)
    assert along_l.start <= 88 < 92 <= along_l.stop
    assert along_a.start <= 80 < 84 <= along_a.stop
    assert slices.axial_window(stack, 1, line) == (slice(0, 40), slice(0, 40))


@pytest.mark.parametrize(("gap", "shown"), [(10, "both"), (40, "both"), (90, "the larger one")])
def test_lesions_apart_are_shown_together_where_they_fit(gap: int, shown: str) -> None:
    lesions = np.zeros((150, 150, 1), bool)
    lesions[20:24, 20:24] = True
    lesions[24 + gap : 30 + gap, 20:24] = True
    stack = slices.layers(Volume(np.zeros(lesions.shape), np.diag([-1.0, 1.0, 1.0, 1.0])), lesions)
    window = slices.axial_window(stack, 0)
    inside = lesions[(*window, 0)].sum()
    assert inside == {"both": 40, "the larger one": 24}[shown]
    assert 40 <= window[0].stop - window[0].start <= 80


def test_a_mask_off_the_scans_grid_is_refused() -> None:
    image, _ = marked()
    with pytest.raises(CordlesionError, match="share one grid"):
        slices.layers(image, np.zeros((3, 3, 3), bool))


@given(center=st.floats(-50, 150), wanted=st.floats(0, 300), n=st.integers(1, 100))
def test_centered_range_stays_inside(center: float, wanted: float, n: int) -> None:
    window = slices.centered_range(center, wanted, n)
    assert 0 <= window.start < window.stop <= n
    assert window.stop - window.start == min(max(round(wanted), 1), n)


def boxes(*places: tuple[int, int]) -> np.ndarray:
    """A mask with so many voxels in slices: (slice, voxels)."""
    mask = np.zeros((9, 20, 30), bool)
    for x, n in places:
        mask[x].flat[:n] = True
    return mask


@pytest.mark.parametrize(
    ("reference", "masks", "chosen"),
    [
        # By the reference alone it would be slice 4, which shows no mask at all.
        (boxes((4, 100), (5, 90)), [boxes((5, 80))], 5),
        # Agreement here, false voxels there: where the mask is.
        (boxes((4, 100), (5, 90)), [boxes((4, 50), (5, 300))], 5),
        # False voxels far from any lesion take no picture of the lesions away.
        (boxes((4, 100), (5, 10)), [boxes((4, 60), (5, 100), (8, 500))], 4),
        # A few voxels weigh a few.
        (boxes((4, 100), (5, 60)), [boxes((5, 3))], 4),
        # No mask where the reference is largest: where it is smaller.
        (boxes((4, 100), (6, 10)), [boxes((6, 5)), boxes()], 6),
        # No mask anywhere.
        (boxes((2, 7), (4, 100)), [boxes(), boxes((8, 3))], 4),
    ],
)
def test_masks_are_compared_where_reference_and_masks_are(reference, masks, chosen) -> None:
    assert slices.comparing_index(reference, masks) == chosen


def test_shades_are_those_around_the_lesions() -> None:
    image = np.full(SHAPE, 100.0, np.float32)
    image[:, 14, 15] = 900.0
    image[:, :2] = 5000.0  # more than 9 mm in front
    lesion = np.zeros(SHAPE, bool)
    lesion[3, 14, 14:16] = True
    everything = (slice(0, SHAPE[1]), slice(0, SHAPE[2]))
    low, high = gray_around(slices.layers(las_volume(image), lesion), 3, everything)
    assert low == 100.0
    assert 100.0 <= high <= 900.0
