"""A picture to check a centerline: a section along the curve, and the curve in axial slices."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cordlesion.cord.centerline import Centerline
from cordlesion.cord.ends import END_WORDS, EndReason
from cordlesion.io.arrays import FloatArray, Mask
from cordlesion.io.orient import file_index
from cordlesion.io.volume import Volume
from cordlesion.pictures import slices
from cordlesion.pictures.overlay import BACKGROUND, FOREGROUND, HEIGHT_INCHES, SHADE, draw
from cordlesion.pictures.slices import Layers, Picture
from cordlesion.pictures.style import FALSE_POSITIVE, MUTED, SEGMENTED, style

COLUMNS, ROWS = 4, 3
_END_MM, _LABEL_MARGIN = 3.0, 0.02
"""Half the length of the mark at an end; space between a label and the edge, as a share of the picture's height."""
_STRIP_INCHES, _CHARACTER_INCHES = 0.45, 0.065
"""Width of the strip of confidences; of a character of a label."""

Label: TypeAlias = tuple[float, float, EndReason]
"""Position of an end in the section, in mm from its lower left corner, and the reason for it."""


def curve_picture(scan: Volume, centerline: Centerline) -> Figure:
    """Show the centerline in a section that follows it sideways, and as a cross in up to twelve axial slices.

    Of a curve that was found the section also shows why it ends where it does, and a strip how sure each slice is.
    """
    stack = slices.layers(scan, None)
    z = np.unique(np.linspace(centerline.z[-1], centerline.z[0], COLUMNS * ROWS).round().astype(int))[::-1]
    window = slices.sagittal_window(stack, centerline)
    profile = slices.along_cord(stack, centerline, window)
    width, height = profile.size_mm
    left = float(np.clip(HEIGHT_INCHES * width / height, 2.0, 6.0))
    cell = HEIGHT_INCHES / ROWS
    with style():
        figure = Figure(figsize=(left + COLUMNS * cell, HEIGHT_INCHES), facecolor=BACKGROUND, layout="constrained")
        grid = figure.add_gridspec(ROWS, 1 + COLUMNS, width_ratios=(left, *[cell] * COLUMNS))
        _profile(figure.add_subplot(grid[:, 0]), profile, centerline, stack.scan.spacing_mm, window[0].start)
        for n, index in enumerate(z.tolist()):
            axes = figure.add_subplot(grid[n // COLUMNS, 1 + n % COLUMNS])
            _section(axes, stack, centerline, index, file_index(scan, stack.scan, index))
    return figure


def _profile(
    axes: Axes, profile: Picture, centerline: Centerline, spacing_mm: tuple[float, float, float], first_y: int
) -> None:
    """Draw the section with the curve, from the lower face of its first slice to the upper face of its last one."""
    z = np.concatenate([centerline.z[:1] - 0.5, centerline.z, centerline.z[-1:] + 0.5])
    heights = (z + 0.5) * spacing_mm[2]
    depths = profile.size_mm[0] - (centerline.at(z)[1] + 0.5 - first_y) * spacing_mm[1]
    ends = centerline.ends
    labels: list[Label] = []
    if ends is not None:
        labels = [(depths[0], heights[0], ends.inferior), (depths[-1], heights[-1], ends.superior)]
    draw(axes, profile, bar_mm=20, uncovered=_label_area(profile, labels))
    axes.plot(depths, heights, color=SEGMENTED, linewidth=0.9)
    for label in labels:
        _label_end(axes, *label)
    if centerline.slice_confidence is not None:
        place = _strip_place(axes, profile.size_mm, labels)
        _confidence(axes.inset_axes(place, sharey=axes), centerline, centerline.slice_confidence, spacing_mm[2])


def _label_area(profile: Picture, labels: Sequence[Label]) -> Mask:
    """Return the pixels that labels may cover: the half of the picture next to each end."""
    n_rows, n_columns = profile.image.shape
    area = np.zeros((n_rows, n_columns), bool)
    width, height = profile.size_mm
    rows = height - (np.arange(n_rows) + 0.5) * height / n_rows
    columns = (np.arange(n_columns) + 0.5) * width / n_columns
    for depth, at, _ in labels:
        side = columns < depth if depth > width / 2 else columns > depth
        area |= (np.abs(rows - at) < 2 * _LABEL_MARGIN * height)[:, None] & side
    return area


def _label_end(axes: Axes, depth: float, height: float, reason: EndReason) -> None:
    """Write next to an end of the curve why it ends there, inside the picture."""
    color = FALSE_POSITIVE if reason == "lost" else FOREGROUND
    (low, high), (_, width) = axes.get_ylim(), axes.get_xlim()
    margin = _LABEL_MARGIN * (high - low)
    on_left = depth > width / 2
    axes.plot([depth - _END_MM, depth + _END_MM], [height, height], color=color, linewidth=1.2, clip_on=False)
    axes.text(
        depth + (-1 if on_left else 1) * 1.5 * _END_MM,
        float(np.clip(height, low + margin, high - margin)),
        END_WORDS[reason],
        color=color,
        fontsize=7,
        ha="right" if on_left else "left",
        va="center",
        bbox=SHADE,
    )


def _strip_place(
    main: Axes, size_mm: tuple[float, float], labels: Sequence[Label]
) -> tuple[float, float, float, float]:
    """Return where the strip lies, in shares of the section: right of it, and of the labels that a narrow one crops."""
    width, height = size_mm
    assert main.figure is not None
    room = main.bbox.width / main.figure.dpi
    mm_per_inch = max(height / HEIGHT_INCHES, width / room)
    needed = [
        depth + 1.5 * _END_MM + len(END_WORDS[reason]) * _CHARACTER_INCHES * mm_per_inch - width
        for depth, _, reason in labels
        if depth <= width / 2
    ]
    gap = max(0.02 * width, *needed, 0.0)
    return 1 + gap / width, 0, _STRIP_INCHES * mm_per_inch / width, 1


def _confidence(axes: Axes, centerline: Centerline, confidence: FloatArray, slice_mm: float) -> None:
    """Draw how sure each slice is, at its height; slices that the curve skips have none."""
    first = round(float(centerline.z[0]))
    index = np.rint(centerline.z).astype(int) - first
    shown = np.zeros(index[-1] + 1)
    shown[index] = confidence
    faces = (first + np.arange(len(shown) + 1)) * slice_mm
    axes.stairs(shown, faces, orientation="horizontal", fill=True, color=SEGMENTED, alpha=0.8, linewidth=0)
    axes.axvline(1, color=MUTED, linewidth=0.5)
    axes.set(xlim=(0, 1), xticks=[0, 1])
    axes.tick_params(axis="x", colors=FOREGROUND, labelsize=6, length=2)
    axes.tick_params(axis="y", left=False, labelleft=False)
    axes.spines[:].set_color(MUTED)
    axes.set_title("confidence", color=FOREGROUND, fontsize=7, fontweight="normal", pad=3)


def _section(axes: Axes, stack: Layers, centerline: Centerline, z: int, name: str) -> None:
    window = slices.axial_window(stack, z, centerline)
    picture = slices.axial(stack, z, window)
    draw(axes, picture, bar_mm=10)
    (x,), (y,) = centerline.at(np.array([float(z)]))
    spacing = stack.scan.spacing_mm
    place = ((x + 0.5 - window[0].start) * spacing[0], (y + 0.5 - window[1].start) * spacing[1])
    axes.plot(*place, "+", color=SEGMENTED, markersize=7)
    title = f"{name} · z = {picture.position_mm:+.1f} mm".replace("-", "−")
    axes.set_title(title, color=FOREGROUND, fontsize=7, fontweight="normal", pad=3)
