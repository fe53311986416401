"""Draws one lesion into a scan: partial volume by fine sampling, the blur of the scan, its own noise (no torch).

The signal of a voxel is the mean over its volume of the blurred tissue. A lesion replaces the signal of the tissue by
its own, inside the lesion and inside the cord; the difference is drawn on a fine grid, blurred, averaged over voxels
and added. In voxels that also contain fluid, only the part of the cord is raised. The fill, and so the reference and
the volume, end at the cord mask; the signal goes on to the edge of the cord, which may lie a little outside a mask that
was drawn by hand.

The noise is the scan's own. In a magnitude image the SD of the noise is that of a Rician variable (:func:`rician_sd`).
From a signal-to-noise ratio of 8 (a noisy scan) to 14 (a bright lesion in it) it grows by less than 1 %; therefore the
noise is left as it is.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, special

from cordlesion.detectability.appearance import Appearance
from cordlesion.detectability.cord_space import SURFACE_SD_VOXELS, CordSpace
from cordlesion.io.arrays import Array, Float32Array, FloatArray
from cordlesion.simulate.randomness import NoiseTile
from cordlesion.simulate.spindle import Lesion, signal_gain, spindle

SIGNAL_MM, COARSE_MM = 0.3, 0.6
"""Largest step of the fine grids: of the signal, which is blurred; and of the volume while a lesion is scaled to it."""
GREY_LOST, GREY_LOST_AT = 0.7, 0.3
"""Share of the difference between grey and white matter that is lost inside a lesion of a contrast of at least 1.3."""
FILL_CELLS = 20_000
"""A lesion has about so many fine cells when its fill is computed: its volume is exact to about 0.5 %."""
FILL_MM = (0.08, 0.15)
"""Smallest and largest step for it."""
MIN_PARTS = 2
"""Smallest number of fine steps per voxel along each axis."""
MARGIN_MM = 4.0
"""The box of a lesion reaches this far beyond it, for its blurred edge and its halo."""
_NEAR = 1.5
"""Points with a smaller level function are near a lesion; it is 1 on the outline."""
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class DrawnLesion:
    """A lesion on the grid of a scan (LAS), in a box around it."""

    lesion: Lesion
    box: Box
    fill: Float32Array
    """Share of each voxel of the box inside the lesion, the smooth surface of the cord and the cord mask."""
    added: Float32Array
    """Signal that the lesion adds to each voxel of the box."""
    volume_mm3: float
    """Integral of the fill: the volume of the lesion inside the cord."""


@dataclass(frozen=True, eq=False)
class _Shape:
    """A lesion on the fine cells of its box."""

    box: Box
    parts: Array
    """Fine cells per voxel along each axis."""
    at: list[FloatArray]
    """Positions of the cells along each axis, in voxels."""
    place: tuple[Float32Array, Float32Array, Float32Array]
    """Coordinates (s, u, v)."""
    level: Float32Array
    """Level function of the spindle."""
    cord: Float32Array
    """Share of each cell inside the smooth surface of the cord and a voxel of its mask."""

    def tissue(self, look: Appearance) -> Float32Array:
        """Return the signal of the tissue at each cell, relative to that of the cord."""
        padded, nodes = _padded(look.tissue, self.box)
        return _upsampled(padded, self.at, nodes)

    def fill(self) -> Float32Array:
        """Return the share of each voxel inside the lesion."""
        return _voxel_means(_inside(self.level - 1) * self.cord, self.parts)


def draw_lesion(lesion: Lesion, space: CordSpace, look: Appearance, texture: NoiseTile) -> DrawnLesion:
    """Draw a lesion at its position along the cord.

    Args:
        lesion: In the coordinates of the cord; a ``contrast`` of 1 adds nothing.
        space: The cord.
        look: Signal and blur of the scan.
        texture: Noise that roughens the outline of lesions and their inside.
    """
    shape = _shape(lesion, space, texture, _box(lesion, space), SIGNAL_MM)
    interior = texture.at(*shape.place, (6, 1.5, 1.5), lesion.texture + 1)
    weight = (signal_gain(lesion, shape.level, 2.0, interior) - 1) * _within_edge(shape, space)
    excess = weight * _excess(lesion.contrast, shape.tissue(look))
    step = space.spacing_mm / shape.parts
    blurred = ndimage.gaussian_filter(excess, look.blur_sd_mm / step, mode="nearest", truncate=3.0)
    fill = _fill(lesion, space, texture, shape)
    added = _voxel_means(blurred, shape.parts) * look.signal[shape.box]
    return DrawnLesion(lesion, shape.box, fill, added, _volume_mm3(fill, space))


def _within_edge(shape: _Shape, space: CordSpace) -> Float32Array:
    """Return the share of each fine cell inside the edge of the cord to the fluid.

    Masks that are drawn by hand end inside it; a lesion that ended there as well would leave a dark rim, by which it
    could be recognised. The smoothed mask falls as a Gaussian integral across the surface.
    """
    padded, nodes = _padded(space.surface, shape.box)
    sd_mm = SURFACE_SD_VOXELS * float(np.median(space.spacing_mm))
    return _inside(np.float32(special.ndtr(-space.rim_mm / sd_mm)) - _upsampled(padded, shape.at, nodes))


def _excess(contrast: float, tissue: Float32Array) -> Float32Array:
    """Return what a lesion adds to tissue, in units of the signal of the cord.

    Inside a lesion, grey and white matter have almost the same signal, as in the simulator; a faint lesion, in
    proportion to its contrast, leaves some of their difference.
    """
    kept = 1 - GREY_LOST * float(np.clip((contrast - 1) / GREY_LOST_AT, 0, 1))
    excess: Float32Array = np.float32(contrast) * (1 + np.float32(kept) * (tissue - 1)) - tissue
    return excess


def _fill(lesion: Lesion, space: CordSpace, texture: NoiseTile, shape: _Shape) -> Float32Array:
    """Return the fill in the box of a shape, from a finer grid around the lesion alone."""
    fill = np.zeros([edge.stop - edge.start for edge in shape.box], np.float32)
    near = ndimage.find_objects((_voxel_means((shape.level < _NEAR) * shape.cord, shape.parts) > 0).astype(np.uint8))
    if near:
        inner = near[0]
        moved = [slice(a.start + b.start, a.stop + b.start) for a, b in zip(inner, shape.box, strict=True)]
        step = float(np.clip(np.cbrt(lesion.volume_mm3 / FILL_CELLS), *FILL_MM))
        fill[inner] = _shape(lesion, space, texture, (moved[0], moved[1], moved[2]), step).fill()
    return fill


def volume_inside(lesion: Lesion, space: CordSpace, texture: NoiseTile) -> float:
    """Return about the volume of a lesion inside the cord, faster than :func:`draw_lesion`."""
    return _volume_mm3(_shape(lesion, space, texture, _box(lesion, space), COARSE_MM).fill(), space)


def _volume_mm3(fill: Float32Array, space: CordSpace) -> float:
    return float(fill.sum(dtype=np.float64) * np.prod(space.spacing_mm))


def _shape(lesion: Lesion, space: CordSpace, texture: NoiseTile, box: Box, fine_mm: float) -> _Shape:
    parts = np.maximum(np.ceil(space.spacing_mm / fine_mm).astype(int), MIN_PARTS)
    at = [
        (np.arange((edge.stop - edge.start) * n) + 0.5) / n - 0.5 + edge.start
        for edge, n in zip(box, parts, strict=True)
    ]
    u, v, s = _coordinates(at, box, space)
    level = spindle(lesion, u, v, s, space.girth(s), texture)
    return _Shape(box, parts, at, (s, u, v), level, _cord_share(at, box, space, parts))


def rician_sd(snr: FloatArray) -> FloatArray:
    """Return the SD of a magnitude image, in units of the noise of its real part (Gudbjartsson & Patz 1995)."""
    quarter = np.asarray(snr, np.float64) ** 2 / 4
    mean = np.sqrt(np.pi / 2) * ((1 + 2 * quarter) * special.i0e(quarter) + 2 * quarter * special.i1e(quarter))
    return np.asarray(np.sqrt(4 * quarter + 2 - mean**2), np.float64)


def _box(lesion: Lesion, space: CordSpace) -> Box:
    """Return the voxels that a lesion may change."""
    half, place = 0.65 * lesion.length_mm, lesion.place
    along = np.linspace(lesion.centre_s_mm - half, lesion.centre_s_mm + half, 20)
    middle = np.array([space.centre_at(float(s)) for s in along]) + np.array(
        [-place.centre_mm[0], place.centre_mm[1], 0]
    )
    # Its rough outline may be 1 / 0.4 times as far away as the smooth one, but not outside the cord.
    radius = min(2.5 * max(place.half_width_mm, place.half_depth_mm), float(max(place.cord_axes_mm)) * 2)
    reach = np.array([radius, radius, 0]) + MARGIN_MM
    low, high = (middle.min(axis=0) - reach) / space.spacing_mm, (middle.max(axis=0) + reach) / space.spacing_mm
    first, second, third = (
        slice(int(np.clip(a, 0, n - 1)), int(np.clip(b + 2, 1, n)))
        for a, b, n in zip(low, high, space.inside.shape, strict=True)
    )
    return first, second, third


def _coordinates(at: list[FloatArray], box: Box, space: CordSpace) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Return (u, v, s) on the fine cells; they are interpolated between voxels, because they hardly bend."""
    nodes = [np.arange(edge.start - 1, edge.stop + 1) for edge in box]
    coarse = space.coordinates(np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1) * space.spacing_mm)
    u, v, s = (_upsampled(axis, at, nodes) for axis in coarse)
    return u, v, s


