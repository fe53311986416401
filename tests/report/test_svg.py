from xml.etree import ElementTree

from cordlesion.report.svg import inline_svg, shorten_svg

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
