"""Signal of everything around the canal: spine, neck and chest, brain above; drawn coarsely, back to front."""

import numpy as np
import numpy.typing as npt

from cordlesion.dataset.simulate import levels
from cordlesion.dataset.simulate.anatomy import Anatomy
from cordlesion.dataset.simulate.canal import DISCS, RIM_MM, Section
from cordlesion.dataset.simulate.signals import Signals

Float32 = npt.NDArray[np.float32]

AIR = 0.02
CORTEX_MM = 0.9


def surroundings_signal(anatomy: Anatomy, section: Section, u: Float32, v: Float32, signals: Signals) -> Float32:
    """Evaluate the tissue around the canal at ``u`` and ``v`` of shape (X, P), for the ``P`` positions of ``section``."""
    side = np.abs(u)
    front = v - (section.sac_shift + section.sac_half_ap - section.dent + RIM_MM)
    behind = (section.sac_shift - section.sac_half_ap) - v
    value = _soft_tissue(anatomy, section, u, v, signals)
    value = _throat(section, side, front, value, signals)
    value = _neural_arch(anatomy, section, side, v, front, behind, value, signals)
    value = _spinous(anatomy, section, side, behind, value, signals)
    value = _bodies(anatomy, section, u, v, front, value, signals)
    value = _head(anatomy, section, u, front, behind, value, signals)
    return _skin(anatomy, section, u, v, value, signals)


def _ramp(distance: Float32, width: float = 0.8) -> Float32:
    """Weight 1 where ``distance`` (positive inside, mm) is large, 0 outside, with a soft edge."""
    return np.clip(0.5 + distance / np.float32(width), 0, 1)


def _mix(value: Float32, layer: Float32 | float, weight: Float32) -> Float32:
    return value + (layer - value) * weight


def _soft_tissue(anatomy: Anatomy, section: Section, u: Float32, v: Float32, signals: Signals) -> Float32:
    """Muscle, striated by fat that runs along the body."""
    stripes = anatomy.texture.at(section.s + 0.3 * v, u, v, (28, 4, 3.2), 5)
    fine = anatomy.texture.at(section.s, u, v, (9, 2.5, 2.5), 6)
    return _mix(signals.muscle * (1 + 0.15 * fine), 0.75 * signals.fat, np.clip((stripes - 0.75) * 0.8, 0, 0.8))


def _throat(section: Section, side: Float32, front: Float32, value: Float32, signals: Signals) -> Float32:
    """Airway and what lies around it, in front of the spine."""
    s = section.s
    depth = levels.along("body_depth", s).astype(np.float32)
    start = depth + np.interp(s, [-30, 20, 80, 110, 160], [2, 4, 5, 11, 12]).astype(np.float32)
    width = np.interp(s, [-30, 10, 50, 80, 100, 190, 240], [22, 16, 12, 7, 14, 15, 4]).astype(np.float32)
    airway = _ramp(np.minimum(front - start, start + width - front), 2) * _ramp(9 - side, 2)
    value = _mix(value, signals.fat * 0.8, 0.5 * _ramp(front - start - width - 8, 6))
    return _mix(value, AIR, airway)


def _neural_arch(
    anatomy: Anatomy, section: Section, side: Float32, v: Float32, front: Float32, behind: Float32, value: Float32, signals: Signals
) -> Float32:
    """Pedicles and facets beside the canal, foramina with fat and nerve roots between them, epidural fat behind."""
    s, index = section.s, levels.level_index(section.s)
    top, length = levels.BOUNDARIES_MM[index], levels.column("length")[index]
    phase = ((s - top) / length).astype(np.float32)
    lateral = side - section.sac_half_rl
    pedicle = _ramp(0.22 - np.abs(phase - 0.35), 0.2)
    column = _ramp(np.minimum(lateral - 1.0, 13 - lateral), 1.5) * _ramp(7 - np.abs(front + 5), 3)
    value = _mix(value, signals.fat * 0.8, column * (1 - pedicle) * 0.7)
    marrow = signals.body * (1 + 0.15 * anatomy.texture.at(s, side, v, 3, 8))
    value = _mix(value, marrow, column * pedicle)
    value = _mix(value, signals.dark, column * _ramp(1.2 - np.abs(lateral - 1.6), 1.0) * pedicle)
    fat = _ramp(np.minimum(behind - 0.6, 4.5 - behind - 0.8 * side), 1.0) * _ramp(0.30 - np.abs(np.mod(phase + 0.25, 1) - 0.5), 0.2)
    ligament = _ramp(np.minimum(behind + 0.5, 4.0 - behind), 1.0) * _ramp(section.sac_half_rl + 3 - side, 2)
    value = _mix(value, signals.dark, ligament)
    return _mix(value, signals.fat * 1.1, fat)


