"""Structures above the cord: the arch of C1, the skull base, the posterior fossa with the cerebellum."""

import numpy as np

from cordlesion.io.arrays import Array
from cordlesion.simulate.painting import CORTEX_MM, Points, paint, ramp, within, within_reach


@within_reach(s=(-np.inf, 16.5), front=(-1.1, 18.1), side=(-1.0, 17.6))
def paint_skull_base(points: Points, value: Array) -> Array:
    """Draw the anterior arch of C1 and the clivus."""
    signals, s, front, side = points.signals, points.s, points.front, points.side
    arch = np.minimum(4.5 - np.abs(s - 11), 2.6 - np.abs(front - 14.5))
    value = paint(value, signals.dark, ramp(arch + 0.5) * ramp(16 - side, 3))
    value = paint(value, signals.body, ramp(arch - CORTEX_MM) * ramp(15 - side, 3))
    clivus = np.minimum(np.minimum(front, 11 - front), -6 - 0.3 * front - s)
    value = paint(value, signals.dark, ramp(clivus + 0.6) * ramp(14 - side, 2))
    return paint(value, signals.fat * 0.9, ramp(clivus - CORTEX_MM) * ramp(13 - side, 2))


@within_reach(s=(-96.2, 4.2), behind=(-1.6, 59.9), side=(-1.0, 65.7))
def paint_fossa(points: Points, value: Array) -> Array:
    """Draw a rounded box behind the brain stem: bone, fluid, and the cerebellum with its folia."""
    signals, s, behind = points.signals, points.s, points.behind
    wall = np.abs((behind - 24) / 30) ** 3 + np.abs((s + 46) / 42) ** 3 + np.abs(points.side / 55) ** 3
    depth = 36 * (1 - wall ** np.float32(1 / 3))
    value = paint(value, signals.dark, ramp(depth + 6.5) * ramp(behind - 1.0, 2))
    value = paint(value, signals.body, within(depth, -5.5, -0.9) * ramp(behind - 4, 2))
    value = paint(value, signals.csf, ramp(depth) * ramp(behind + 1, 1))
    leaf = points.anatomy.texture.at(0.8 * s + 0.6 * behind, points.u, 0.8 * behind - 0.6 * s, (2.6, 9, 9), 12)
    brain = np.where(np.abs(leaf) < 0.18, 0.55 * signals.csf, 1.1 + 0.04 * leaf)
    return paint(value, brain, ramp(np.minimum(depth - 1.8, behind - 2.5 + 0.12 * (s + 14)), 1.5))
