"""One picture of a scan on a panel: its overlay, orientation letters and scale bar."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cordlesion.io.arrays import FloatArray, Mask
from cordlesion.pictures.label_placement import Box, LabelPlacer
from cordlesion.pictures.slices import Picture
from cordlesion.pictures.style import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    MUTED,
    REFERENCE,
    SEGMENTED,
    TRUE_POSITIVE,
    save_figure,
)

HEIGHT_INCHES = 6.0
BACKGROUND, FOREGROUND = "#000000", "#EDEDED"
# Background of letters, which may be on bright fluid.
SHADE = {"facecolor": BACKGROUND, "alpha": 0.4, "edgecolor": "none", "pad": 1}
_LETTER, _LABEL = 0.08, 0.3
"""Size of a letter, and width of the label of a scale bar, as shares of the smaller edge of a picture."""
_ALONG_EDGE = (0.5, 0.3, 0.7, 0.15, 0.85)
"""Positions of a letter along its edge, in order of preference."""


def save_png(figure: Figure, path: Path) -> None:
    """Write a picture as PNG, atomically.

    Raises:
        CordlesionError: The folder cannot be written.
    """
    save_figure(figure, Path(path).with_suffix(".png"))


def draw(
    axes: Axes,
    picture: Picture,
    *,
    bar_mm: float,
    color: str = FOREGROUND,
    uncovered: Mask | None = None,
    reference_opacity: float = 0.0,
) -> None:
    """Draw a picture with its overlay, orientation letters and a scale bar of ``bar_mm`` millimetres.

    Letters and scale bar do not cover overlays or ``uncovered`` pixels, if possible.

    With a mask and a reference, voxels are green (true positive), red (false positive) and white (false negative); a
    mask alone is outlined in blue, a reference alone in yellow, and filled by ``reference_opacity``.
    """
    width, height = picture.size_mm
    extent = (0.0, width, 0.0, height)
    low, high = picture.gray or np.percentile(picture.image, (1, 99.5))
    axes.imshow(
        picture.image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), extent=extent, interpolation="bilinear"
    )
    for inside, tint, opacity in _overlays(picture, reference_opacity):
        rgba = np.zeros((*inside.shape, 4), np.float32)
        rgba[inside] = (*to_rgb(tint), opacity)
        axes.imshow(rgba, extent=extent, interpolation="nearest")
        axes.add_collection(LineCollection(outline(inside, picture.size_mm), colors=tint, linewidths=0.9))
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    taken = np.zeros(picture.image.shape, bool) if uncovered is None else uncovered
    placer = LabelPlacer(np.logical_or.reduce([taken, *(inside for inside, *_ in _overlays(picture))]), picture.size_mm)
    _scale_bar(axes, placer, bar_mm, color)
    _letters(axes, picture.letters, placer, color)


def outline(inside: Mask, size_mm: tuple[float, float]) -> list[FloatArray]:
    """Return the pixel edges around ``inside`` (first row at the top) as segments [[x, y], [x, y]] in millimetres."""
    rows, columns = inside.shape
    padded = np.pad(inside, 1).astype(np.int8)
    horizontal = np.argwhere(np.diff(padded[:, 1:-1], axis=0))
    vertical = np.argwhere(np.diff(padded[1:-1], axis=1))
    segments = [((column, row), (column + 1, row)) for row, column in horizontal]
    segments += [((column, row), (column, row + 1)) for row, column in vertical]
    scale = np.array([size_mm[0] / columns, -size_mm[1] / rows])
    return [np.array(segment) * scale + (0.0, size_mm[1]) for segment in segments]


def legend_handles(*, agreement: bool) -> list[Patch]:
    """Return the legend of the overlay: agreement with the reference, or the segmentation alone."""
    if not agreement:
        return [Patch(facecolor=SEGMENTED, label="segmented")]
    meanings = {"true positive": TRUE_POSITIVE, "false positive": FALSE_POSITIVE, "false negative": FALSE_NEGATIVE}
    return [Patch(facecolor=tint, edgecolor=MUTED, linewidth=0.5, label=label) for label, tint in meanings.items()]


def _overlays(picture: Picture, reference_opacity: float = 0.0) -> list[tuple[Mask, str, float]]:
    """Return (pixels, colour, opacity of the filling) of each overlay that is not empty."""
    mask, reference = picture.mask, picture.reference
    overlays: list[tuple[Mask, str, float]] = []
    if mask is not None and reference is not None:
        overlays = [
            (reference & ~mask, FALSE_NEGATIVE, 0.85),
            (mask & ~reference, FALSE_POSITIVE, 0.65),
            (mask & reference, TRUE_POSITIVE, 0.65),
        ]
    elif mask is not None:
        overlays = [(mask, SEGMENTED, 0.25)]
    elif reference is not None:
        overlays = [(reference, REFERENCE, reference_opacity)]
    return [overlay for overlay in overlays if overlay[0].any()]


def _letters(axes: Axes, letters: tuple[str, str, str, str], placer: LabelPlacer, color: str) -> None:
    width, height = placer.size_mm
    side = _LETTER * min(width, height)
    edges = (
        ("left", "center", [Box(0.01 * width, at * height - side / 2, side, side) for at in _ALONG_EDGE]),
        ("right", "center", [Box(0.99 * width - side, at * height - side / 2, side, side) for at in _ALONG_EDGE]),
        ("center", "bottom", [Box(at * width - side / 2, 0.01 * height, side, side) for at in _ALONG_EDGE]),
        ("center", "top", [Box(at * width - side / 2, 0.99 * height - side, side, side) for at in _ALONG_EDGE]),
    )
    share = {"left": 0.0, "bottom": 0.0, "center": 0.5, "right": 1.0, "top": 1.0}
    font = {"color": color, "fontsize": 7, "bbox": SHADE}
    for letter, (horizontal, vertical, places) in zip(letters, edges, strict=True):
        box = placer.place(places)
        place = (box.x + share[horizontal] * side, box.y + share[vertical] * side)
        axes.text(*place, letter, font, ha=horizontal, va=vertical)


def _scale_bar(axes: Axes, placer: LabelPlacer, bar_mm: float, color: str) -> None:
    """Draw the bar and its label in the first free corner, from the lower left to the upper right."""
    width, height = placer.size_mm
    wide, high = max(bar_mm, _LABEL * min(width, height)), _LETTER * min(width, height)
    corners = [(x, y) for y in (0.04 * height, 0.96 * height - high) for x in (0.05 * width, 0.95 * width - wide)]
    box = placer.place([Box(x, y, wide, high) for x, y in corners])
    axes.plot((box.x, box.x + bar_mm), (box.y, box.y), color=color, linewidth=2, solid_capstyle="butt")
    y = box.y + 0.01 * height
    axes.text(box.x, y, f"{bar_mm:g} mm", color=color, fontsize=6, ha="left", va="bottom", bbox=SHADE)