def _spinous(
    anatomy: Anatomy, section: Section, side: Float32, behind: Float32, value: Float32, signals: Signals
) -> Float32:
    """Spinous processes, leaning downwards, with fat and ligament between."""
    s = section.s
    lean = np.interp(s, [0, 100, 190, 330, 470], [0.35, 0.45, 1.0, 1.1, 0.5]).astype(np.float32)
    root = s - lean * np.maximum(behind, 0)
    index = levels.level_index(root)
    middle = levels.BOUNDARIES_MM[index] + 0.62 * levels.column("length")[index]
    reach = np.interp(index, [0, 1, 2, 4, 6, 8, 20], [9, 24, 20, 22, 36, 36, 32]).astype(np.float32)
    thick = np.interp(index, [0, 1, 2, 6, 20], [4.0, 5.5, 3.6, 4.6, 5.5]).astype(np.float32)
    edge = np.minimum(thick - np.abs(root - middle).astype(np.float32), np.minimum(behind - 3.0, reach - behind))
    edge = np.minimum(edge, np.interp(behind, [3, 9, 12], [9.0, 5.0, 3.2]).astype(np.float32) - side)
    between = _ramp(np.minimum(behind - 4, 0.8 * reach - behind), 2) * _ramp(3.0 - side, 2)
    streak = anatomy.texture.at(s - 0.5 * behind, side, behind, (5, 4, 12), 9)
    value = _mix(value, signals.fat * np.clip(0.55 + 0.3 * streak, 0.15, 1.1), between * 0.75)
    marrow = signals.body * anatomy.level_scale[index].astype(np.float32) * (1 + 0.1 * anatomy.texture.at(s, side, behind, 3, 10))
    value = _mix(value, signals.dark, _ramp(edge + 0.5))
    value = _mix(value, marrow, _ramp(edge - CORTEX_MM))
    nuchal = _ramp(0.9 - side) * _ramp(np.minimum(behind - 20, 50 - behind), 6) * (s < 130) * (s > -8)
    return _mix(value, signals.dark, 0.8 * nuchal)


def _bodies(anatomy: Anatomy, section: Section, u: Float32, v: Float32, front: Float32, value: Float32, signals: Signals) -> Float32:
    """Vertebral bodies and discs, with end plates and the basivertebral vein."""
    s, side = section.s, np.abs(u)
    index = levels.level_index(s)
    depth, half_width = levels.along("body_depth", s).astype(np.float32), levels.along("body_width", s).astype(np.float32) / 2
    nearest = np.abs(s[:, None] - DISCS[None, :]).argmin(axis=1)
    from_disc = np.abs(s - DISCS[nearest]).astype(np.float32)
    belly = 1 - ((front - depth / 2) / (depth / 2)) ** 2
    half_disc = levels.column("disc_height")[nearest + 2].astype(np.float32) / 2 * (0.5 + 0.5 * np.clip(belly, 0, 1))
    waist = 1.3 * np.clip(from_disc / 7, 0, 1)
    bone_edge = np.minimum(np.minimum(front, depth - waist - front), half_width - waist - side)
    bone_edge = np.where(s < levels.top_mm("C2") - 21, -9, bone_edge)
    texture = anatomy.texture
    marrow = signals.body * anatomy.level_scale[index].astype(np.float32) * (1 + 0.09 * texture.at(s, u, v, 3.5, 11))
    middle = levels.CENTRES_MM[index]
    vein = _ramp(1.3 - np.abs(s - middle).astype(np.float32), 1.2) * _ramp(0.4 * depth - front, 2) * _ramp(3.5 - side, 2) * (index > 1)
    marrow = marrow * (1 + 0.6 * vein)
    value = _mix(value, signals.dark, _ramp(bone_edge + 0.6))
    inner = np.minimum(bone_edge - CORTEX_MM + 0.9 * vein, from_disc - half_disc - 0.8)
    value = _mix(value, marrow, _ramp(inner))
    nucleus = _ramp(np.minimum(half_disc - 0.5 - from_disc, np.minimum(front - 0.22 * depth, 0.78 * depth - front)), 1.2)
    bright = signals.nucleus * anatomy.level_scale[nearest].astype(np.float32) ** 2
    return _mix(value, bright, nucleus * _ramp(0.7 * half_width - side, 2) * (bone_edge > 0))


