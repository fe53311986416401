"""The numbered lesions of a scan on one sheet: a sagittal profile of the cord, and axial slices through lesions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from string import ascii_lowercase

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from scipy import ndimage

from cordlesion.cord.centerline import Centerline
from cordlesion.io.arrays import Int32Array, Mask
from cordlesion.io.orient import file_index
from cordlesion.io.volume import Volume
from cordlesion.lesions.measure import CORD_SMOOTHING_MM, number_lesions
from cordlesion.pictures import slices
from cordlesion.pictures.overlay import BACKGROUND, FOREGROUND, HEIGHT_INCHES, SHADE, draw, legend_handles, outline
from cordlesion.pictures.shades import cord_gray
from cordlesion.pictures.slices import Layers, Picture
from cordlesion.pictures.style import MUTED, SEGMENTED, style

_FONT_SIZE = 8
_NAME_SHADE = SHADE | {"alpha": 0.65}
WIDEST_INCHES = 6.0
"""Largest width of the profile."""
_LEFT_INCHES, _LINE_INCHES, _MOST_LANES = 0.3, 0.17, 6
"""Next to the profile: space for the letters of slices, height of a line of text, largest number of lanes."""
_NAME_WIDTH = 0.1
"""Space for a lesion's name next to it, as a share of a picture's width."""
_NARROW = 0.75
"""Ratio of width to height below which a title of one line is too wide for a picture."""
_LINE = 0.03
"""Height of a line of text as a share of the height of a panel."""


@dataclass(frozen=True, eq=False)
class Mark:
    """The name of a lesion in the pictures."""

    text: str
    color: str
    voxels: Int32Array
    """Indices in LAS order, shape (V, 3)."""


@dataclass(frozen=True, eq=False)
class Section:
    """An axial picture and its position."""

    picture: Picture
    z: int
    window: tuple[slice, slice]
    name: str = ""
    """Its letter, and its index in the file."""


def montage(
    scan: Volume,
    mask: Volume | Mask,
    centerline: Centerline | None = None,
    reference: Volume | Mask | None = None,
    *,
    marks: Sequence[Mark] | None = None,
    title: str = "",
    cord_only: bool = False,
    crop_mm: float | None = None,
) -> Figure:
    """Show a segmentation: a profile of the cord, and three to nine axial slices where the largest lesions are widest.

    The profile is a sagittal cut that follows the cord, with superior at the top and anterior at the left; axial slices
    have anterior at the top and the patient's right at the left, whatever the index order of the files. Voxels keep
    their physical proportions. Bars next to the profile show how far each lesion extends. Lines show where the slices
    lie; their names are the index in the scan's file, as in the lesion table, and the position in millimetres.

    Args:
        scan: The image, in any orientation.
        mask: Segmented lesions on the scan's grid.
        centerline: The cord's centre in the scan; without it the profile is the sagittal slice with most lesion.
        reference: Manual mask on the scan's grid; with it voxels are coloured by agreement.
        marks: Names of lesions; by default the numbers of the lesion table, for those of the mask.
        title: Text above the pictures.
        cord_only: Lesions were looked for along the centerline only: the profile is darkened beyond its ends.
        crop_mm: Show only the lesions with this margin; by default the profile has the scan's full height.

    Raises:
        CordlesionError: A mask is not on the grid of the scan.
    """
    stack = slices.layers(scan, mask, reference)
    curve = None if centerline is None else centerline.smoothed(stack.scan.spacing_mm, CORD_SMOOTHING_MM)
    if marks is None:
        assert stack.mask is not None
        marks = lesion_marks(stack.mask, stack.scan.spacing_mm)
    if crop_mm is not None and stack.lesions.any():
        stack, start = slices.around_lesions(stack, crop_mm)
        marks = [replace(mark, voxels=mark.voxels - start) for mark in marks]
        curve = curve and replace(curve, x=curve.x - start[0], y=curve.y - start[1], z=curve.z - start[2])
    edge_mm = slices.AXIAL_WINDOW_MM if crop_mm is None else 2 * crop_mm
    window = slices.sagittal_window(stack, curve)
    indices = slices.axial_indices(stack, [mark.voxels for mark in marks], curve)
    sections = [
        replace(_section(stack, z, curve, edge_mm), name=f"{letter} · {file_index(scan, stack.scan, z)}")
        for letter, z in zip(ascii_lowercase, indices, strict=False)
    ]
    dark = _beyond(stack, curve) if cord_only and curve is not None else []
    with style():
        profile = _profile(stack, curve, window)
        return _compose(profile, slices.shadow(stack, window), stack, sections, marks, title, dark)


def lesion_marks(mask: Mask, spacing_mm: tuple[float, float, float]) -> list[Mark]:
    """Return the lesions of a mask in LAS order, named by their numbers in the lesion table."""
    voxels = number_lesions(mask, float(np.prod(spacing_mm))).voxels
    return [Mark(str(number), SEGMENTED, index) for number, index in enumerate(voxels, start=1)]


def _section(stack: Layers, z: int, curve: Centerline | None, edge_mm: float) -> Section:
    window = slices.axial_window(stack, z, curve, edge_mm)
    picture = slices.axial(stack, z, window)
    if curve is not None:
        picture = replace(picture, gray=cord_gray(stack, curve, z, z))
    return Section(picture, z, window)


def _beyond(stack: Layers, curve: Centerline) -> list[tuple[float, float]]:
    """Return the height of the profile below and above a curve in millimetres, if there is any."""
    slice_mm, n_slices = stack.scan.spacing_mm[2], stack.scan.data.shape[2]
    low, high = float(curve.z[0]), float(curve.z[-1]) + 1
    return [(start * slice_mm, end * slice_mm) for start, end in ((0, low), (high, n_slices)) if end > start]


def _profile(stack: Layers, curve: Centerline | None, window: tuple[slice, slice]) -> Picture:
    if curve is None:
        return slices.sagittal(stack, slices.sagittal_index(stack), window)
    gray = cord_gray(stack, curve, int(curve.z[0]), int(curve.z[-1]))
    return replace(slices.along_cord(stack, curve, window), gray=gray)


def _compose(
    profile: Picture,
    shadow: Mask,
    stack: Layers,
    sections: Sequence[Section],
    marks: Sequence[Mark],
    title: str,
    dark: Sequence[tuple[float, float]],
) -> Figure:
    """Create the axes: the profile on the left, the axial pictures in one to three columns on the right."""
    width_mm, height_mm = profile.size_mm
    mm_per_inch = max(height_mm / HEIGHT_INCHES, width_mm / WIDEST_INCHES)
    lanes = _lanes(marks, stack, 0.2 * mm_per_inch)
    right = 0.1 + _lane_inches(marks) * (1 + max(lanes, default=-1))
    most_rows = int(np.clip(round(height_mm / mm_per_inch / 2), 1, 3))
    n_columns = min(-(-len(sections) // most_rows), 3)
    n_rows = -(-len(sections) // n_columns)
    cell = HEIGHT_INCHES / max(n_rows, 2)
    column = cell - 0.15  # the height of a title, which makes the pictures smaller than their cells
    left = width_mm / mm_per_inch + _LEFT_INCHES + right
    height = max(height_mm / mm_per_inch, n_rows * cell)
    figure = Figure(figsize=(left + n_columns * column, height + 0.3), facecolor=BACKGROUND, layout="constrained")
    grid = figure.add_gridspec(
        max(n_rows, round(height / cell)), 1 + n_columns, width_ratios=(left, *[column] * n_columns)
    )
    main = figure.add_subplot(grid[:, 0])
    draw(main, profile, bar_mm=20, uncovered=shadow)
    for low, high in dark:
        main.add_patch(Rectangle((0, low), width_mm, high - low, facecolor=BACKGROUND, alpha=0.6, linewidth=0))
    main.set_xlim(-_LEFT_INCHES * mm_per_inch, width_mm + right * mm_per_inch)
    main.add_collection(
        LineCollection(outline(shadow, profile.size_mm), colors=FOREGROUND, linewidths=0.6, linestyles=":")
    )
    _levels(main, profile, sections, stack, mm_per_inch)
    _bars(main, profile, dict(zip(marks, lanes, strict=True)), stack, mm_per_inch)
    for n, section in enumerate(sections):
        axes = figure.add_subplot(grid[n // n_columns, 1 + n % n_columns])
        draw(axes, section.picture, bar_mm=10, uncovered=_with_names(section.picture))
        axes.set_title(_heading(section), color=FOREGROUND, fontsize=_FONT_SIZE, fontweight="normal", pad=3)
        _names(axes, section, marks, stack)
    _legend(figure, profile, shadow, dark=bool(dark))
    if title:
        figure.suptitle(title, x=0.01, ha="left", color=FOREGROUND, fontsize=8)
    return figure


def _heading(section: Section) -> str:
    """Write the title of a slice, in two lines above a narrow picture."""
    width, height = section.picture.size_mm
    between = " · " if width > _NARROW * height else "\n"
    return f"{section.name}{between}z = {section.picture.position_mm:+.1f} mm".replace("-", "−")


def _legend(figure: Figure, profile: Picture, shadow: Mask, *, dark: bool) -> None:
    handles: list[Patch | Line2D] = []
    if shadow.any():
        label = "all lesions, seen from the side"
        handles += legend_handles(agreement=profile.reference is not None)
        handles.append(Line2D([], [], color=FOREGROUND, linewidth=0.6, linestyle=":", label=label))
    if dark:
        label = "darkened: not searched"
        handles.append(Patch(facecolor=BACKGROUND, edgecolor=MUTED, linewidth=0.5, label=label))
    if not handles:
        return
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), labelcolor=FOREGROUND, frameon=False)


def _levels(axes: Axes, profile: Picture, sections: Sequence[Section], stack: Layers, mm_per_inch: float) -> None:
    """Draw the positions of the axial slices on the profile, with their letters on the left."""
    at = [(section.z + 0.5) * stack.scan.spacing_mm[2] for section in sections]
    for section, y, text_y in zip(sections, at, apart(at, _LINE_INCHES * mm_per_inch), strict=True):
        axes.plot((0, profile.size_mm[0]), (y, y), color=FOREGROUND, linewidth=0.4, alpha=0.5)
        axes.plot((-0.1 * mm_per_inch, 0), (text_y, y), color=FOREGROUND, linewidth=0.4, alpha=0.5)
        _text(axes, -0.12 * mm_per_inch, text_y, section.name[0], FOREGROUND, "right")


def _lanes(marks: Sequence[Mark], stack: Layers, least_mm: float) -> list[int]:
    """Choose the lane of each lesion's bar next to the profile, so that no bars touch; -1: no space left."""
    taken: list[list[tuple[float, float]]] = [[] for _ in range(_MOST_LANES)]
    chosen = []
    for mark in marks:
        low, high = _reach(mark, stack)
        middle, half = (low + high) / 2, max(high - low + 0.2 * least_mm, least_mm) / 2
        free = (n for n, bars in enumerate(taken) if all(b < middle - half or middle + half < a for a, b in bars))
        chosen.append(next(free, -1))
        if chosen[-1] >= 0:
            taken[chosen[-1]].append((middle - half, middle + half))
    return chosen


