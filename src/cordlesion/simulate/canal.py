"""Signal of the cord, its lesions, the fluid and the dark rim around the sac, in units of healthy white matter."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from cordlesion.io.arrays import Array
from cordlesion.simulate import levels
from cordlesion.simulate.anatomy import CORD_TOP_MM, Anatomy, radius_ratio
from cordlesion.simulate.signals import Signals
from cordlesion.simulate.spindle import Lesion, signal_gain, spindle

EDGE_MM = 0.5
"""Width of the linear ramp at every surface, which avoids staircase artefacts of the sampling grid."""
RIM_MM = 1.2
"""Thickness of dura, ligament and cortical bone around the sac."""
FADE_MM = 0.4
"""Width of the transition from the rim to its surroundings."""
LAYERS = ("signal", "cover", "cord", "lesion", "excess", "csf")
"""Signal of the canal (times ``cover``); shares of a point that belong to the canal, to the cord and to true lesions;
the signal that true lesions add; and the share of fluid."""
DISCS = levels.BOUNDARIES_MM[2:-1]
"""Position of each disc; the first is below C2."""


@dataclass(frozen=True, eq=False)
class Section:
    """Shape of the canal at positions along the cord; each array has one value per position."""

    s: Array
    half_rl: Array
    half_ap: Array
    sac_half_rl: Array
    sac_half_ap: Array
    sac_shift: Array
    dent: Array
    """Distance by which a disc pushes the front of the sac backwards."""
    grey_half_rl: Array
    grey_half_ap: Array
    chest: Array
    """0 in the neck, 1 in the thorax."""
    tail: Array
    """0 at the cord, 1 at the cauda equina."""

    def at(self, index: Array) -> "Section":
        """Select positions by index."""
        return Section(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


def section_at(anatomy: Anatomy, s: Array) -> Section:
    """Return the shape of the canal at positions along the cord."""
    half_rl, half_ap = anatomy.semi_axes(s)
    sac_half_ap = anatomy.at("sac_ap_mm", s) / 2
    shift = anatomy.at("sac_shift_mm", s)
    # At least 0.7 mm of fluid separate the cord from the wall of the sac.
    sac_half_ap = np.maximum(sac_half_ap, half_ap + np.abs(shift) + 0.7)
    bulge = np.sum(
        [b * np.exp(-(((s - d) / 3.0) ** 2)) for d, b in zip(DISCS, anatomy.bulge_mm, strict=False) if b > 0.1], axis=0
    )
    dent = np.minimum(bulge, np.maximum(sac_half_ap + shift - half_ap - 0.3, 0))
    values = {
        "s": s, "half_rl": half_rl, "half_ap": half_ap,
        "sac_half_rl": np.maximum(anatomy.at("sac_rl_mm", s) / 2, half_rl + 1.0),
        "sac_half_ap": sac_half_ap, "sac_shift": shift, "dent": dent,
        "grey_half_rl": levels.along("grey_rl", s) / 2, "grey_half_ap": levels.along("grey_ap", s) / 2,
        "chest": np.interp(s, [levels.top_mm("C7"), levels.top_mm("T3")], [0.0, 1.0]),
        "tail": np.interp(s, [anatomy.conus_mm - 25, anatomy.conus_mm + 15], [0.0, 1.0]),
    }  # fmt: skip
    return Section(**{name: np.asarray(value, dtype=np.float32) for name, value in values.items()})


def canal_layers(
    anatomy: Anatomy, section: Section, u: Array, v: Array, lesions: Sequence[Lesion], signals: Signals
) -> Array:
    """Evaluate the canal at coordinates ``u`` and ``v`` of shape (X, P) for the P positions of ``section``.

    Returns:
        The layers of :data:`LAYERS`, shape (layers, X, P).
    """
    layers = np.zeros((len(LAYERS), *u.shape))
    distance = sac_distance(section, u, v)
    near = np.flatnonzero((distance < RIM_MM + FADE_MM).any(axis=0))
    u, v, distance = (array.take(near, axis=1) for array in (u, v, distance))
    found = canal_layers_near(anatomy, section.at(near), u, v, distance, lesions, signals)
    for layer, values in zip(layers, found, strict=True):
        layer[:, near] = values
    return layers


def canal_layers_near(
    anatomy: Anatomy,
    section: Section,
    u: Array,
    v: Array,
    sac_distance: Array,
    lesions: Sequence[Lesion],
    signals: Signals,
) -> tuple[Array, ...]:
    """Evaluate the layers at points near the canal; values that other layers hide stay 0."""
    cord = _inside(radius_ratio(u, v, section.half_rl, section.half_ap), u, v, section.half_rl, section.half_ap)
    sac = np.clip(0.5 - sac_distance / EDGE_MM, 0, 1)
    solid = cord * (1 - _fissure(section, u, v) * cord)
    tissue, lesion, excess = np.zeros((3, *u.shape), dtype=np.float32)
    hit = np.flatnonzero((cord > 0).any(axis=0))
    tissue[:, hit], lesion[:, hit], excess[:, hit] = _cord_value(
        anatomy, section.at(hit), u.take(hit, axis=1), v.take(hit, axis=1), lesions, signals
    )
    fluid = _csf_value(anatomy, section, u, v, signals)
    value = sac * (solid * tissue + (1 - solid) * fluid) + (1 - sac) * signals.rim
    thickness = RIM_MM - 0.5 * (v < section.sac_shift)
    cover = np.clip((thickness + FADE_MM - sac_distance) / 0.6, 0, 1)
    below = section.s > CORD_TOP_MM
    return value * cover, cover, cord * below, lesion * cord, excess * cord, sac * (1 - solid)


def sac_distance(section: Section, u: Array, v: Array) -> Array:
    """Return the signed distance in mm to the wall of the sac, including the bulges of discs."""
    front = np.where(v > section.sac_shift, section.sac_half_ap - section.dent, section.sac_half_ap)
    sac_v = v - section.sac_shift
    return _distance(radius_ratio(u, sac_v, section.sac_half_rl, front), u, sac_v, section.sac_half_rl, front)


def _distance(ratio: Array, u: Array, v: Array, half_rl: Array, half_ap: Array) -> Array:
    """Return the signed distance in mm to the outline of a section (first-order approximation)."""
    gradient = np.sqrt((u / half_rl**2) ** 2 + (v / half_ap**2) ** 2) + np.float32(1e-3)
    distance: Array = (ratio - 1) * np.maximum(ratio, 0.1) / gradient
    return distance


def _inside(ratio: Array, u: Array, v: Array, half_rl: Array, half_ap: Array) -> Array:
    return np.clip(0.5 - _distance(ratio, u, v, half_rl, half_ap) / EDGE_MM, 0, 1)


def _fissure(section: Section, u: Array, v: Array) -> Array:
    """Return the share of fluid in the anterior median fissure and, weaker, in the posterior sulcus."""
    depth = v / np.maximum(section.half_ap, 0.5)
    share = 0.45 * np.clip((depth - 0.25) / 0.4, 0, 1) + 0.25 * np.clip((-depth - 0.85) / 0.1, 0, 1)
    fluid: Array = share * np.exp(-((u / 0.45) ** 2))
    return fluid


def _grey_weight(section: Section, u: Array, v: Array) -> Array:
    """Return the share of grey matter: two anterior horns, a bridge, and two thin posterior horns (butterfly)."""
    x, y = np.abs(u) / section.grey_half_rl, v / section.grey_half_ap
    front = ((x - 0.58) / 0.40) ** 2 + ((y - 0.38) / 0.60) ** 2
    bridge = (x / 0.75) ** 2 + ((y - 0.02) / 0.24) ** 2
    along, across = 0.33 * (x - 0.62) - 0.94 * (y + 0.60), 0.94 * (x - 0.62) + 0.33 * (y + 0.60)
    hind = (along / 0.68) ** 2 + (across / 0.20) ** 2
    return np.clip(1.5 - np.minimum(np.minimum(front, bridge), hind), 0, 1)


def _cord_value(
    anatomy: Anatomy, section: Section, u: Array, v: Array, lesions: Sequence[Lesion], signals: Signals
) -> tuple[Array, Array, Array]:
    """Return the signal of the cord, the share of true lesion, and the signal that true lesions add."""
    texture, s = anatomy.texture, section.s
    value = 1 + (signals.grey - 1) * _grey_weight(section, u, v)
    value = value * (1 + 0.02 * texture.at(s, u, v, (15, 2.5, 2.5), 1))
    inside, excess = np.zeros_like(value), np.zeros_like(value)
    for lesion in lesions:
        near = np.flatnonzero(np.abs(s - lesion.centre_s_mm) < 0.8 * lesion.length_mm + 4)
        if near.size == 0:
            continue
        part_u, part_v, part_s = u[:, near], v[:, near], s[near]
        girth = section.half_rl[near], section.half_ap[near]
        level = spindle(lesion, part_u, part_v, part_s, girth, texture)
        interior = texture.at(part_s, part_u, part_v, (6, 1.5, 1.5), lesion.texture + 1)
        gain = signal_gain(lesion, level, signals.contrast(lesion), interior)
        # Inside a lesion, grey and white matter have almost the same signal.
        value[:, near] = np.maximum(value[:, near], gain * (1 + 0.3 * (value[:, near] - 1)))
        if lesion.kind == "lesion":
            inside[:, near] = np.maximum(inside[:, near], level < 1)
            excess[:, near] = np.maximum(excess[:, near], gain - 1)
    return value, inside, excess


def _csf_value(anatomy: Anatomy, section: Section, u: Array, v: Array, signals: Signals) -> Array:
    """Return the signal of the fluid: uneven, with flow voids behind the thoracic cord and around C1-C3, and roots."""
    texture, s = anatomy.texture, section.s
    mild = 1 + signals.csf_unevenness * texture.at(s, u, v, (9, 3, 3), signals.flow_offset)
    loss = np.clip(texture.at(s, u, v, (16, 4, 4), signals.flow_offset + 1) - 0.7, 0, 1.6)
    neck, chest = np.where(s < levels.top_mm("C4"), 1.0, 0.35), np.where(v < 0, 1.2, 0.4)
    place = neck * (1 - section.chest) + chest * section.chest
    value = signals.csf * np.clip(mild, 0.5, 1.5) * (1 - np.clip(signals.flow_loss * loss * place, 0, 0.8))
    roots = _roots(section, u, v)
    mixed: Array = value * (1 - roots) + 0.9 * roots
    return mixed


def _roots(section: Section, u: Array, v: Array) -> Array:
    """Return the share of nerve roots in the fluid: oblique threads next to the cord, bundles below it."""
    outside = np.abs(u) - section.half_rl * 0.75
    phase = (section.s - 1.6 * np.abs(u)) * np.float32(2 * np.pi / 7)
    rows = np.exp(-(((np.abs(v + 0.3) - 0.45 * section.half_ap) / 0.7) ** 2))
    threads = 0.55 * rows * np.clip(np.cos(phase), 0, 1) ** 2 * np.clip(outside, 0, 1)
    bundles = 0.75 * (np.sin(2.9 * u + 0.02 * section.s) * np.sin(2.5 * v + 0.04 * section.s) > 0.1)
    behind = np.clip((section.sac_shift + 2 - v) / 3, 0, 1)
    roots: Array = np.clip(threads * (1 - section.tail) + bundles * section.tail * behind, 0, 1)
    return roots
