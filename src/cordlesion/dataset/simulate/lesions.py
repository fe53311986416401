"""Lesions of one subject: how many, where, and their blurred spindle shape.

A lesion is a spindle along the cord with a wedge-shaped section, its base on the cord's surface. False friends (faint spots
and diffuse change that nobody should mark) have the same form.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit

from cordlesion.dataset.simulate import levels
from cordlesion.dataset.simulate.anatomy import Anatomy, radius_ratio
from cordlesion.dataset.simulate.randomness import Array, NoiseTile, keyed_rng, lognormal
from cordlesion.dataset.simulate.settings import LESIONS, LesionSettings

Kind = Literal["lesion", "friend", "diffuse"]

COLUMNS = ("lateral", "posterior", "anterior", "central")
SECTION_POWER, LENGTH_POWER = 1.4, 2.0
"""Powers of the spindle: its volume is 0.6 x length x largest cross-section."""
EDGE_10_90 = 4.394
"""10-90 % width of a logistic edge, in units of its scale."""
WEDGE = 0.3
"""How much wider a lesion is at the cord's surface than in its middle."""
ATTEMPTS = 400


@dataclass(frozen=True)
class Lesion:
    """One lesion, in section coordinates of the cord at its middle."""

    kind: Kind
    column: str
    centre_s_mm: float
    length_mm: float
    area_mm2: float
    """Largest cross-section inside the cord."""
    surface_angle: float
    """Direction of the nearest surface, radians from the u axis."""
    centre_mm: tuple[float, float]
    """Middle of the section (u, v)."""
    half_width_mm: float
    """Half extent along the surface."""
    half_depth_mm: float
    """Half extent across the surface."""
    cord_axes_mm: tuple[float, float]
    """Half diameters of the cord at the lesion's middle."""
    contrast: float
    """Lesion over cord signal, before blur and noise."""
    edge_mm: float
    """10-90 % width of the edge."""
    roughness: float
    """SD of the radius."""
    halo: float
    """Faint rim, as a share of the contrast."""
    texture: int
    """Offset into the noise tile."""

    @property
    def volume_mm3(self) -> float:
        """Volume of the spindle."""
        return 0.6 * self.length_mm * self.area_mm2

    @property
    def touches_surface(self) -> bool:
        """Whether the outline reaches the cord's surface."""
        outward = np.array([np.cos(self.surface_angle), np.sin(self.surface_angle)])
        tip = np.array(self.centre_mm) + self.half_depth_mm * outward
        return bool(radius_ratio(tip[0], tip[1], *self.cord_axes_mm) >= 1)

    def overlaps(self, field_mm: tuple[float, float]) -> bool:
        """Whether the lesion's middle two thirds lie inside a stretch of cord."""
        return field_mm[0] + self.length_mm / 3 < self.centre_s_mm < field_mm[1] - self.length_mm / 3


def draw_lesions(
    anatomy: Anatomy, fields_mm: Sequence[tuple[float, float]], settings: LesionSettings = LESIONS
) -> tuple[Lesion, ...]:
    """Draw the lesions of a subject so that every given stretch of cord holds at least one.

    Args:
        anatomy: The subject.
        fields_mm: Stretches of cord (from, to) that scans with lesions will show; empty for a subject without lesions.
        settings: Distributions.
    """
    rng = keyed_rng("lesions", *anatomy.seed)
    if not fields_mm:
        return ()
    probability = settings.dispersion / (settings.dispersion + settings.mean_per_cord)
    for _ in range(ATTEMPTS):
        count = min(int(rng.negative_binomial(settings.dispersion, probability)), settings.most)
        lesions = _separate([draw_lesion(rng, anatomy, settings) for _ in range(count)])
        if all(any(lesion.overlaps(field) for lesion in lesions) for field in fields_mm):
            return lesions
    raise ValueError(f"no lesion fits the stretches {fields_mm}; each must hold at least some 20 mm of cord")


def draw_lesion(rng: np.random.Generator, anatomy: Anatomy, settings: LesionSettings = LESIONS) -> Lesion:
    """Draw one lesion anywhere in the cord."""
    bulk, own = rng.normal(), rng.normal()
    mixed = settings.length_area_correlation * bulk + np.sqrt(1 - settings.length_area_correlation**2) * own
    centre = _draw_position(rng, anatomy)
    cord = float(anatomy.at("cord_area_mm2", np.array(centre)))
    length = float(np.clip(settings.length_mm * np.exp(settings.length_log_sd * bulk), 3, 60))
    area = settings.area_mm2 * np.exp(settings.area_log_sd * mixed) * cord / 70
    size = (bulk + mixed) / np.sqrt(2 * (1 + settings.length_area_correlation))
    log_contrast = np.log(settings.contrast) + settings.contrast_size_log_sd * size
    return _build(
        rng, anatomy, "lesion", str(rng.choice(COLUMNS, p=settings.columns)), centre, length,
        float(np.clip(area, 1.5, 0.5 * cord)),
        inner=rng.random() < settings.inner_share,
        contrast=float(np.exp(log_contrast + rng.normal(0, settings.contrast_lesion_log_sd))),
        edge_mm=rng.uniform(1.0, 2.5),
        roughness=rng.uniform(*settings.roughness),
        halo=rng.uniform(0.05, 0.20) if rng.random() < settings.halo_share else 0.0,
    )  # fmt: skip


