"""SVG as matplotlib writes it: made shorter, and made part of a page (leaf of the report layer, no matplotlib)."""

import re
from xml.etree import ElementTree

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_HREF, _USE, _GROUP = f"{{{_XLINK}}}href", f"{{{_SVG}}}use", f"{{{_SVG}}}g"

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

    Ids become the prefix and a number; those that nothing in the figure refers to are left out.

    Args:
        text: The file.
        prefix: Makes ids unique in the page.
        label: What a screen reader says.
        ink: The colour of text and axes.
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
            # Inside HTML no prefix is needed.
            element.set("href", f"#{ids[link[1:]]}" if link.startswith("#") else link)
        for name, value in element.attrib.items():
            local = re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{ids[found[1]]})", value)
            element.set(name, local.replace(ink, "currentColor"))
    for parent in root.iter():
        parent[:] = [_without_wrappers(child) for child in parent]
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", label)
    return ElementTree.tostring(root, encoding="unicode")


def _without_wrappers(element: ElementTree.Element) -> ElementTree.Element:
    """Return what groups hold that say nothing and hold one element only."""
    while element.tag == _GROUP and not element.attrib and len(element) == 1:
        element = element[0]
    return element


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
