"""Points of the surroundings, and how one tissue is painted over another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from cordlesion.simulate.anatomy import Anatomy
from cordlesion.simulate.canal import RIM_MM, Section
from cordlesion.simulate.randomness import Array, Mask
from cordlesion.simulate.signals import Signals

AIR = 0.02
"""Signal of air, before noise."""
CORTEX_MM = 0.9
"""Thickness of cortical bone and end plates."""
Bounds = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Points:
    """Where the surroundings are evaluated; arrays of shape (X, P), but for ``s`` and ``sac_half_rl`` of shape (P,)."""

    anatomy: Anatomy
    signals: Signals
    s: Array
    u: Array
    v: Array
    side: Array
    """Distance from the sagittal plane of the cord."""
    front: Array
    """Distance in front of the canal."""
    behind: Array
    """Distance behind the sac."""
    depth: Array
    """Depth below the skin, roughly; negative outside the body."""
    sac_half_rl: Array

    def at(self, index: Array) -> "Points":
        """Return the positions of ``index``."""
        arrays = [field.name for field in fields(self) if field.name not in ("anatomy", "signals")]
        return replace(self, **{name: getattr(self, name).take(index, axis=-1) for name in arrays})

    def noise(self, scale_mm: float | tuple[float, float, float], offset: int, shear: float = 0.0) -> Array:
        """Texture with correlation lengths along s, u, v; ``shear`` tilts its grain backwards on the way down."""
        along = self.s + np.float32(shear) * self.v if shear else self.s
        return self.anatomy.texture.at(along, self.u, self.v, scale_mm, offset)


@dataclass(frozen=True, eq=False)
class Layer:
    """A tissue that is painted only where it can be; most are small."""

    everywhere: Callable[[Points, Array], Array]
    """Paints it over the signal of what lies below, shape (X, P), and returns the signal."""
    reach: Mapping[str, Bounds]
    """Ranges of coordinates of :class:`Points`, mm; outside any of them the weight of the tissue is 0."""

    def __call__(self, points: Points, value: Array) -> Array:
        """Paint the tissue into ``value`` at the positions of which some point lies within its reach."""
        near = np.flatnonzero(self._reached(points).any(axis=0))
        if near.size:
            value[:, near] = self.everywhere(points.at(near), value.take(near, axis=1))
        return value

    def _reached(self, points: Points) -> Mask:
        reached: Mask = np.ones(points.v.shape, dtype=bool)
        for name, (low, high) in self.reach.items():
            coordinate = getattr(points, name)
            reached &= (coordinate > low) & (coordinate < high)
        return reached


def within_reach(**reach: Bounds) -> Callable[[Callable[[Points, Array], Array]], Layer]:
    """Make a :class:`Layer` of a function."""
    return lambda everywhere: Layer(everywhere, reach)


def points_at(anatomy: Anatomy, signals: Signals, section: Section, u: Array, v: Array) -> Points:
    """Describe points ``u`` and ``v`` of shape (X, P) of the ``P`` positions of ``section``."""
    front = v - (section.sac_shift + section.sac_half_ap - section.dent + RIM_MM)
    behind = (section.sac_shift - section.sac_half_ap) - v
    side = np.abs(u)
    depth = _skin_depth(anatomy, section.s, side, v)
    return Points(anatomy, signals, section.s, u, v, side, front, behind, depth, section.sac_half_rl)


def _skin_depth(anatomy: Anatomy, s: Array, side: Array, v: Array) -> Array:
    back = anatomy.posterior_depth_mm + table(s, [-110, -60, 10, 60, 150, 250, 500], [32, 22, 4, 0, 14, 20, 10])
    chest = table(s, [-110, 20, 60, 100, 140, 180], [110, 105, 62, 62, 80, 130])
    width = table(s, [-60, 30, 80, 130, 170], [78, 64, 62, 95, 170])
    extent = np.where(v < 0, back, chest)
    # A squarish outline; its level function times the local radius approximates the depth below the skin.
    outline = ((side / width) ** 2.5 + (np.abs(v) / extent) ** 2.5) ** np.float32(0.4)
    depth: Array = (1 - outline) * np.minimum(extent, width)
    return depth


def ramp(distance: Array, width: float = 0.8) -> Array:
    """Weight 1 where ``distance`` (positive inside, mm) is large, 0 outside, with a soft edge of ``width``."""
    weight: Array = np.clip(0.5 + distance / np.float32(width), 0, 1)
    return weight


def within(value: Array, low: Array | float, high: Array | float, width: float = 0.8) -> Array:
    """Weight 1 between ``low`` and ``high``, with soft edges."""
    return ramp(np.minimum(value - low, high - value), width)


def paint(below: Array, layer: Array | float, weight: Array) -> Array:
    """Lay a tissue over another."""
    mixed: Array = below + (layer - below) * weight
    return mixed


def table(s: Array, at: list[float], values: list[float]) -> Array:
    """Piecewise linear function of the position along the cord, float32."""
    return np.interp(s, at, values).astype(np.float32)
