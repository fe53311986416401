"""Signal of the tissues around the canal (spine, neck, chest, brain): simple shapes, each drawn over the last."""

import numpy as np

from cordlesion.io.arrays import Array
from cordlesion.simulate import levels
from cordlesion.simulate.anatomy import Anatomy
from cordlesion.simulate.canal import Section
from cordlesion.simulate.head import paint_fossa, paint_skull_base
from cordlesion.simulate.painting import AIR, Points, paint, points_at, ramp, table, within, within_reach
from cordlesion.simulate.signals import Signals
from cordlesion.simulate.spine import paint_arch, paint_bodies, paint_processes

DEEPEST_FAT_MM = 35.0
"""Largest depth of the subcutaneous fat: 17 mm plus six SD of 15 % are 33 mm."""


def surroundings_signal(anatomy: Anatomy, section: Section, u: Array, v: Array, signals: Signals) -> Array:
    """Evaluate the tissue around the canal at ``u``, ``v`` of shape (X, P) for the P positions of ``section``."""
    points = points_at(anatomy, signals, section, u, v)
    value = _muscle(points)
    for layer in LAYERS:
        value = layer(points, value)
    return value


def _muscle(points: Points) -> Array:
    """Return the signal of muscles along the body, separated by thin layers of fat."""
    signals = points.signals
    bellies = points.noise((45, 8, 7), 5, shear=0.25)
    septa = np.exp(-((bellies / 0.16) ** 2)) * np.clip(0.7 + 0.5 * points.noise((20, 9, 9), 7), 0, 1)
    fibres = signals.muscle * (1 + 0.15 * points.noise((9, 2.5, 2.5), 6) + 0.1 * bellies)
    return paint(fibres, 0.8 * signals.fat, 0.75 * septa)


@within_reach(s=(172.4, np.inf), front=(24.4, np.inf))
def _chest(points: Points, value: Array) -> Array:
    """Draw the organs of the chest, blurred and mostly dark."""
    s, front = points.s, points.front
    organs = 0.45 * np.clip(0.5 + points.noise(24, 15) + 0.3 * points.noise(7, 16), 0.06, 1.4)
    inside = ramp(front - table(s, [150, 200, 460], [40, 27, 40]), 5) * ramp(s - 185, 25)
    return paint(value, organs, inside)


@within_reach(front=(11.9, np.inf))
def _throat(points: Points, value: Array) -> Array:
    """Draw the airway and the fat in front of it."""
    s, front = points.s, points.front
    start = levels.along("body_depth", s).astype(np.float32) + table(s, [-30, 20, 80, 110, 160], [2, 4, 5, 11, 12])
    width = table(s, [-30, 10, 50, 80, 100, 190, 240], [22, 16, 12, 7, 14, 15, 4])
    value = paint(value, points.signals.fat * 0.8, 0.5 * ramp(front - start - width - 8, 6))
    half = 9 * np.sqrt(np.clip(1 - ((front - start - width / 2) / (width / 2 + 0.5)) ** 2, 0, 1))
    return paint(value, AIR, within(front, start, start + width, 2) * ramp(half - points.side, 2))


@within_reach(s=(-np.inf, 180.1), v=(0.0, 28.1), side=(3.4, 38.6))
def _vessels(points: Points, value: Array) -> Array:
    """Draw, in the neck, arteries (flow void) and jugular veins (slower flow, brighter)."""
    neck = ramp(170 - points.s, 20)
    jugular = ramp(5.5 - np.hypot((points.side - 31) / 1.2, points.v - 17), 1.5)
    value = paint(value, 0.5 * points.signals.csf, 0.7 * jugular * neck)
    carotid = ramp(3.4 - np.hypot(points.side - 24, points.v - 24), 1.2)
    value = paint(value, points.signals.dark, carotid * neck)
    vertebral = ramp(2.0 - np.hypot(points.side - points.sac_half_rl - 5, points.front - 2), 1.0)
    return paint(value, points.signals.dark * 0.6, vertebral * ramp(100 - points.s, 10))


@within_reach(depth=(-np.inf, DEEPEST_FAT_MM))
def _skin(points: Points, value: Array) -> Array:
    """Draw subcutaneous fat, skin and the air outside."""
    s, v, depth, fat = points.s, points.v, points.depth, points.signals.fat
    rear = table(s, [0, 60, 150, 300], [8, 9, 17, 12])
    layer = (5 + (rear - 5) * ramp(-20 - v, 60)) * (1 + 0.15 * points.noise(25, 13))
    value = paint(value, fat * (1 + 0.08 * points.noise(4, 14)), ramp(layer - depth, 1.5))
    value = paint(value, 0.35 * fat, ramp(1.5 - depth, 1))
    return paint(value, AIR, ramp(-depth, 1.2))


LAYERS = (_chest, _throat, _vessels, paint_arch, paint_processes, paint_bodies, paint_fossa, paint_skull_base, _skin)
"""Layers in the order in which they are drawn over the muscles."""
