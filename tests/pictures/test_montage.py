import io
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.text import Text
from test_slices import ORIENTATIONS, las_volume, marked, turned

from cordlesion.cord.centerline import Centerline, read_centerline
from cordlesion.io.volume import Volume, read_mask, read_scan
from cordlesion.lesions.measure import measure_lesions
from cordlesion.pictures.montage import apart, montage
from cordlesion.pictures.overlay import FOREGROUND, save_png
from cordlesion.pictures.style import FALSE_NEGATIVE, FALSE_POSITIVE, SEGMENTED, TRUE_POSITIVE, style


def shown(figure: object, panel: int) -> list[np.ndarray]:
    """The pictures of a panel: the slice, then one RGBA layer per overlay."""
    return [np.asarray(image.get_array()) for image in figure.axes[panel].images]


@pytest.mark.parametrize("orientation", ORIENTATIONS[::5])
def test_montage_is_the_same_in_every_index_order(orientation: str) -> None:
    image, mask = marked()
    ours = montage(turned(image, orientation), turned(mask, orientation))
    theirs = montage(image, mask)
    for panel in range(2):
        for first, second in zip(shown(ours, panel), shown(theirs, panel), strict=True):
            np.testing.assert_array_equal(first, second)
        # But for the index, which is that of the file.
        titles = [one.axes[panel].get_title(loc="left").split(" · ")[::2] for one in (ours, theirs)]
        assert titles[0] == titles[1]


def test_the_marker_lies_where_the_letters_say() -> None:
    image, mask = marked()
    figure = montage(image, mask)
    for panel, corner in ((0, np.s_[:6, :5]), (1, np.s_[:5, -2:])):
        slice_, overlay = shown(figure, panel)
        assert slice_[corner].min() > 5
        assert (overlay[corner][..., 3] > 0).all()
        assert np.count_nonzero(overlay[..., 3]) == np.count_nonzero(slice_ > 5)
    letters = {text.get_text(): text.get_position() for text in figure.axes[0].texts if len(text.get_text()) == 1}
    assert letters["A"][0] < 0.1 * 16 < 0.9 * 16 < letters["P"][0] < 16
    assert letters["I"][1] < 0.1 * 15 < 0.9 * 15 < letters["S"][1] < 15


def test_voxels_keep_their_physical_proportions() -> None:
    figure = montage(*marked())
    extents = [axes.images[0].get_extent() for axes in figure.axes]
    assert extents[0] == pytest.approx((0, 20 * 0.8, 0, 30 * 0.5))
    assert extents[1] == pytest.approx((0, 8 * 2.0, 0, 20 * 0.8))
    assert all(axes.get_aspect() == 1 for axes in figure.axes)


def test_agreement_colours() -> None:
    image, reference = marked()
    mask = np.roll(reference.data, -1, axis=2)
    layers = shown(montage(image, mask, reference=reference), 0)[1:]
    colors = {to_hex(layer[layer[..., 3] > 0][0, :3]) for layer in layers}
    assert colors == {color.lower() for color in (TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE)}
    assert (sum((layer[..., 3] > 0).astype(int) for layer in layers) <= 1).all()


def test_an_empty_mask_and_a_flat_slice_are_shown() -> None:
    image = las_volume(np.zeros((8, 20, 30), np.float32))
    figure = montage(image, np.zeros((8, 20, 30), bool))
    assert all(len(axes.images) == 1 for axes in figure.axes)
    assert len(figure.axes) == 7


def named(axes: object, marks: set[str]) -> list[str]:
    """Texts of a panel that name lesions."""
    return [text.get_text() for text in axes.texts if text.get_text() in marks]


def three_lesions() -> tuple[Volume, np.ndarray]:
    """The largest at the left and below, two in one slice, and one voxel that is too small to count."""
    mask = np.zeros((30, 30, 60), bool)
    mask[20:24, 10:15, 10:20] = mask[5:9, 10:14, 40:46] = mask[20:23, 10:13, 40:45] = True
    mask[12, 25, 30] = True
    image = np.random.default_rng(0).uniform(0, 1, mask.shape).astype(np.float32)
    return Volume(image, np.diag([-1.0, 1.0, 1.0, 1.0])), mask