def _reach(mark: Mark, stack: Layers) -> tuple[float, float]:
    """Return the lower and the upper end of a lesion on the profile."""
    low, high = mark.voxels[:, 2].min(), mark.voxels[:, 2].max() + 1
    return float(low) * stack.scan.spacing_mm[2], float(high) * stack.scan.spacing_mm[2]


def _lane_inches(marks: Sequence[Mark]) -> float:
    return 0.12 + 0.08 * max((len(mark.text) for mark in marks), default=0)


def _bars(axes: Axes, profile: Picture, lanes: Mapping[Mark, int], stack: Layers, mm_per_inch: float) -> None:
    """Draw the extent of each lesion along the cord, to the right of the profile."""
    for mark, lane in lanes.items():
        if lane >= 0:
            low, high = _reach(mark, stack)
            x = profile.size_mm[0] + (0.05 + _lane_inches(list(lanes)) * lane) * mm_per_inch
            axes.plot((x, x), (low, high), color=mark.color, linewidth=1.6, solid_capstyle="butt")
            _text(axes, x + 0.05 * mm_per_inch, (low + high) / 2, mark.text, mark.color, "left")


def _with_names(picture: Picture) -> Mask:
    """Return the lesions of a slice, with the space for their names on both sides."""
    marked = [layer for layer in (picture.mask, picture.reference) if layer is not None]
    lesions: Mask = np.logical_or.reduce(marked, dtype=np.bool_)
    reach = round((_NAME_WIDTH + 0.02) * lesions.shape[1])
    widened: Mask = ndimage.binary_dilation(lesions, np.ones((1, 2 * reach + 1), bool))
    return widened


