"""Points of the surroundings of the canal, and functions that draw one tissue over another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from cordlesion.io.arrays import Array, Mask
from cordlesion.simulate.anatomy import Anatomy
from cordlesion.simulate.canal import RIM_MM, Section
from cordlesion.simulate.signals import Signals

AIR = 0.02
"""Signal of air, before noise."""
CORTEX_MM = 0.9
"""Thickness of cortical bone and end plates."""
Bounds = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Points:
    """Points at which the surroundings are evaluated; arrays of shape (X, P), except ``s`` and ``sac_half_rl`` (P,)."""

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
    """Approximate depth below the skin; negative outside the body."""
    sac_half_rl: Array

    def at(self, index: Array) -> "Points":
        """Select positions by index."""
        arrays = [field.name for field in fields(self) if field.name not in ("anatomy", "signals")]
        return replace(self, **{name: getattr(self, name).take(index, axis=-1) for name in arrays})

    def noise(self, scale_mm: float | tuple[float, float, float], offset: int, shear: float = 0.0) -> Array:
        """Return texture with correlation lengths along s, u, v; ``shear`` tilts it backwards along the cord."""
        along = self.s + np.float32(shear) * self.v if shear else self.s
        return self.anatomy.texture.at(along, self.u, self.v, scale_mm, offset)


@dataclass(frozen=True, eq=False)
class Layer:
    """A tissue that is computed only where it can occur, because most tissues are small."""

    everywhere: Callable[[Points, Array], Array]
    """Function that draws the tissue over a signal of shape (X, P) and returns the new signal."""
    reach: Mapping[str, Bounds]
    """Ranges of coordinates of :class:`Points` in mm; outside any of them the weight of the tissue is 0."""

    def __call__(self, points: Points, value: Array) -> Array:
        """Draw the tissue into ``value`` at the positions that have a point within its reach."""
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
    """Return a decorator that converts a function to a :class:`Layer`."""
    return lambda everywhere: Layer(everywhere, reach)


def points_at(anatomy: Anatomy, signals: Signals, section: Section, u: Array, v: Array) -> Points:
    """Return points at ``u`` and ``v`` of shape (X, P) for the P positions of ``section``."""
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
    # The outline is a superellipse; its level function times the local radius approximates the depth below the skin.
    outline = ((side / width) ** 2.5 + (np.abs(v) / extent) ** 2.5) ** np.float32(0.4)
    depth: Array = (1 - outline) * np.minimum(extent, width)
    return depth


def ramp(distance: Array, width: float = 0.8) -> Array:
    """Return weights from 0 outside to 1 inside, with a linear edge of ``width``; ``distance`` is positive inside."""
    weight: Array = np.clip(0.5 + distance / np.float32(width), 0, 1)
    return weight


def within(value: Array, low: Array | float, high: Array | float, width: float = 0.8) -> Array:
    """Return weight 1 between ``low`` and ``high``, with linear edges."""
    return ramp(np.minimum(value - low, high - value), width)


def paint(below: Array, layer: Array | float, weight: Array) -> Array:
    """Draw a tissue over another with a weight."""
    mixed: Array = below + (layer - below) * weight
    return mixed


def table(s: Array, at: list[float], values: list[float]) -> Array:
    """Return a piecewise linear function of the position along the cord, float32."""
    return np.interp(s, at, values).astype(np.float32)
