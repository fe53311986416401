import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from cordlesion.pictures.slices import Picture
from cordlesion.report.gallery.picture import BETWEEN, Panel, Tick, draw_scan, filled_path, outline_path

SVG = "{http://www.w3.org/2000/svg}"
MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9))


def picture(mask=None, reference=None, seed=0, shape=(20, 10)):
    image = np.random.default_rng(seed).random(shape, dtype=np.float32)
    return Picture(image, mask, reference, (30.0, 60.0), ("A", "P", "I", "S"), 0.0)


@given(MASKS)
def test_runs_fill_just_the_mask(mask):
    painted = np.zeros(mask.shape, bool)
    for x, y, n in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", filled_path(mask)):
        assert not painted[int(y), int(x) : int(x) + int(n)].any()
        painted[int(y), int(x) : int(x) + int(n)] = True
    np.testing.assert_array_equal(painted, mask)


@given(MASKS)
def test_the_outline_is_every_edge_between_inside_and_outside_once(mask):
    drawn = []
    for x, y, way, n in re.findall(r"M(\d+) (\d+)([hv])(\d+)", outline_path(mask)):
        step = (1, 0) if way == "h" else (0, 1)
        drawn += [(way, int(x) + k * step[0], int(y) + k * step[1]) for k in range(int(n))]
    expected = set()
    for y, x in np.argwhere(mask):
        for neighbour, edge in (((y - 1, x), ("h", x, y)), ((y + 1, x), ("h", x, y + 1)),
                                ((y, x - 1), ("v", x, y)), ((y, x + 1), ("v", x + 1, y))):  # fmt: skip
            outside = not (0 <= neighbour[0] < mask.shape[0] and 0 <= neighbour[1] < mask.shape[1])
            if outside or not mask[neighbour]:
                expected.add(edge)
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == expected


def test_a_slice_that_several_models_share_is_in_the_file_once():
    reference = np.zeros((20, 10), bool)
    reference[3:5, 3:5] = True
    panels = [
        Panel((picture(None, reference),), ("Reference",)),
        Panel((picture(), picture(reference, reference)), ("A", "b")),
    ]
    text = draw_scan([(panels, 200.0), ([Panel((picture(seed=1),), ("z",))], 100.0)], 600.0)
    assert text.count("<image ") == 2
    assert text.count("<use ") == 2
    root = ElementTree.fromstring(text)
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([^)"]+)', text)) <= set(ids)
    assert not re.findall(r'href="(?!#|data:image/png;base64,)', text)


def test_agreement_is_told_by_more_than_colour():
    mask, reference = np.zeros((20, 10), bool), np.zeros((20, 10), bool)
    mask[2:6, 2:6], reference[4:8, 2:6] = True, True
    parts = draw_scan([([Panel((picture(mask, reference),), ("A",))], 200.0)], 400.0).split("</style>")
    (hatch,) = re.findall(r'class="mf" fill="url\(#([^)]+)\)" d="' + filled_path(mask & ~reference), parts[1])
    assert f'<pattern id="{hatch}"' in parts[1]
    for kind, inside in (("b", mask & reference), ("m", mask & ~reference), ("r", reference & ~mask)):
        assert f'<path class="{kind}" d="{outline_path(inside)}"/>' in parts[1]
    assert "stroke-dasharray" in parts[0].split(".r{")[1].split("}")[0]


def test_names_stay_text():
    text = draw_scan([([Panel((picture(),), ("<script>alert(1)</script> & co",))], 200.0)], 400.0)
    assert "<script" not in text
    first = next(ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text"))
    assert first.text == "<script>alert(1)</script> & co"


@pytest.mark.parametrize("width", [250.0, 2000.0])
def test_rows_that_are_too_wide_go_on_below(width):
    panels = [Panel((picture(seed=k),), (f"model {k}", "two lines")) for k in range(4)]
    root = ElementTree.fromstring(draw_scan([(panels, 100.0), ([], 50.0)], width))
    groups = root.findall("{http://www.w3.org/2000/svg}g")
    places = [tuple(map(float, re.findall(r"translate\((\S+) (\S+)\)", g.attrib["transform"])[0])) for g in groups]
    assert len({top for _, top in places}) == (4 if width == 250 else 1)
    assert len(set(places)) == 4


def test_the_picture_is_as_wide_as_what_it_shows():
    panel = Panel((picture(),), ("model", "two lines"))
    few, more = (ElementTree.fromstring(draw_scan([([panel] * n, 100.0)], 1000.0)) for n in (1, 5))
    widths = [float(root.attrib["width"]) for root in (few, more)]
    assert 440 < widths[0] < widths[1] < 900
    long = ElementTree.fromstring(draw_scan([([panel, Panel((picture(),), ("x" * 90,))], 100.0)], 1000.0))
    assert 158 + 90 * 6 < float(long.attrib["width"]) < 1000
    endless = ElementTree.fromstring(draw_scan([([Panel((picture(),), ("x" * 900,))], 100.0)], 1000.0))
    assert float(endless.attrib["width"]) == 1000


def test_each_slice_says_to_which_side_its_edges_lie():
    root = ElementTree.fromstring(draw_scan([([Panel((picture(),), ("A",))], 200.0)], 400.0))
    (group,) = root.findall("{http://www.w3.org/2000/svg}g")
    left, top = map(float, re.findall(r"translate\((\S+) (\S+)\)", group.attrib["transform"])[0])
    texts = [text for text in root.iter("{http://www.w3.org/2000/svg}text") if text.attrib["class"] == "l"]
    places = {text.text: (float(text.attrib["x"]) - left, float(text.attrib["y"]) - top) for text in texts}
    # The slice is 100 wide and 200 high.
    assert places["A"] == pytest.approx((3, 100), abs=1)
    assert places["P"] == pytest.approx((97, 100), abs=1)
    assert places["I"] == pytest.approx((50, 193), abs=1)
    assert places["S"] == pytest.approx((50, 7), abs=1)


def test_a_plain_slice_stands_beside_the_marked_one():
    reference = np.zeros((20, 10), bool)
    reference[3:5, 3:5] = True
    panel = Panel((picture(), picture(reference, reference)), ("A", "b"), (Tick(0.25, "1"),), "mostly outside the cord")
    root = ElementTree.fromstring(draw_scan([([panel], 200.0)], 600.0))
    groups = root.findall(f"{SVG}g")
    places = [tuple(map(float, re.findall(r"translate\((\S+) (\S+)\)", one.attrib["transform"])[0])) for one in groups]
    assert places[0][1] == places[1][1]
    assert places[1][0] == pytest.approx(places[0][0] + 100 + BETWEEN)
    assert [len(one.findall(f"{SVG}path")) for one in groups] == [0, 2]
    (tick,) = [one for one in root.findall(f"{SVG}line") if one.attrib["class"] == "k"]
    assert float(tick.attrib["y1"]) == pytest.approx(places[0][1] + 50, abs=0.1)
    assert float(tick.attrib["x2"]) == pytest.approx(places[0][0] + 100, abs=0.1)
    said = [one for one in root.findall(f"{SVG}text") if one.text == "mostly outside the cord"]
    assert [one.attrib["class"] for one in said] == ["w"]
    assert float(said[0].attrib["y"]) < places[0][1]
