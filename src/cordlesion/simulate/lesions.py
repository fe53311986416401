"""Draws the lesions of a subject, and lesion mimics: faint spots and diffuse changes that no reader should mark."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cordlesion.io.arrays import Array
from cordlesion.simulate import levels
from cordlesion.simulate.anatomy import Anatomy, radius_ratio
from cordlesion.simulate.randomness import keyed_rng, lognormal
from cordlesion.simulate.settings import LESIONS, LesionSettings
from cordlesion.simulate.spindle import Lesion, Placement

COLUMNS = ("lateral", "posterior", "anterior", "central")
MIMIC_COLUMNS = (0.3, 0.3, 0.1, 0.3)
"""Shares of the columns among mimics."""
SPREAD = {"lateral": 0.45, "posterior": 0.40, "anterior": 0.35, "central": 0.0}
"""SD of the direction of a lesion around the middle of its column, radians."""
ATTEMPTS = 400
TEXTURES = 1_000_000


def draw_lesions(
    anatomy: Anatomy, fields_mm: Sequence[tuple[float, float]], settings: LesionSettings = LESIONS
) -> tuple[Lesion, ...]:
    """Draw the lesions of a subject so that each given range of the cord contains at least one.

    Args:
        anatomy: The subject.
        fields_mm: Ranges of the cord (from, to) in scans with lesions; empty for a subject without lesions.
        settings: Distributions.
    """
    rng = keyed_rng("lesions", *anatomy.seed)
    if not fields_mm:
        return ()
    probability = settings.dispersion / (settings.dispersion + settings.mean_per_cord)
    for _ in range(ATTEMPTS):
        count = min(int(rng.negative_binomial(settings.dispersion, probability)), settings.max_count)
        lesions = _separate([draw_lesion(rng, anatomy, settings) for _ in range(count)])
        if all(any(lesion.lies_in(field) for lesion in lesions) for field in fields_mm):
            return lesions
    raise ValueError(f"no lesion fits into the ranges {fields_mm}; each must contain about 20 mm of cord")


def draw_overlooked(anatomy: Anatomy, settings: LesionSettings = LESIONS) -> tuple[Lesion, ...]:
    """Draw what a reader overlooks in a subject classified as lesion-free: nothing, or one faint lesion."""
    rng = keyed_rng("overlooked", *anatomy.seed)
    if rng.random() >= settings.overlooked_share:
        return ()
    return (replace(draw_lesion(rng, anatomy, settings), contrast=rng.uniform(1.10, 1.25)),)


def draw_lesion(rng: np.random.Generator, anatomy: Anatomy, settings: LesionSettings = LESIONS) -> Lesion:
    """Draw one lesion anywhere in the cord."""
    correlation = settings.length_area_correlation
    bulk, own = rng.normal(), rng.normal()
    mixed = correlation * bulk + np.sqrt(1 - correlation**2) * own
    centre = _draw_position(rng, anatomy)
    cord = float(anatomy.at("cord_area_mm2", np.array(centre)))
    area = float(np.clip(settings.area_mm2 * np.exp(settings.area_log_sd * mixed) * cord / 70, 1.5, 0.5 * cord))
    column = str(rng.choice(COLUMNS, p=settings.columns))
    size = (bulk + mixed) / np.sqrt(2 * (1 + correlation))
    log_contrast = settings.contrast_size_log_sd * size + rng.normal(0, settings.contrast_lesion_log_sd)
    return Lesion(
        kind="lesion",
        column=column,
        centre_s_mm=centre,
        length_mm=float(np.clip(settings.length_mm * np.exp(settings.length_log_sd * bulk), 3, 60)),
        area_mm2=area,
        place=_place(rng, anatomy, column, centre, area, inner=bool(rng.random() < settings.inner_share)),
        contrast=float(settings.contrast * np.exp(log_contrast)),
        edge_mm=rng.uniform(1.0, 2.5),
        roughness=rng.uniform(*settings.roughness),
        halo=rng.uniform(0.05, 0.20) if rng.random() < settings.halo_share else 0.0,
        texture=int(rng.integers(1, TEXTURES)),
    )


def draw_mimics(anatomy: Anatomy, settings: LesionSettings = LESIONS) -> tuple[Lesion, ...]:
    """Draw lesion mimics; all scans of a subject have the same ones."""
    # The key stays as it is: another key would change every simulated cohort.
    rng = keyed_rng("false friends", *anatomy.seed)
    spots = [_draw_spot(rng, anatomy) for _ in range(rng.poisson(settings.mimics_per_100_mm * anatomy.conus_mm / 100))]
    if rng.random() < settings.diffuse_share:
        spots.append(_draw_diffuse(rng, anatomy))
    if settings.canal_share and rng.random() < settings.canal_share:
        spots.append(_draw_canal(rng, anatomy))
    return tuple(spots)


def _draw_spot(rng: np.random.Generator, anatomy: Anatomy) -> Lesion:
    centre = rng.uniform(5, anatomy.conus_mm - 30)
    area = lognormal(rng, 5, 0.5, 1.5, 20) * float(anatomy.at("cord_area_mm2", np.array(centre))) / 70
    column = str(rng.choice(COLUMNS, p=MIMIC_COLUMNS))
    return Lesion(
        kind="mimic",
        column=column,
        centre_s_mm=centre,
        length_mm=lognormal(rng, 9, 0.5, 3, 30),
        area_mm2=area,
        place=_place(rng, anatomy, column, centre, area, inner=bool(rng.random() < 0.5)),
        contrast=rng.uniform(1.06, 1.22),
        edge_mm=rng.uniform(1.5, 3.5),
        roughness=0.2,
        halo=0.0,
        texture=int(rng.integers(1, TEXTURES)),
    )


def _draw_diffuse(rng: np.random.Generator, anatomy: Anatomy) -> Lesion:
    centre = rng.uniform(20, anatomy.conus_mm * 0.7)
    area = rng.uniform(0.35, 0.7) * float(anatomy.at("cord_area_mm2", np.array(centre)))
    return Lesion(
        kind="diffuse",
        column="central",
        centre_s_mm=centre,
        length_mm=rng.uniform(35, 110),
        area_mm2=area,
        place=_place(rng, anatomy, "central", centre, area, inner=True),
        contrast=rng.uniform(1.06, 1.18),
        edge_mm=4.0,
        roughness=0.25,
        halo=0.0,
        texture=int(rng.integers(1, TEXTURES)),
    )


def _draw_canal(rng: np.random.Generator, anatomy: Anatomy) -> Lesion:
    centre = rng.uniform(40, anatomy.conus_mm * 0.8)
    area = rng.uniform(0.6, 2.0)
    return Lesion(
        kind="mimic",
        column="central",
        centre_s_mm=centre,
        length_mm=rng.uniform(60, 250),
        area_mm2=area,
        place=_place(rng, anatomy, "central", centre, area, inner=True),
        contrast=rng.uniform(1.1, 1.7),
        edge_mm=1.0,
        roughness=0.05,
        halo=0.0,
        texture=int(rng.integers(1, TEXTURES)),
    )


def _draw_position(rng: np.random.Generator, anatomy: Anatomy) -> float:
    weight = levels.column("lesions") * levels.column("length")
    row = int(rng.choice(len(weight), p=weight / weight.sum()))
    return float(min(rng.uniform(*levels.BOUNDARIES_MM[row : row + 2]), anatomy.conus_mm - 12))


def _place(
    rng: np.random.Generator, anatomy: Anatomy, column: str, centre_s_mm: float, area_mm2: float, *, inner: bool
) -> Placement:
    half_rl, half_ap = (float(axis) for axis in anatomy.semi_axes(np.array(centre_s_mm)))
    return place_section(rng, (half_rl, half_ap), column, area_mm2, inner=inner)


def place_section(
    rng: np.random.Generator, cord_axes_mm: tuple[float, float], column: str, area_mm2: float, *, inner: bool
) -> Placement:
    """Place a section of the given area in its column.

    Args:
        rng: Random generator.
        cord_axes_mm: Semi-axes of the cord there (left-right, front-back).
        column: One of :data:`COLUMNS`.
        area_mm2: Area inside the cord.
        inner: Whether the section does not touch the surface of the cord.
    """
    middle = {
        "lateral": float(rng.choice((0.0, np.pi))),
        "posterior": -np.pi / 2,
        "anterior": np.pi / 2,
        "central": rng.uniform(-np.pi, np.pi),
    }[column]
    polar = float(middle + SPREAD[column] * rng.normal())
    aspect = float(np.exp(rng.normal(0.1, 0.25)))
    # A lesion at the surface has its middle at less than half its depth; an inner lesion does not touch the surface.
    depth_share = rng.uniform(1.15, 1.5) if inner else rng.uniform(0.15, 0.75)
    jitter = rng.normal(0, 0.4, 2)
    anchor = jitter if column == "central" else None
    return _fit(cord_axes_mm, polar, aspect, depth_share, area_mm2, anchor)


def _fit(
    axes: tuple[float, float],
    polar: float,
    aspect: float,
    depth_share: float,
    area_mm2: float,
    anchor: Array | None,
) -> Placement:
    """Scale a section until it covers ``area_mm2`` of the cord; it is at the surface, or at ``anchor`` if given."""
    surface = np.array([np.cos(polar) * axes[0], np.sin(polar) * axes[1]])
    normal = np.array([np.cos(polar) / axes[0], np.sin(polar) / axes[1]])
    normal /= np.linalg.norm(normal)
    angle = float(np.arctan2(normal[1], normal[0]))
    u, v = np.meshgrid(np.arange(-axes[0], axes[0], 0.2), np.arange(-axes[1], axes[1], 0.2), indexing="ij")
    cord = radius_ratio(u, v, *axes) < 1
    half_depth = float(np.sqrt(area_mm2 / (np.pi * aspect)))
    for _ in range(12):
        depth = min(depth_share * half_depth, 0.9 * float(np.hypot(*surface)))
        middle = surface - depth * normal if anchor is None else anchor
        place = Placement(angle, (float(middle[0]), float(middle[1])), half_depth * aspect, half_depth, axes)
        covered = 0.2**2 * float(np.sum(cord & (place.radius(u, v) < 1)))
        half_depth = float(np.clip(half_depth * np.sqrt(area_mm2 / max(covered, 0.05)), 0.3, 14))
    return place


def _separate(lesions: list[Lesion]) -> tuple[Lesion, ...]:
    """Remove lesions that would merge with an earlier one; sort the others along the cord."""
    kept: list[Lesion] = []
    for lesion in lesions:
        if not any(_overlap(lesion, other) for other in kept):
            kept.append(lesion)
    return tuple(sorted(kept, key=lambda lesion: lesion.centre_s_mm))


def _overlap(a: Lesion, b: Lesion) -> bool:
    along = abs(a.centre_s_mm - b.centre_s_mm) < 0.4 * (a.length_mm + b.length_mm)
    (au, av), (bu, bv) = a.place.centre_mm, b.place.centre_mm
    return along and float(np.hypot(au - bu, av - bv)) < 0.53 * float(np.sqrt(a.area_mm2) + np.sqrt(b.area_mm2))
