"""Shape and signal of one lesion: a spindle along the cord with a wedge-shaped section and a blurred edge."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit

from cordlesion.io.arrays import Array
from cordlesion.simulate.randomness import NoiseTile

Kind = Literal["lesion", "mimic", "diffuse"]
"""A true lesion, a spot that looks like a lesion, or a diffuse change."""

SECTION_POWER, LENGTH_POWER = 1.4, 2.0
"""Powers of the spindle: its volume is 0.6 x length x largest cross-section."""
EDGE_10_90 = 4.394
"""10-90 % width of a logistic edge, in units of its scale."""
WEDGE = 0.3
"""Relative increase of the width from the middle of a lesion to the surface of the cord."""


@dataclass(frozen=True)
class Placement:
    """Position of the largest section of a lesion in the section of the cord."""

    surface_angle: float
    """Direction of the nearest surface, in radians from the u axis."""
    centre_mm: tuple[float, float]
    """Middle of the section (u, v)."""
    half_width_mm: float
    """Half extent along the surface."""
    half_depth_mm: float
    """Half extent across the surface."""
    cord_axes_mm: tuple[float, float]
    """Semi-axes of the cord there."""

    @property
    def size_mm(self) -> float:
        """Mean half extent."""
        return float(np.sqrt(self.half_width_mm * self.half_depth_mm))

    def radius(self, u: Array, v: Array) -> Array:
        """Return the level function of the section, 1 on its outline: an ellipse that is wider towards the surface."""
        cosine, sine = np.float32(np.cos(self.surface_angle)), np.float32(np.sin(self.surface_angle))
        u, v = u - np.float32(self.centre_mm[0]), v - np.float32(self.centre_mm[1])
        out = (cosine * u + sine * v) / np.float32(self.half_depth_mm)
        along = (cosine * v - sine * u) / (np.float32(self.half_width_mm) * (1 + WEDGE * np.clip(out, -1, 1)))
        radius: Array = np.sqrt(out * out + along * along)
        return radius


@dataclass(frozen=True)
class Lesion:
    """One lesion, in the coordinates of the cord."""

    kind: Kind
    column: str
    """Position in the section: lateral, posterior, anterior or central."""
    centre_s_mm: float
    length_mm: float
    area_mm2: float
    """Largest cross-section inside the cord."""
    place: Placement
    contrast: float
    """Ratio of lesion to cord signal, before blur and noise."""
    edge_mm: float
    """10-90 % width of the edge."""
    roughness: float
    """Relative SD of the radius."""
    halo: float
    """Contrast of the faint rim as a share of the contrast of the lesion."""
    texture: int
    """Offset in the noise tile."""

    @property
    def volume_mm3(self) -> float:
        """Volume of the spindle."""
        return 0.6 * self.length_mm * self.area_mm2

    def lies_in(self, field_mm: tuple[float, float]) -> bool:
        """Return whether the middle two thirds of the lesion are inside a range of the cord."""
        return field_mm[0] + self.length_mm / 3 < self.centre_s_mm < field_mm[1] - self.length_mm / 3


def spindle(lesion: Lesion, u: Array, v: Array, s: Array, girth: tuple[Array, Array], texture: NoiseTile) -> Array:
    """Return the level function of the spindle: below 1 inside, 1 on the outline; the arguments broadcast.

    Args:
        lesion: Its shape.
        u: Section coordinate to the right, mm.
        v: Section coordinate to the front, mm.
        s: Position along the cord, mm.
        girth: Semi-axes of the cord at ``s``; the lesion scales with them.
        texture: Noise that roughens the outline.
    """
    u, v = (x * (own / here) for x, own, here in zip((u, v), lesion.place.cord_axes_mm, girth, strict=True))
    cell = max(lesion.place.size_mm * 0.8, 0.8)
    rough = 1 + lesion.roughness * texture.at(s, u, v, (max(lesion.length_mm / 4, 1.5), cell, cell), lesion.texture)
    reach = np.abs(s - lesion.centre_s_mm) / (lesion.length_mm / 2)
    smooth: Array = (lesion.place.radius(u, v) ** SECTION_POWER + reach**LENGTH_POWER) ** (1 / SECTION_POWER)
    level: Array = smooth * np.clip(rough, 0.4, 1.8)
    return level


def signal_gain(lesion: Lesion, level: Array, contrast: float, interior: Array) -> Array:
    """Return the factor by which the lesion multiplies the signal of the cord.

    Args:
        lesion: Its edge and halo.
        level: Values of :func:`spindle`.
        contrast: Ratio of lesion to cord signal in this scan.
        interior: Noise of unit SD for the texture inside the lesion.
    """
    size = lesion.place.size_mm
    weight: Array = expit((1 - level) * np.float32(EDGE_10_90 * size / lesion.edge_mm))
    weight = weight * (1 + 0.10 * (1 - np.minimum(level, 1)) + 0.07 * interior)
    if lesion.halo:
        weight = np.maximum(weight, lesion.halo * expit((1 + 2 / size - level) * np.float32(2 * size)))
    gain: Array = 1 + np.float32(contrast - 1) * weight
    return gain