def draw_friends(anatomy: Anatomy, settings: LesionSettings = LESIONS) -> tuple[Lesion, ...]:
    """Draw what looks like a lesion but is none: faint blurred spots, and diffuse change in some subjects."""
    rng = keyed_rng("false friends", *anatomy.seed)
    friends = []
    for _ in range(rng.poisson(settings.friends_per_100_mm * anatomy.conus_mm / 100)):
        centre = rng.uniform(5, anatomy.conus_mm - 30)
        cord = float(anatomy.at("cord_area_mm2", np.array(centre)))
        friends.append(
            _build(
                rng,
                anatomy,
                "friend",
                str(rng.choice(COLUMNS, p=(0.3, 0.3, 0.1, 0.3))),
                centre,
                lognormal(rng, 9, 0.5, 3, 30),
                lognormal(rng, 5, 0.5, 1.5, 20) * cord / 70,
                inner=rng.random() < 0.5,
                contrast=rng.uniform(1.06, 1.22),
                edge_mm=rng.uniform(1.5, 3.5),
                roughness=0.2,
                halo=0.0,
            )  # fmt: skip
        )
    if rng.random() < settings.diffuse_share:
        centre = rng.uniform(20, anatomy.conus_mm * 0.7)
        area = rng.uniform(0.35, 0.7) * float(anatomy.at("cord_area_mm2", np.array(centre)))
        friends.append(
            _build(
                rng,
                anatomy,
                "diffuse",
                "central",
                centre,
                rng.uniform(35, 110),
                area,
                inner=True,
                contrast=rng.uniform(1.06, 1.18),
                edge_mm=4.0,
                roughness=0.25,
                halo=0.0,
            )  # fmt: skip
        )
    return tuple(friends)


def spindle(lesion: Lesion, u: Array, v: Array, s: Array, scale: tuple[Array, Array], texture: NoiseTile) -> Array:
    """Return the spindle's level function: below 1 inside, 1 on the outline; the arguments broadcast.

    Args:
        lesion: Its shape.
        u: Section coordinate to the right, mm.
        v: Section coordinate to the front, mm.
        s: Position along the cord, mm.
        scale: Half diameters of the lesion's own cord section over those at ``s``: a lesion follows the cord's girth.
        texture: Noise that roughens the outline.
    """
    u, v = u * scale[0], v * scale[1]
    rho = _section_radius(lesion, u, v)
    size = np.sqrt(lesion.half_width_mm * lesion.half_depth_mm)
    cell = (max(lesion.length_mm / 4, 1.5), max(size * 0.8, 0.8), max(size * 0.8, 0.8))
    rough = 1 + lesion.roughness * texture.at(s, u, v, cell, lesion.texture)
    t = np.abs(s - lesion.centre_s_mm) / (lesion.length_mm / 2)
    return (rho**SECTION_POWER + t**LENGTH_POWER) ** (1 / SECTION_POWER) * np.clip(rough, 0.4, 1.8)


def signal_gain(lesion: Lesion, level: Array, contrast: float, inside: Array) -> Array:
    """Return the factor on the cord's signal for values of :func:`spindle`; ``inside`` is unit noise for the interior."""
    size = float(np.sqrt(lesion.half_width_mm * lesion.half_depth_mm))
    weight = expit((1 - level) * (EDGE_10_90 * size / lesion.edge_mm))
    weight = weight * (1 + 0.10 * (1 - np.minimum(level, 1)) + 0.07 * inside)
    if lesion.halo:
        weight = np.maximum(weight, lesion.halo * expit((1 + 2 / size - level) * (2 * size)))
    return 1 + (contrast - 1) * weight


def _draw_position(rng: np.random.Generator, anatomy: Anatomy) -> float:
    weight = levels.column("lesions") * levels.column("length")
    row = int(rng.choice(len(weight), p=weight / weight.sum()))
    return float(min(rng.uniform(*levels.BOUNDARIES_MM[row : row + 2]), anatomy.conus_mm - 12))