def _upsampled(values: Array, at: list[FloatArray], nodes: list[Array]) -> Float32Array:
    """Interpolate linearly from whole indices to the points ``at``, axis by axis."""
    for axis, (points, known) in enumerate(zip(at, nodes, strict=True)):
        place = points - known[0]
        low = np.clip(np.floor(place).astype(int), 0, len(known) - 2)
        share = (place - low).reshape([-1 if k == axis else 1 for k in range(3)]).astype(np.float32)
        values = np.take(values, low, axis) * (1 - share) + np.take(values, low + 1, axis) * share
    upsampled: Float32Array = values.astype(np.float32)
    return upsampled


def _padded(array: Float32Array, box: Box) -> tuple[Float32Array, list[Array]]:
    """Return a box of an array with one more voxel on each side, repeated beyond the image; and their indices."""
    nodes: list[Array] = [np.arange(edge.start - 1, edge.stop + 1) for edge in box]
    return array[np.ix_(*(index.clip(0, n - 1) for index, n in zip(nodes, array.shape, strict=True)))], nodes


def _cord_share(at: list[FloatArray], box: Box, space: CordSpace, parts: Array) -> Float32Array:
    """Return the share of each fine cell inside the smooth surface of the cord, and in a voxel of its mask."""
    padded, nodes = _padded(space.surface, box)
    surface = _upsampled(padded, at, nodes)
    mask = space.inside[box].astype(np.float32)
    for axis, n in enumerate(parts):
        mask = np.repeat(mask, n, axis=axis)
    return _inside(0.5 - surface) * mask


def _inside(level: Array) -> Float32Array:
    """Return the share of each fine cell in which a level function is negative, to first order."""
    slope = np.sqrt(sum(np.square(np.gradient(level, axis=axis)) for axis in range(3)))
    # In units of cells: the gradient is per cell, along the axis across the surface.
    share: Float32Array = np.clip(0.5 - level / np.maximum(slope, 1e-6), 0, 1).astype(np.float32)
    return share


def _voxel_means(fine: Array, parts: Array) -> Float32Array:
    shape = [n // part for n, part in zip(fine.shape, parts, strict=True)]
    grouped = fine.reshape(shape[0], parts[0], shape[1], parts[1], shape[2], parts[2])
    means: Float32Array = grouped.mean(axis=(1, 3, 5), dtype=np.float64).astype(np.float32)
    return means