def _names(axes: Axes, section: Section, marks: Sequence[Mark], stack: Layers) -> None:
    """Write the names of a slice's lesions next to them: on the side away from the middle, unless the edge is near."""
    width, height = section.picture.size_mm
    sx, sy = stack.scan.spacing_mm[:2]
    corner = np.array([part.start for part in section.window]) - 0.5
    found: dict[int, list[tuple[Mark, float, float]]] = {-1: [], 1: []}
    for mark in marks:
        place = (mark.voxels[mark.voxels[:, 2] == section.z, :2] - corner) * (sx, sy)
        if len(place):
            left, right = place[:, 0].min() - sx / 2 - 0.02 * width, place[:, 0].max() + sx / 2 + 0.02 * width
            side = 1 if place[:, 0].mean() > width / 2 else -1
            side = -side if left < _NAME_WIDTH * width or right > (1 - _NAME_WIDTH) * width else side
            found[side].append((mark, float(right if side > 0 else left), float(place[:, 1].mean())))
    for side, names in found.items():
        for (mark, x, _), y in zip(names, apart([y for *_, y in names], 1.6 * _LINE * height), strict=True):
            _text(axes, x, y, mark.text, mark.color, "left" if side > 0 else "right")


def apart(places: Sequence[float], least: float) -> list[float]:
    """Move positions on a line so that neighbours are at least ``least`` apart; the highest is not moved."""
    moved = list(places)
    order = sorted(range(len(places)), key=lambda n: -places[n])
    for upper, lower in pairwise(order):
        moved[lower] = min(moved[lower], moved[upper] - least)
    return moved


def _text(axes: Axes, x: float, y: float, text: str, color: str, side: str) -> None:
    axes.text(x, y, text, color=color, fontsize=_FONT_SIZE, ha=side, va="center", bbox=_NAME_SHADE, clip_on=True)
