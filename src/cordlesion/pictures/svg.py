"""Shortens SVG files of matplotlib and embeds them in pages (leaf of the report layer, no matplotlib)."""

import re
from collections.abc import Mapping
from xml.etree import ElementTree

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_HREF, _USE, _GROUP = f"{{{_XLINK}}}href", f"{{{_SVG}}}use", f"{{{_SVG}}}g"
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Control characters, which names of sites may contain."""
_PATH = f"{{{_SVG}}}path"

ElementTree.register_namespace("", _SVG)
ElementTree.register_namespace("xlink", _XLINK)


def shorten_svg(text: str) -> str:
    """Reduce a figure to about half its size without visible changes.

    Coordinates are rounded to a hundredth of a point, equal styles of points are moved to their group, circles become
    dots of one line, and indentation is removed.
    """
    root = ElementTree.fromstring(_NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text))
    for element in root.iter():
        for name in ("d", "x", "y"):
            if name in element.attrib:
                element.set(name, _shorten_numbers(element.attrib[name]))
        if element.tag == _GROUP:
            _share_style(element)
        element.text, element.tail = _without_indentation(element.text), _without_indentation(element.tail)
    circles = _circles(root)
    for group in list(root.iter(_GROUP)):
        _draw_as_dots(group, circles)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def inline_svg(text: str, prefix: str, label: str, ink: str) -> str:
    """Prepare a figure for a page: unique ids, text and axes in the text colour of the page, no document header.

    Ids become the prefix and a number; unused ids are removed. Consecutive lines with equal style are joined.

    Args:
        text: Content of the file.
        prefix: Prefix that makes ids unique in the page.
        label: Label for screen readers.
        ink: Colour of text and axes in the file.
    """
    root = ElementTree.fromstring(text)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    referred = re.findall(r'(?:href="|url\()#([^")]+)', text)
    ids = {name: f"{prefix}{number}" for number, name in enumerate(dict.fromkeys(referred))}
    for element in root.iter():
        if (own := element.attrib.pop("id", None)) in ids:
            element.set("id", ids[own])
        if link := element.attrib.pop(_HREF, None):
            # In HTML no namespace prefix is needed.
            element.set("href", f"#{ids[link[1:]]}" if link.startswith("#") else link)
        for name, value in element.attrib.items():
            local = re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{ids[found[1]]})", value)
            element.set(name, local.replace(ink, "currentColor"))
    for parent in root.iter():
        parent[:] = [_without_wrappers(child) for child in parent]
        _join_lines(parent)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", label)
    return ElementTree.tostring(root, encoding="unicode")


def _without_wrappers(element: ElementTree.Element) -> ElementTree.Element:
    """Remove groups without attributes around a single element."""
    while element.tag == _GROUP and not element.attrib and len(element) == 1:
        element = element[0]
    return element


def _join_lines(parent: ElementTree.Element) -> None:
    """Join consecutive opaque lines with equal style and without filling; the result looks the same."""
    kept: list[ElementTree.Element] = []
    for child in parent:
        if kept and _is_line(child) and _look(child) == _look(kept[-1]):
            kept[-1].set("d", f"{kept[-1].get('d')} {child.get('d')}")
        else:
            kept.append(child)
    parent[:] = kept


def _is_line(element: ElementTree.Element) -> bool:
    style = element.get("style", "")
    return element.tag == _PATH and "id" not in element.attrib and "fill: none" in style and "opacity" not in style


def _look(element: ElementTree.Element) -> tuple[str, dict[str, str]]:
    return element.tag, {name: value for name, value in element.attrib.items() if name != "d"}


def _shorten_numbers(value: str) -> str:
    short = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", value)
    return " ".join(short.split())


def _without_indentation(text: str | None) -> str | None:
    return "\n" if text and text.isspace() and "\n" in text else text


def _share_style(group: ElementTree.Element) -> None:
    """Move the style of points to their group, if all are equal and the group has no style."""
    styles = {child.get("style") for child in group} if all(child.tag == _USE for child in group) else set()
    if len(styles) == 1 and len(group) > 1 and "style" not in group.attrib and (style := styles.pop()):
        group.set("style", style)
        for child in group:
            del child.attrib["style"]


def _draw_as_dots(points: ElementTree.Element, circles: Mapping[str, float]) -> None:
    """Replace many uses of one circle in a group by one line of dots, which needs a third of the space.

    Args:
        points: The group; other groups are not changed.
        circles: Radius of each defined circle, by reference.
    """
    used = {use.attrib.get(_HREF, "") if set(use.attrib) == {_HREF, "x", "y"} else "" for use in points}
    filled = re.fullmatch(r"fill: (#\w+)(?:; fill-opacity: ([\d.]+))?", points.attrib.get("style", ""))
    if len(used) != 1 or not filled or (radius := circles.get(used.pop())) is None:
        return
    look = f"fill: none; stroke: {filled[1]}; stroke-width: {2 * radius:g}; stroke-linecap: round"
    look += f"; stroke-opacity: {filled[2]}" if filled[2] else ""
    places = "".join(f"M{use.get('x')} {use.get('y')}h0" for use in points)
    # Set on the line itself: the style sheet of matplotlib sets another cap for each element, not the group.
    points[:] = [ElementTree.Element(_PATH, {"d": places, "style": look})]
    del points.attrib["style"]


def _circles(root: ElementTree.Element) -> dict[str, float]:
    found = {f"#{path.get('id')}": _radius(path.get("d", "")) for path in root.iter(_PATH) if path.get("id")}
    return {name: radius for name, radius in found.items() if radius is not None}


def _radius(path: str) -> float | None:
    """Return the radius of a circle around (0, 0) that matplotlib draws as eight curves; None for other shapes."""
    numbers = [abs(float(number)) for number in re.findall(r"-?[\d.]+", path)]
    is_round = re.sub(r"[^A-Za-z]", "", path) == "MCCCCCCCCz" and numbers[:2] == [0.0, max(numbers)]
    return numbers[1] if is_round else None