def _build(
    rng: np.random.Generator, anatomy: Anatomy, kind: Kind, column: str, centre_s_mm: float, length_mm: float, area_mm2: float,
    *, inner: bool, contrast: float, edge_mm: float, roughness: float, halo: float,
) -> Lesion:  # fmt: skip
    """Place a section of the wanted area in its column."""
    axes = anatomy.semi_axes(np.array(centre_s_mm))
    half_rl, half_ap = float(axes[0]), float(axes[1])
    mean = {
        "lateral": rng.choice((0.0, np.pi)),
        "posterior": -np.pi / 2,
        "anterior": np.pi / 2,
        "central": rng.uniform(-np.pi, np.pi),
    }
    spread = {"lateral": 0.45, "posterior": 0.40, "anterior": 0.35, "central": 0.0}
    polar = float(mean[column] + spread[column] * rng.normal())
    aspect = float(np.exp(rng.normal(0.1, 0.25)))
    # A lesion at the surface has its middle within it by less than its half depth; an inner one stays clear of the surface.
    depth_share = rng.uniform(1.15, 1.5) if inner else rng.uniform(0.15, 0.75)
    centre, angle, half_depth = _fit(
        column, (half_rl, half_ap), polar, aspect, depth_share, area_mm2, rng.normal(0, 0.4, 2)
    )
    return Lesion(
        kind, column, centre_s_mm, length_mm, area_mm2, angle, centre, half_depth * aspect, half_depth, (half_rl, half_ap),
        contrast, edge_mm, roughness, halo, int(rng.integers(1, 1_000_000)),
    )  # fmt: skip


def _fit(
    column: str,
    axes: tuple[float, float],
    polar: float,
    aspect: float,
    depth_share: float,
    area_mm2: float,
    jitter: Array,
) -> tuple[tuple[float, float], float, float]:
    """Return middle, surface direction and half depth of the section that covers ``area_mm2`` of the cord."""
    surface = np.array([np.cos(polar) * axes[0], np.sin(polar) * axes[1]])
    normal = np.array([np.cos(polar) / axes[0], np.sin(polar) / axes[1]])
    normal /= np.linalg.norm(normal)
    angle = float(np.arctan2(normal[1], normal[0]))
    u, v = np.meshgrid(np.arange(-axes[0], axes[0], 0.2), np.arange(-axes[1], axes[1], 0.2), indexing="ij")
    cord = radius_ratio(u, v, *axes) < 1
    half_depth = float(np.sqrt(area_mm2 / (np.pi * aspect)))
    for _ in range(12):
        middle = (
            jitter
            if column == "central"
            else surface - min(depth_share * half_depth, 0.9 * float(np.hypot(*surface))) * normal
        )
        covered = 0.04 * float(np.sum(cord & (_ellipse(u, v, middle, angle, half_depth * aspect, half_depth) < 1)))
        half_depth = float(np.clip(half_depth * np.sqrt(area_mm2 / max(covered, 0.05)), 0.3, 14))
    return (float(middle[0]), float(middle[1])), angle, half_depth


def _section_radius(lesion: Lesion, u: Array, v: Array) -> Array:
    middle = np.array(lesion.centre_mm, dtype=np.float32)
    return _ellipse(u, v, middle, lesion.surface_angle, lesion.half_width_mm, lesion.half_depth_mm)


def _ellipse(u: Array, v: Array, middle: Array, angle: float, half_width: float, half_depth: float) -> Array:
    """Radius of a wedge-like ellipse: 1 on its outline; wider towards the surface."""
    out = np.float32(np.cos(angle)) * (u - middle[0]) + np.float32(np.sin(angle)) * (v - middle[1])
    side = np.float32(np.cos(angle)) * (v - middle[1]) - np.float32(np.sin(angle)) * (u - middle[0])
    out = out / np.float32(half_depth)
    side = side / (np.float32(half_width) * (1 + WEDGE * np.clip(out, -1, 1)))
    return np.sqrt(out * out + side * side)


def _separate(lesions: list[Lesion]) -> tuple[Lesion, ...]:
    """Drop lesions that would merge with an earlier one in the same place; keep the order along the cord."""
    kept: list[Lesion] = []
    for lesion in lesions:
        if not any(_overlap(lesion, other) for other in kept):
            kept.append(lesion)
    return tuple(sorted(kept, key=lambda lesion: lesion.centre_s_mm))


def _overlap(a: Lesion, b: Lesion) -> bool:
    along = abs(a.centre_s_mm - b.centre_s_mm) < 0.4 * (a.length_mm + b.length_mm)
    across = float(np.hypot(a.centre_mm[0] - b.centre_mm[0], a.centre_mm[1] - b.centre_mm[1]))
    return along and across < 0.8 * (np.sqrt(a.area_mm2) + np.sqrt(b.area_mm2)) / 1.5
