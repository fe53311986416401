from xml.etree import ElementTree

import pytest

from cordlesion.pictures.svg import inline_svg, shorten_svg

NAMES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def test_inline_svg_separates_ids_and_follows_the_pages_ink() -> None:
    svg = (
        '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'width="9pt" viewBox="0 0 9 9"><metadata>m</metadata><path id="a" '
        'style="fill: #222222" d="M 1.23 -7.89 L 5 6.5"/>'
        '<use xlink:href="#a" clip-path="url(#a)"/><image xlink:href="data:image/png;base64,iVBO"/>'
        '<text id="b" fill="#222222">&lt;b&gt;</text></svg>'
    )
    inlined = inline_svg(svg, "one-", "A figure", "#222222")
    root = ElementTree.fromstring(inlined)
    path, use, image, words = root
    assert list(image.attrib.values()) == ["data:image/png;base64,iVBO"]
    assert path.attrib == {"id": "one-0", "style": "fill: currentColor", "d": "M 1.23 -7.89 L 5 6.5"}
    assert set(use.attrib.values()) == {"#one-0", "url(#one-0)"}
    assert words.text == "<b>"
    assert words.attrib == {"fill": "currentColor"}
    assert "width" not in root.attrib
    assert root.attrib["aria-label"] == "A figure"


def test_points_of_one_look_share_it() -> None:
    look, other = 'style="fill: red"', 'style="fill: blue"'
    groups = (
        f'<g id="same">\n     <use x="1.23456" {look}/>\n     <use x="2" {look}/>\n   </g>'
        f'<g id="two looks"><use {look}/><use {other}/></g>'
        f'<g id="own" {other}><use {look}/><use {look}/></g>'
        f'<g id="not points"><path {look}/><use {look}/></g><g id="empty"/>'
    )
    root = ElementTree.fromstring(shorten_svg(f"<svg {NAMES}>{groups}</svg>"))
    same, *others = root
    assert same.attrib == {"id": "same", "style": "fill: red"}
    assert [use.attrib for use in same] == [{"x": "1.23"}, {"x": "2"}]
    assert same.text == same[0].tail == "\n"
    unchanged = ElementTree.fromstring(f"<svg {NAMES}>{groups}</svg>")[1:]
    assert [ElementTree.tostring(group) for group in others] == [ElementTree.tostring(group) for group in unchanged]


def test_groups_that_say_nothing_are_left_out_of_a_page() -> None:
    svg = f'<svg {NAMES}><g id="a"><g><path/></g></g><g><path/><path/></g><g style="x"><path/></g></svg>'
    first, two, styled = ElementTree.fromstring(inline_svg(svg, "f-", "A figure", "#222222"))
    assert (first.tag.endswith("path"), len(two), styled.attrib, len(styled)) == (True, 2, {"style": "x"}, 1)


def test_spaces_in_words_stay() -> None:
    svg = f"<svg {NAMES}><text>a <tspan>b</tspan> <tspan>c</tspan></text></svg>"
    (words,) = ElementTree.fromstring(shorten_svg(svg))
    assert "".join(words.itertext()) == "a b c"


CIRCLE = "M 0 0.7 C 0.2 0.7 0.3 0.6 0.5 0.5" + " C 0.6 0.4 0.7 0.2 0.7 0" * 7 + " z"
DIAMOND = "M 0 0.7 L 0.7 0 L 0 -0.7 L -0.7 0 z"


def scatter(marker: str, look: str = "fill: #0072b2; fill-opacity: 0.45") -> list[ElementTree.Element]:
    """Two groups of points as matplotlib writes them: the marker is defined once, beside the first."""
    uses = "".join(f'<use xlink:href="#m" x="{x}.004" y="{2 * x}" style="{look}"/>' for x in range(1, 4))
    points = f'<g clip-path="url(#c)">{uses}</g>'
    return list(
        ElementTree.fromstring(
            shorten_svg(f'<svg {NAMES}><defs><path id="m" d="{marker}"/></defs>{points}{points}</svg>')
        )
    )


def test_many_round_points_become_dots_of_one_line() -> None:
    for group in scatter(CIRCLE)[1:]:
        (dots,) = group
        assert dots.attrib["d"] == "M1.00 2h0M2.00 4h0M3.00 6h0"
        assert group.attrib == {"clip-path": "url(#c)"}
        assert dict(part.split(": ") for part in dots.attrib["style"].split("; ")) == {
            "fill": "none",
            "stroke": "#0072b2",
            "stroke-opacity": "0.45",
            "stroke-width": "1.4",
            "stroke-linecap": "round",
        }


@pytest.mark.parametrize(("marker", "look"), [(DIAMOND, "fill: #0072b2"), (CIRCLE, "fill: #0072b2; stroke: #000000")])
def test_other_points_stay_as_they_are(marker: str, look: str) -> None:
    for group in scatter(marker, look)[1:]:
        assert [use.tag.rpartition("}")[2] for use in group] == ["use"] * 3
        assert group.attrib["style"] == look


def test_neighbouring_lines_of_one_look_become_one() -> None:
    line, other = 'style="fill: none; stroke: red"', 'style="fill: none; stroke: blue"'
    clear, filled = 'style="fill: none; stroke: red; stroke-opacity: 0.5"', 'style="fill: red"'
    paths = "".join(
        f'<path {look} d="M {n} 0 L {n} 1"/>'
        for n, look in enumerate((line, line, line, other, line, clear, clear, filled, filled))
    )
    root = ElementTree.fromstring(inline_svg(f"<svg {NAMES}>{paths}</svg>", "f-", "A figure", "#222222"))
    assert [path.attrib["d"].count("M") for path in root] == [3, 1, 1, 1, 1, 1, 1]
    assert root[0].attrib["d"] == "M 0 0 L 0 1 M 1 0 L 1 1 M 2 0 L 2 1"
