"""A picture to check a centerline: a section along the curve, and the curve in axial slices."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cordlesion.cord.centerline import Centerline
from cordlesion.io.orient import file_index
from cordlesion.io.volume import Volume
from cordlesion.pictures import slices
from cordlesion.pictures.overlay import BACKGROUND, FOREGROUND, HEIGHT_INCHES, draw
from cordlesion.pictures.slices import Layers
from cordlesion.pictures.style import SEGMENTED, style

COLUMNS, ROWS = 4, 3


def curve_picture(scan: Volume, centerline: Centerline) -> Figure:
    """Show the centerline in a section that follows it sideways, and as a cross in up to twelve axial slices."""
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
        main = figure.add_subplot(grid[:, 0])
        draw(main, profile, bar_mm=20)
        spacing = stack.scan.spacing_mm
        main.plot(
            width - (centerline.y + 0.5 - window[0].start) * spacing[1],
            (centerline.z + 0.5) * spacing[2],
            color=SEGMENTED,
            linewidth=0.9,
        )
        for n, index in enumerate(z.tolist()):
            axes = figure.add_subplot(grid[n // COLUMNS, 1 + n % COLUMNS])
            _section(axes, stack, centerline, index, file_index(scan, stack.scan, index))
    return figure


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
