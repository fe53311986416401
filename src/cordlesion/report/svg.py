"""SVG as matplotlib writes it: made shorter, and made part of a page (leaf of the report layer, no matplotlib)."""

import re
from xml.etree import ElementTree

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_USE, _GROUP = f"{{{_SVG}}}use", f"{{{_SVG}}}g"

ElementTree.register_namespace("", _SVG)
ElementTree.register_namespace("xlink", _XLINK)


def shorten_svg(text: str) -> str:
    """Shorten a figure to about half without changing what is seen.

    Coordinates end at a hundredth of a point, points of one look share it, and indentation is left out.
    """
    root = ElementTree.fromstring(text)
    for element in root.iter():
        for name in ("d", "x", "y"):
            if name in element.attrib:
                element.set(name, _shorten_numbers(element.attrib[name]))
        if element.tag == _GROUP:
            _share_style(element)
        element.text, element.tail = _without_indentation(element.text), _without_indentation(element.tail)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def inline_svg(text: str, prefix: str, label: str, ink: str) -> str:
    """Prepare a figure for a page: unique ids, ink in the colour of the page's text, no document header.

    Args:
        text: The file.
        prefix: Set before every id, which must be unique in the page.
        label: What a screen reader says.
        ink: The colour of text and axes.
    """
    root = ElementTree.fromstring(text)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for element in root.iter():
        for name, value in element.attrib.items():
            element.set(name, _localize(name, value, prefix).replace(ink, "currentColor"))
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", label)
    return ElementTree.tostring(root, encoding="unicode")


def _shorten_numbers(value: str) -> str:
    short = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", value)
    return " ".join(short.split())


def _without_indentation(text: str | None) -> str | None:
    return "\n" if text and text.isspace() and "\n" in text else text


def _share_style(group: ElementTree.Element) -> None:
    """Move the style of a group's points to the group, where they all have the same and the group has none."""
    styles = {child.get("style") for child in group} if all(child.tag == _USE for child in group) else set()
    if len(styles) == 1 and len(group) > 1 and "style" not in group.attrib and (style := styles.pop()):
        group.set("style", style)
        for child in group:
            del child.attrib["style"]


def _localize(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if name == f"{{{_XLINK}}}href":
        return re.sub(r"^#", f"#{prefix}", value)
    return value.replace("url(#", f"url(#{prefix}")
