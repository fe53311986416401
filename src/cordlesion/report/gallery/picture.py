"""The picture of one scan as SVG: grey slices; lesions differ by filling, hatching and dashes, not by colour alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from cordlesion.io.arrays import Mask
from cordlesion.pictures.png import data_uri, encode_png, grey_levels
from cordlesion.pictures.slices import Picture
from cordlesion.pictures.style import FALSE_NEGATIVE, FALSE_POSITIVE, REFERENCE, TRUE_POSITIVE

GAP = 14.0
LINE = 14.0
"""Height of a line of text."""
BETWEEN = 3.0
"""Between a plain slice and the same one marked."""
COLUMN = 158.0
"""Smallest width of a panel with its title."""
OPACITY = 0.5
_MARGIN = 10.0
_LEGEND_COLUMN = 110.0
_LETTER = 6.5
"""Room for a letter of what is written above a panel."""
_STYLE = f"""\
text{{font:11px "Helvetica Neue","Segoe UI",Arial,"Liberation Sans",sans-serif;fill:#ededed}}
.t{{font-weight:600}}.l{{font-size:9px;stroke:#000;stroke-width:2px;paint-order:stroke;dominant-baseline:central}}
.s{{fill:#bdbdbd}}.w{{fill:#ff9a7a}}.k{{stroke:#fff;stroke-width:1}}path{{stroke-width:1.3;vector-effect:non-scaling-stroke}}
.b,.m,.r,.o{{fill:none}}.b{{stroke:{TRUE_POSITIVE}}}.m{{stroke:{FALSE_POSITIVE}}}
.bf{{stroke:none;fill:{TRUE_POSITIVE};fill-opacity:{OPACITY}}}.mf{{stroke:none}}
.r{{stroke:{FALSE_NEGATIVE};stroke-dasharray:3 2}}
.o{{stroke:{REFERENCE}}}"""
_LEGEND = (("o", "reference"), ("b", "true positive"), ("m", "false positive"), ("r", "false negative"))


@dataclass(frozen=True, eq=False)
class Tick:
    """A mark at the right edge of a slice."""

    share: float
    """Its place, as a share of the height from the top."""
    label: str


@dataclass(frozen=True, eq=False)
class Panel:
    """A slice, or the same one plain and marked, with what is written above."""

    pictures: tuple[Picture, ...]
    """Side by side."""
    lines: tuple[str, ...]
    """The first one is printed bold."""
    ticks: tuple[Tick, ...] = ()
    """In the first picture."""
    warning: str = ""
    """Printed below the lines, in the colour of false positives."""


def draw_scan(rows: Sequence[tuple[Sequence[Panel], float]], width: float) -> str:
    """Compose rows of panels.

    With a mask and a reference, true positives are filled, false positives hatched and false negatives dashed; a
    reference alone is outlined.

    Args:
        rows: Panels, and the height of their slices in points; those of one row that show the same slice share it.
        width: Largest of the whole picture in points; rows that are wider go on below.

    Returns:
        A whole SVG file that loads nothing.
    """
    parts: list[str] = []
    top, right = _MARGIN, _MARGIN + _LEGEND_COLUMN * len(_LEGEND)
    for number, (panels, height) in enumerate(rows):
        images: dict[bytes, str] = {}
        for line in _break(panels, height, width):
            parts += _draw_line(line, height, top, images, f"i{number}-")
            right = max(right, _right(line, height))
            top += height + LINE * _n_lines(line) + GAP
    parts.append(_legend(top))
    total, width = top + LINE + _MARGIN, min(right, width)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {total:.0f}" width="{width:.0f}" '
        f'height="{total:.0f}"><style>{_STYLE}</style>{_hatch("hatch", (1.0, 1.0))}'
        f'<rect width="100%" height="100%" fill="#000"/>{"".join(parts)}</svg>\n'
    )


def filled_path(inside: Mask) -> str:
    """Return a path around every run of pixels of a row: unit pixels, first row at the top."""
    return "".join(f"M{x} {y}h{n}v1h-{n}z" for y, x, n in _runs(inside))


def outline_path(inside: Mask) -> str:
    """Return the edges between inside and outside, joined along straight lines."""
    padded = np.pad(inside, 1)
    horizontal = padded[1:, 1:-1] != padded[:-1, 1:-1]
    vertical = (padded[1:-1, 1:] != padded[1:-1, :-1]).T
    return "".join(
        [f"M{x} {y}h{n}" for y, x, n in _runs(horizontal)] + [f"M{x} {y}v{n}" for x, y, n in _runs(vertical)]
    )


def panel_width(picture: Picture, height: float) -> float:
    """Return the width of a slice that is ``height`` points high."""
    return height * picture.size_mm[0] / picture.size_mm[1]


def _runs(inside: Mask) -> Iterable[tuple[int, int, int]]:
    """Yield (row, first column, length) of each run of true values."""
    padded = np.pad(inside, ((0, 0), (1, 1))).astype(np.int8)
    starts, ends = (np.argwhere(np.diff(padded, axis=1) == step) for step in (1, -1))
    return ((int(y), int(x), int(end) - int(x)) for (y, x), (_, end) in zip(starts, ends, strict=True))


def _break(panels: Sequence[Panel], height: float, width: float) -> list[list[Panel]]:
    lines: list[list[Panel]] = []
    left = width
    for panel in panels:
        taken = _column(panel, height) + GAP
        if left + taken > width:
            lines.append([])
            left = _MARGIN
        lines[-1].append(panel)
        left += taken
    return lines


def _column(panel: Panel, height: float) -> float:
    least = COLUMN if len(panel.lines) > 1 else 0.0
    drawn = sum(panel_width(picture, height) for picture in panel.pictures) + BETWEEN * (len(panel.pictures) - 1)
    return max(drawn, least)


def _n_lines(line: Sequence[Panel]) -> int:
    return max(len(panel.lines) + bool(panel.warning) for panel in line)


def _right(line: Sequence[Panel], height: float) -> float:
    """Return where a line of panels ends, with a margin: after the last one, or after what is written above it."""
    left = _MARGIN + sum(_column(panel, height) + GAP for panel in line[:-1])
    written = _LETTER * max((len(text) for text in (*line[-1].lines, line[-1].warning)), default=0)
    return left + max(_column(line[-1], height), written) + _MARGIN


def _draw_line(panels: Sequence[Panel], height: float, top: float, images: dict[bytes, str], prefix: str) -> list[str]:
    parts, left = [], _MARGIN
    below = top + LINE * _n_lines(panels)
    for panel in panels:
        kinds = ["t", *["s"] * (len(panel.lines) - 1)][: len(panel.lines)]
        written = [*zip(kinds, panel.lines, strict=True), *([("w", panel.warning)] if panel.warning else [])]
        for number, (kind, line) in enumerate(written):
            y = top + LINE * (number + 0.8)
            parts.append(f'<text class="{kind}" x="{left:.1f}" y="{y:.1f}">{escape(line)}</text>')
        place = left
        for picture in panel.pictures:
            parts.append(_draw_picture(picture, (place, below), height, images, prefix))
            place += panel_width(picture, height) + BETWEEN
        parts += [_tick(tick, left + panel_width(panel.pictures[0], height), below, height) for tick in panel.ticks]
        left += _column(panel, height) + GAP
    return parts


def _tick(tick: Tick, right: float, top: float, height: float) -> str:
    y = top + tick.share * height
    line = f'<line class="k" x1="{right - 6:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return f'{line}<text class="l" x="{right - 8:.1f}" y="{y:.1f}" text-anchor="end">{escape(tick.label)}</text>'


def _draw_picture(
    picture: Picture, place: tuple[float, float], height: float, images: dict[bytes, str], prefix: str
) -> str:
    n_rows, n_columns = picture.image.shape
    scale = panel_width(picture, height) / n_columns, height / n_rows
    grey = encode_png(grey_levels(picture.image))
    if known := images.get(grey):
        image = f'<use href="#{known}"/>'
    else:
        images[grey] = known = f"{prefix}{len(images)}"
        size = f'width="{n_columns}" height="{n_rows}" preserveAspectRatio="none"'
        image = f'{_hatch(f"{known}h", scale)}<image id="{known}" {size} href="{data_uri(grey)}"/>'
    hatched = f' fill="url(#{known}h)"'
    overlays = "".join(
        f'<path class="{kind}"{hatched if kind == "mf" else ""} d="{path}"/>' for kind, path in _overlays(picture)
    )
    left, top = place
    drawn = f'<g transform="translate({left:.1f} {top:.1f}) scale({scale[0]:.4f} {scale[1]:.4f})">{image}{overlays}</g>'
    return drawn + _sides(picture, place, height)


def _sides(picture: Picture, place: tuple[float, float], height: float) -> str:
    """Write at each edge of a slice to which side of the body it lies."""
    (left, top), width = place, panel_width(picture, height)
    places = (
        (left + 3, top + height / 2, "start"),
        (left + width - 3, top + height / 2, "end"),
        (left + width / 2, top + height - 7, "middle"),
        (left + width / 2, top + 7, "middle"),
    )
    return "".join(
        f'<text class="l" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{letter}</text>'
        for letter, (x, y, anchor) in zip(picture.letters, places, strict=True)
    )


def _hatch(name: str, scale: tuple[float, float]) -> str:
    """Define diagonal stripes that look alike whatever the scale of what they fill."""
    turned = f"scale({1 / scale[0]:.4f} {1 / scale[1]:.4f}) rotate(45)"
    stripe = f'<rect width="1.4" height="4" fill="{FALSE_POSITIVE}"/>'
    return (
        f'<defs><pattern id="{name}" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="{turned}">'
        f"{stripe}</pattern></defs>"
    )


def _overlays(picture: Picture) -> list[tuple[str, str]]:
    mask, reference = picture.mask, picture.reference
    if reference is None or not picture.image.size:
        return []
    if mask is None:
        return [("o", outline_path(reference))] if reference.any() else []
    parts = (("b", mask & reference), ("m", mask & ~reference), ("r", reference & ~mask))
    return [overlay for kind, inside in parts if inside.any() for overlay in _paths(kind, inside)]


def _paths(kind: str, inside: Mask) -> list[tuple[str, str]]:
    filling = [] if kind == "r" else [(f"{kind}f", filled_path(inside))]
    return [*filling, (kind, outline_path(inside))]


def _legend(top: float) -> str:
    parts = []
    for number, (kind, label) in enumerate(_LEGEND):
        x = _MARGIN + number * _LEGEND_COLUMN
        box = f'transform="translate({x:.0f} {top:.0f})" d="M0 0h14v10h-14z"'
        filling = f'<path class="{kind}f" fill="url(#hatch)" {box}/>' if kind in "bm" else ""
        parts.append(f'{filling}<path class="{kind}" {box}/>')
        parts.append(f'<text class="s" x="{x + 20:.0f}" y="{top + 9:.0f}">{label}</text>')
    return "".join(parts)
