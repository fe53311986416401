from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from test_slices import ORIENTATIONS, las_volume, marked, turned

from cordlesion.preprocess.centerline import read_centerline
from cordlesion.report.montage import montage
from cordlesion.report.overlay import save_png
from cordlesion.report.style import FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE
from cordlesion.volume import read_mask, read_scan


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
        assert ours.axes[panel].get_title() == theirs.axes[panel].get_title()


def test_the_marker_lies_where_the_letters_say() -> None:
    image, mask = marked()
    figure = montage(image, mask)
    for panel, corner in ((0, np.s_[:6, :5]), (1, np.s_[:5, -2:])):
        slice_, overlay = shown(figure, panel)
        assert slice_[corner].min() > 5
        assert (overlay[corner][..., 3] > 0).all()
        assert np.count_nonzero(overlay[..., 3]) == np.count_nonzero(slice_ > 5)
    letters = {text.get_text(): text.get_position() for text in figure.axes[0].texts if len(text.get_text()) == 1}
    assert letters["A"][0] < 0.1 < 0.9 < letters["P"][0]
    assert letters["I"][1] < 0.1 < 0.9 < letters["S"][1]


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