def test_lesions_have_the_numbers_of_the_table() -> None:
    scan, mask = three_lesions()
    figure = montage(scan, mask)
    numbers = {"1", "2", "3"}
    profile, upper, lower, lowest = figure.axes
    assert sorted(named(profile, numbers)) == ["1", "2", "3"]
    assert sorted(named(upper, numbers)) == ["2", "3"]
    assert named(lower, numbers) == named(lowest, numbers) == ["1"]
    for lesion in measure_lesions(scan, mask).lesions:
        (text,) = (text for text in profile.texts if text.get_text() == str(lesion.lesion))
        assert text.get_position()[1] == pytest.approx(60 - lesion.position_mm)
    two, three = (next(t for t in upper.texts if t.get_text() == n) for n in "23")
    # The left of the body is at the right of the picture; names stand at the outer sides.
    assert two.get_position()[0] < 5 < 23 < three.get_position()[0]


def test_slices_are_named_where_they_lie() -> None:
    scan, mask = three_lesions()
    figure = montage(scan, mask)
    profile = figure.axes[0]
    assert [axes.get_title(loc="left").split(" ")[0] for axes in figure.axes[1:]] == ["a", "b", "c"]
    for axes in figure.axes[1:]:
        letter, z = (
            axes.get_title(loc="left")[0],
            float(axes.get_title(loc="left").split("=")[1].split()[0].replace("−", "-")),
        )
        (text,) = (text for text in profile.texts if text.get_text() == letter)
        assert text.get_position()[1] == pytest.approx(z + 0.5)
        assert f" · k = {z:.0f} · " in axes.get_title(loc="left"), "slices of 1 mm from 0"


def overlap(text: Text, mask: np.ndarray) -> bool:
    """Whether a text or a bar meets a lesion on the axial slice of 1 mm pixels that shows it."""
    (x0, y0), (x1, y1) = text.axes.transData.inverted().transform(text.get_window_extent())
    return bool(mask.T[int(max(y0, 0)) : int(np.ceil(y1)), int(max(x0, 0)) : int(np.ceil(x1))].any())


def test_letters_and_the_scale_bars_label_cover_no_lesion() -> None:
    mask = np.zeros((30, 30, 20), bool)
    mask[13:17, 27:30] = mask[1:6, 0:5] = mask[27:30, 12:18] = True  # below A, in the lower left, beside L
    figure = montage(Volume(np.random.default_rng(0).uniform(0, 1, mask.shape), np.diag([-1.0, 1.0, 1.0, 1.0])), mask)
    figure.draw_without_rendering()
    for axes in figure.axes[1:]:
        texts = {text.get_text(): text for text in axes.texts}
        assert {"R", "L", "A", "P", "10 mm"} <= set(texts)
        assert not [name for name in ("R", "L", "A", "P", "10 mm") if overlap(texts[name], mask[..., 10])]


def test_what_was_not_searched_is_darkened() -> None:
    scan, mask = three_lesions()
    curve = Centerline(np.full(2, 15.0), np.full(2, 12.0), np.array([8.0, 49.0]))
    figure = montage(scan, mask, curve, cord_only=True)
    assert [(patch.get_y(), patch.get_height()) for patch in figure.axes[0].patches] == [(0, 8), (50, 10)]
    assert "darkened" in figure.legends[0].get_texts()[-1].get_text()
    assert not montage(scan, mask, curve).axes[0].patches


def test_lesions_alone_are_shown_with_a_margin() -> None:
    scan, mask = three_lesions()
    mask[..., 30] = False
    figure, whole = (montage(scan, mask, crop_mm=crop) for crop in (4.0, None))
    assert figure.axes[0].images[0].get_extent()[2:] == [0, 36 + 8]
    names = [[axes.get_title(loc="left") for axes in one.axes[1:]] for one in (figure, whole)]
    assert names[0] == names[1], "slices keep their places"
    bars = [sorted(line.get_ydata()) for line in figure.axes[0].lines if to_hex(line.get_color()) == SEGMENTED.lower()]
    assert sorted(map(tuple, bars)) == [(4, 14), (34, 39), (34, 40)]
    empty = montage(scan, np.zeros_like(mask), crop_mm=4.0)
    assert empty.axes[0].images[0].get_extent()[3] == 60