def _head(
    anatomy: Anatomy, section: Section, u: Float32, front: Float32, behind: Float32, value: Float32, signals: Signals
) -> Float32:
    """Dens arch, skull base in front, cerebellum and occipital bone behind; only above C2."""
    high = np.flatnonzero(section.s < 25)
    if high.size == 0:
        return value
    s, front, behind, u = section.s[high], front[:, high], behind[:, high], u[:, high]
    side, old = np.abs(u), value[:, high]
    arch = np.minimum(4.5 - np.abs(s - 11), 2.6 - np.abs(front - 14.5))
    new = _mix(old, signals.dark, _ramp(arch + 0.5))
    new = _mix(new, signals.body, _ramp(arch - CORTEX_MM))
    # Posterior fossa: a rounded box behind the brain stem, its floor at the foramen magnum.
    wall = (np.abs((behind - 24) / 30) ** 3 + np.abs((s + 46) / 42) ** 3 + np.abs(side / 55) ** 3) ** (1 / 3)
    depth = (1 - wall) * 36
    back = _ramp(behind - 1.0, 2)
    new = _mix(new, signals.dark, _ramp(depth + 6.5) * back)
    new = _mix(new, signals.body, _ramp(np.minimum(depth + 5.5, -0.9 - depth)) * _ramp(behind - 4, 2))
    new = _mix(new, signals.csf, _ramp(depth) * _ramp(behind + 1, 1))
    leaf = anatomy.texture.at(0.8 * s + 0.6 * behind, u, 0.8 * behind - 0.6 * s, (2.6, 9, 9), 12)
    brain = np.where(np.abs(leaf) < 0.18, 0.55 * signals.csf, 1.1 + 0.04 * leaf)
    new = _mix(new, brain, _ramp(np.minimum(depth - 1.8, behind - 2.5 + 0.12 * (s + 14)), 1.5))
    clivus = np.minimum(np.minimum(front, 11 - front), -6 - 0.3 * front - s)
    new = _mix(new, signals.dark, _ramp(clivus + 0.6) * _ramp(14 - side, 2))
    new = _mix(new, signals.fat * 0.9, _ramp(clivus - CORTEX_MM) * _ramp(13 - side, 2))
    result = value.copy()
    result[:, high] = new
    return result


def _skin(anatomy: Anatomy, section: Section, u: Float32, v: Float32, value: Float32, signals: Signals) -> Float32:
    """Subcutaneous fat, skin and the air outside."""
    s = section.s
    back = anatomy.posterior_depth_mm + np.interp(s, [-110, -60, 10, 60, 150, 250, 500], [32, 22, 4, 0, 14, 20, 10]).astype(np.float32)
    chest = np.interp(s, [-110, 20, 60, 100, 140, 180], [110, 105, 62, 62, 80, 130]).astype(np.float32)
    width = np.interp(s, [-60, 30, 80, 130, 170], [78, 64, 62, 95, 170]).astype(np.float32)
    extent = np.where(v < 0, back, chest)
    # A squarish outline; its level function times the local radius approximates the depth below the skin.
    depth = (1 - ((np.abs(u) / width) ** 2.5 + (np.abs(v) / extent) ** 2.5) ** 0.4) * np.minimum(extent, width)
    layer = np.where(v < 0, np.interp(s, [0, 60, 150, 300], [8, 9, 17, 12]), 5).astype(np.float32)
    wave = layer * (1 + 0.15 * anatomy.texture.at(s, u, v, (25, 25, 25), 13))
    value = _mix(value, signals.fat * (1 + 0.08 * anatomy.texture.at(s, u, v, (4, 4, 4), 14)), _ramp(wave - depth, 1.5))
    value = _mix(value, 0.35 * signals.fat, _ramp(1.5 - depth, 1))
    return _mix(value, AIR, _ramp(-depth, 1.2))
