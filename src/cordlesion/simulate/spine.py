"""Vertebral bodies, discs and the bones around and behind the canal."""

import numpy as np

from cordlesion.io.arrays import Array
from cordlesion.simulate import levels
from cordlesion.simulate.canal import DISCS
from cordlesion.simulate.painting import CORTEX_MM, Points, paint, ramp, table, within, within_reach

DENS_TOP_MM = levels.top_mm("C2") - 21
"""The tip of the dens, in front of C1."""


@within_reach(front=(-np.inf, 3.3), behind=(-np.inf, 12.1))
def paint_arch(points: Points, value: Array) -> Array:
    """Draw pedicles and facets next to the canal, fat in the foramina, ligament and epidural fat behind the canal."""
    signals = points.signals
    index = levels.level_index(points.s)
    phase = ((points.s - levels.BOUNDARIES_MM[index]) / levels.column("length")[index]).astype(np.float32)
    lateral = points.side - points.sac_half_rl
    pillar = ramp(1 - np.hypot((lateral - 7) / 7.5, (points.front + 5) / np.float32(7)), 0.35)
    bony = ramp(0.27 - np.abs(phase - 0.38), 0.2)
    marrow = signals.body * (1 + 0.15 * points.noise(3, 8))
    cortex = np.maximum(within(lateral, 0.4, 2.0), pillar * (1 - ramp(pillar - 0.75, 0.3)))
    value = paint(value, signals.fat * 0.7, 0.7 * pillar * (1 - bony))
    value = paint(value, marrow, pillar * bony)
    value = paint(value, signals.dark, 0.8 * cortex * pillar * bony)
    value = paint(
        value, signals.dark, within(points.behind, -0.5, 4.0, 1.0) * ramp(points.sac_half_rl + 3 - points.side, 2)
    )
    interlaminar = ramp(0.30 - np.abs(np.mod(phase + 0.25, 1) - 0.5), 0.2)
    fat = ramp(np.minimum(points.behind - 0.6, 4.5 - points.behind - 0.8 * points.side), 1.0)
    return paint(value, signals.fat * 1.1, fat * interlaminar)


@within_reach(behind=(2.0, 53.1), side=(-1.0, 10.0))
def paint_processes(points: Points, value: Array) -> Array:
    """Draw spinous processes that tilt downwards, fat and ligaments between them, and the nuchal ligament behind."""
    signals, s, behind, side = points.signals, points.s, points.behind, points.side
    lean = table(s, [0, 100, 190, 330, 470], [0.35, 0.45, 1.0, 1.1, 0.5])
    root = s - lean * np.maximum(behind, 0)
    index = levels.level_index(root)
    middle = levels.BOUNDARIES_MM[index] + 0.62 * levels.column("length")[index]
    reach = table(index, [0, 1, 2, 4, 6, 8, 20], [9, 24, 20, 22, 36, 36, 32])
    thick = table(index, [0, 1, 2, 6, 20], [4.0, 5.5, 3.6, 4.6, 5.5])
    edge = np.minimum(thick - np.abs(root - middle).astype(np.float32), np.minimum(behind - 3.0, reach - behind))
    edge = np.minimum(edge, table(behind, [3, 9, 12], [9.0, 5.0, 3.2]) - side)
    streak = points.noise((5, 4, 12), 9, shear=0.5)
    between = within(behind, 4, 0.8 * reach, 2) * ramp(3.0 - side, 2)
    value = paint(value, signals.fat * np.clip(0.7 + 0.45 * streak, 0.12, 1.3), 0.85 * between)
    own = points.anatomy.level_scale[index].astype(np.float32)
    value = paint(value, signals.dark, ramp(edge + 0.5))
    value = paint(value, signals.body * own * (1 + 0.1 * points.noise(3, 10)), ramp(edge - CORTEX_MM))
    nuchal = ramp(0.9 - side) * within(behind, 20, 50, 6) * ((s < 130) & (s > -8))
    return paint(value, signals.dark, 0.8 * nuchal)


@within_reach(s=(DENS_TOP_MM - 0.1, np.inf), front=(-1.1, 33.1), side=(-1.0, 21.6))
def paint_bodies(points: Points, value: Array) -> Array:
    """Draw vertebral bodies with end plates and basivertebral veins, and the discs between them."""
    signals, s, front, side = points.signals, points.s, points.front, points.side
    index = levels.level_index(s)
    below = np.abs(s[:, None] - DISCS[None, :]).argmin(axis=1)
    from_disc = np.abs(s - DISCS[below]).astype(np.float32)
    depth, width = (levels.along(field, s).astype(np.float32) for field in ("body_depth", "body_width"))
    lens = np.clip(1 - ((front - depth / 2) / (depth / 2)) ** 2, 0, 1)
    half_disc = levels.column("disc_height")[below + 2].astype(np.float32) / 2 * (0.5 + 0.5 * lens)
    edge = _body_edge(points, depth, width / 2, 1.3 * np.clip(from_disc / 7, 0, 1))
    vein = ramp(1.3 - np.abs(s - levels.CENTRES_MM[index]).astype(np.float32), 1.2) * (index > 1)
    vein = vein * ramp(0.4 * depth - front, 2) * ramp(3.5 - side, 2)
    own = points.anatomy.level_scale[index].astype(np.float32)
    marrow = signals.body * own * (1 + 0.09 * points.noise(3.5, 11)) * (1 + 0.6 * vein)
    value = paint(value, signals.dark, ramp(edge + 0.6))
    value = paint(value, marrow, ramp(np.minimum(edge - CORTEX_MM * (1 - vein), from_disc - half_disc - 0.8)))
    nucleus = within(front, 0.22 * depth, 0.78 * depth, 1.2) * ramp(half_disc - 0.5 - from_disc, 1.2)
    water = signals.nucleus * points.anatomy.level_scale[below].astype(np.float32) ** 2
    return paint(value, water, nucleus * ramp(0.35 * width - side, 2) * (edge > 0))


def _body_edge(points: Points, depth: Array, half_width: Array, waist: Array) -> Array:
    """Return the distance to the surface of a vertebral body, positive inside; front round, sides concave."""
    ahead = np.clip((points.front - 0.35 * depth) / (0.65 * depth), 0, 1)
    flank = half_width * np.sqrt(np.clip(1 - 0.85 * ahead**2.5, 0, 1)) - waist - points.side
    edge = np.minimum(np.minimum(points.front, depth - waist - points.front), flank)
    return np.where(points.s < DENS_TOP_MM, np.float32(-9), edge)