def test_bars_reach_as_far_as_lesions_and_never_touch() -> None:
    scan, mask = three_lesions()
    mask[2:4, 20:24, 18:42] = True
    lines = [line for line in montage(scan, mask).axes[0].lines if to_hex(line.get_color()) == SEGMENTED.lower()]
    bars = [(line.get_xdata()[0], *sorted(line.get_ydata())) for line in lines]
    assert sorted((low, high) for _, low, high in bars) == [(10, 20), (18, 42), (40, 45), (40, 46)]
    for n, (x, low, high) in enumerate(bars):
        assert all(x != other or high < below or above < low for other, below, above in bars[n + 1 :])


@pytest.mark.parametrize("shape", [(12, 16, 300), (30, 80, 6)], ids=["tall", "flat"])
def test_letters_and_bars_lie_beside_the_anatomy(shape: tuple[int, int, int]) -> None:
    mask = np.zeros(shape, bool)
    mask[4:7, 6:9, 1:4] = mask[8:10, 6:9, 1:4] = True
    figure = montage(Volume(np.random.default_rng(0).uniform(0, 1, shape), np.diag([-1.0, 1.0, 1.0, 1.0])), mask)
    profile = figure.axes[0]
    left, right, bottom, top = profile.images[0].get_extent()
    low, high = profile.get_xlim()
    texts = {text.get_text(): text.get_position() for text in profile.texts}
    assert low < texts["a"][0] < left
    assert right < texts["1"][0] < texts["2"][0] < high
    assert (bottom, top) == profile.get_ylim()
    assert (figure.get_figheight() < 4) == (shape[2] == 6), "no empty space below a flat scan"


def test_a_profile_follows_the_cord_and_shows_lesions_beside_it() -> None:
    """A lesion 5 mm beside the cord's centre is no part of the cut along it, but of the outline from the side."""
    scan, mask = three_lesions()
    curve = Centerline(np.full(60, 15.0), np.full(60, 12.0), np.arange(60.0))
    profile = montage(scan, mask, curve).axes[0]
    assert len(profile.images) == 1
    dotted = next(each for each in profile.collections if to_hex(each.get_color()[0]) == FOREGROUND.lower())
    corners = np.concatenate(dotted.get_segments())
    assert (corners[:, 1].min(), corners[:, 1].max()) == (10, 46)


@given(places=st.lists(st.floats(-100, 100), max_size=8), least=st.floats(0.1, 10))
def test_labels_move_apart_downwards_only(places: list[float], least: float) -> None:
    moved = apart(places, least)
    assert all(new <= old for new, old in zip(moved, places, strict=True))
    gaps = np.diff(sorted(moved))
    assert (gaps >= least - 1e-9).all()
    if len(places) < 2 or np.diff(sorted(places)).min() >= least:
        assert moved == pytest.approx(places, abs=1e-9)


def test_the_title_is_text_whatever_it_is() -> None:
    image, mask = marked()
    title = "<b>$x$ & _T2w"
    figure = montage(image, mask, title=title)
    assert figure.get_suptitle() == title
    with style():
        text = io.StringIO()
        figure.savefig(text, format="svg")
    assert "&lt;b&gt;$x$ &amp; _T2w" in text.getvalue()


def test_save_png_writes_a_picture_of_the_figures_size(tmp_path: Path) -> None:
    save_png(montage(*marked()), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def test_real_scans_of_other_index_orders(shared: Callable[..., Path]) -> None:
    scan = read_scan(shared("data", "real", "t2_ms.nii.gz"))
    line = read_centerline(shared("data", "real", "t2_ms_centerline.nii.gz"), scan)
    figure = montage(scan, np.zeros(scan.data.shape, bool), line)
    for axes in figure.axes[1:]:
        left, right, bottom, top = axes.images[0].get_extent()
        assert right - left == pytest.approx(40, abs=2)
        assert top - bottom == pytest.approx(40, abs=2)


def test_a_real_lesion_is_bright_where_it_is_outlined(shared: Callable[..., Path]) -> None:
    scan = read_scan(shared("data", "real", "t2_fake_lesion.nii.gz"))
    mask = read_mask(shared("data", "real", "t2_fake_lesion_lesion_seg.nii.gz"), like=scan)
    assert nib.aff2axcodes(scan.affine) != ("L", "A", "S")
    picture, overlay = shown(montage(scan, mask), 0)
    inside = overlay[..., 3] > 0
    assert picture[inside].mean() > 1.5 * np.median(picture)
