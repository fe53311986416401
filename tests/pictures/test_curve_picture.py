"""The picture of a centerline shows why it ends, and how sure each slice is."""

from dataclasses import replace

import numpy as np
import pytest

from cordlesion.cord.centerline import Centerline
from cordlesion.cord.ends import END_WORDS, Ends
from cordlesion.pictures.centerline import curve_picture
from cordlesion.pictures.style import FALSE_POSITIVE
from support.strategies import make_scan

DZ = 2.0
Z = np.delete(np.arange(4.0, 25.0), 7)
"""A curve that skips a slice."""
CURVE = Centerline(
    np.full(len(Z), 20.0), np.full(len(Z), 18.0), Z, 0.3, (), np.linspace(0.3, 0.9, len(Z)), Ends("brainstem", "lost")
)


@pytest.fixture(scope="module")
def scan():
    return make_scan("LAS", (1.0, 1.0, DZ), (40, 36, 30), (0, 0, 0), seed=2)


def labels(axes):
    return {text.get_text(): text for text in axes.texts if text.get_text() in END_WORDS.values()}


def test_each_end_is_labelled_at_its_height_and_a_lost_one_stands_out(scan):
    main = curve_picture(scan, CURVE).axes[0]
    found = labels(main)
    assert set(found) == {"brainstem", "cord lost"}
    heights = {name: text.get_position()[1] for name, text in found.items()}
    assert heights["brainstem"] == pytest.approx((Z[-1] + 1) * DZ)
    assert heights["cord lost"] == pytest.approx(Z[0] * DZ)
    assert found["cord lost"].get_color() == FALSE_POSITIVE != found["brainstem"].get_color()
    at_border = replace(CURVE, z=CURVE.z - 4, ends=Ends("lost", "border"))
    main = curve_picture(scan, at_border).axes[0]
    assert labels(main)["image border"].get_position()[1] > main.get_ylim()[0], "inside the picture"


def test_the_strip_has_the_confidence_of_each_slice_at_its_height(scan):
    main = curve_picture(scan, CURVE).axes[0]
    (strip,) = main.child_axes
    (stairs,) = strip.patches
    values, faces, _ = stairs.get_data()
    assert faces.tolist() == [DZ * k for k in range(4, 26)]
    shown = dict(zip(range(4, 25), values, strict=True))
    assert [shown[int(z)] for z in Z] == pytest.approx(list(CURVE.slice_confidence))
    assert shown[11] == 0, "the curve skips this slice"
    assert strip.get_ylim() == main.get_ylim()


def test_a_drawn_curve_has_neither(scan):
    main = curve_picture(scan, replace(CURVE, confidence=None, slice_confidence=None, ends=None)).axes[0]
    assert labels(main) == {}
    assert main.child_axes == []


@pytest.mark.parametrize("width", [12, 36, 200])
def test_no_label_covers_the_strip_whatever_the_width_of_the_section(width):
    scan = make_scan("LAS", (1.0, 1.0, 4.0), (40, width, 60), (0, 0, 0), seed=2)
    z = np.arange(10.0, 50.0)
    curve = Centerline(np.full(40, 20.0), np.full(40, 0.6 * width), z, 0.5, (), np.full(40, 0.5), Ends("lost", "conus"))
    figure = curve_picture(scan, curve)
    figure.draw_without_rendering()
    main = figure.axes[0]
    (strip,) = main.child_axes
    left = strip.get_window_extent().x0
    for text in labels(main).values():
        assert text.get_window_extent().x1 <= left + 1
