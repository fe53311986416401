"""Cord, canal and spine of one subject as functions of the position along the cord.

Coordinates: ``s`` is the position along the cord in mm, downwards from the top of C1 (negative: brain stem). In a
section, ``u`` points to the right and ``v`` to the front, in mm from the centre of the cord.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import gamma

from cordlesion.io.arrays import Array
from cordlesion.simulate import levels
from cordlesion.simulate.randomness import NoiseTile, keyed_rng, lognormal, normal, smooth_line

S_MM: Array = np.arange(-110.0, 530.0, 1.0)
"""Positions of the tabulated values."""
CORD_TOP_MM = 0.0
"""Upper end of the cord: the top of C1, below the brain stem."""
FRONT_EXPONENT, BACK_EXPONENT = 2.6, 2.1
"""Superellipse exponents of the section: the front of the cord is flatter."""


@dataclass(frozen=True)
class Person:
    """Age and sex of a subject."""

    age: float
    sex: str
    """``"F"`` or ``"M"``."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Cord, canal and spine of one subject; arrays are tabulated at ``S_MM``."""

    person: Person
    cord_area_mm2: Array
    cord_ratio: Array
    """Anterior-posterior diameter divided by left-right diameter."""
    sac_ap_mm: Array
    sac_rl_mm: Array
    sac_shift_mm: Array
    """Middle of the dural sac, in mm in front of the centre of the cord."""
    direction: Array
    """Angle of the cord in the sagittal plane, radians; positive where the lower part is further in front."""
    lateral_mm: Array
    """Sideways deviation of the cord (scoliosis)."""
    conus_mm: float
    """Lower end of the cord."""
    bulge_mm: Array
    """Bulge of each disc into the sac, one value per level."""
    level_scale: Array
    """Relative signal of each vertebral body and disc, one value per level."""
    posterior_depth_mm: float
    """Distance from the cord to the skin of the neck."""
    seed: tuple[int, int]

    @cached_property
    def texture(self) -> NoiseTile:
        """Texture of all tissues of this subject, the same in every scan."""
        return NoiseTile(self.seed)

    def at(self, field: str, s_mm: Array) -> Array:
        """Interpolate a tabulated field at positions ``s_mm``."""
        values: Array = np.interp(s_mm, S_MM, getattr(self, field))
        return values

    def semi_axes(self, s_mm: Array) -> tuple[Array, Array]:
        """Return the semi-axes (left-right, front-back) of the cord in mm; the section has the tabulated area."""
        area, ratio = self.at("cord_area_mm2", s_mm), self.at("cord_ratio", s_mm)
        half_rl = np.sqrt(np.maximum(area, 1e-3) / (ratio * _unit_area()))
        return half_rl, half_rl * ratio


def draw_anatomy(seed: int, subject: int, person: Person) -> Anatomy:
    """Draw the anatomy of a subject; the same arguments always give the same anatomy."""
    rng = keyed_rng("anatomy", seed, subject)
    conus = levels.top_mm("L1") + normal(rng, 16, 10, -8, 45)
    area = _cord_area(rng, person, conus)
    sac_scale = lognormal(rng, 0.96, 0.075, 0.80, 1.14)
    count = len(levels.LEVELS)
    return Anatomy(
        person=person,
        cord_area_mm2=area,
        cord_ratio=_cord_ratio(rng),
        sac_ap_mm=_sac(rng, "sac_ap", sac_scale),
        sac_rl_mm=_sac(rng, "sac_rl", sac_scale),
        sac_shift_mm=_sac_shift(rng),
        direction=_direction(rng),
        lateral_mm=_lateral(rng),
        conus_mm=conus,
        bulge_mm=_bulges(rng, person, count),
        level_scale=np.exp(rng.normal(0, 0.08, count)),
        posterior_depth_mm=normal(rng, 62, 8, 46, 85),
        seed=(seed, subject),
    )


def radius_ratio(u: Array, v: Array, half_rl: Array | float, half_ap: Array | float) -> Array:
    """Return the level function of the section: below 1 inside the cord, 1 on its surface; arguments in mm."""
    front = np.abs(v / half_ap)
    side = np.abs(u / half_rl)
    exponent = np.where(np.asarray(v) > 0, np.float32(FRONT_EXPONENT), np.float32(BACK_EXPONENT))
    ratio: Array = (front**exponent + side**exponent) ** (1 / exponent)
    return ratio


def _unit_area() -> float:
    """Return the area of the unit section: half a superellipse in front, half a superellipse behind."""
    halves = [4 * gamma(1 + 1 / n) ** 2 / gamma(1 + 2 / n) for n in (FRONT_EXPONENT, BACK_EXPONENT)]
    return float(sum(halves) / 2)


def _cord_area(rng: np.random.Generator, person: Person, conus_mm: float) -> Array:
    """Return the area along the cord: table x (size, sex, age, atrophy of the subject) x smooth variation."""
    sex = 1.045 if person.sex == "M" else 0.985
    age = 1 - 0.08 / 70 * (person.age - 36)
    atrophy = 1 - min(0.2, rng.gamma(1.6, 0.032))
    size = lognormal(rng, 1.0, 0.085, 0.78, 1.28) * sex * age * atrophy
    wiggle = 1 + 0.055 * smooth_line(rng, len(S_MM), 22) + 0.010 * smooth_line(rng, len(S_MM), 2.5)
    table = np.interp(S_MM, *_with_brain_stem(levels.column("cord_area"), (420.0, 190.0, 128.0, 98.0)))
    end = np.clip((conus_mm - S_MM) / 30, 0, 1) ** 0.8
    return np.where(conus_mm - 30 < S_MM, np.minimum(table, 48 * end), table) * size * np.clip(wiggle, 0.75, 1.25)


def _cord_ratio(rng: np.random.Generator) -> Array:
    ratio = levels.column("cord_ap") / levels.column("cord_rl")
    table = np.interp(S_MM, *_with_brain_stem(ratio, (0.85, 0.80, 0.78, 0.77)))
    return np.clip(table * (1 + 0.045 * rng.normal() + 0.045 * smooth_line(rng, len(S_MM), 25)), 0.45, 0.95)


def _sac(rng: np.random.Generator, field: str, scale: float) -> Array:
    stem = (40.0, 34.0, 30.0, 26.0) if field == "sac_rl" else (34.0, 27.0, 24.0, 21.0)
    table = np.interp(S_MM, *_with_brain_stem(levels.column(field), stem))
    return table * scale * (1 + 0.03 * smooth_line(rng, len(S_MM), 18))


def _sac_shift(rng: np.random.Generator) -> Array:
    """Return the shift of the sac relative to the cord, from the gaps in front and behind."""
    shift = np.clip((levels.column("gap_anterior") - levels.column("gap_posterior")) / 2, -1.8, 3.3)
    table = np.interp(S_MM, *_with_brain_stem(shift, (0.0, -1.0, -1.5, -1.5)))
    return table + 0.5 * rng.normal() + 0.5 * smooth_line(rng, len(S_MM), 25)


def _with_brain_stem(column: Array, stem: tuple[float, float, float, float]) -> tuple[Array, Array]:
    """Return knots and values of a level column, extended upwards to medulla and pons (first value)."""
    return np.concatenate([[-40.0, -24.0, -14.0, -5.0], levels.CENTRES_MM]), np.concatenate([stem, column])


def _direction(rng: np.random.Generator) -> Array:
    """Draw the lordosis of the neck (Cobb 9 +- 13 degrees, Guo 2018), thoracic kyphosis and the bend at the skull."""
    lordosis = normal(rng, 9, 13, -22, 38)
    kyphosis = normal(rng, 38, 9, 18, 60)
    skull = normal(rng, 17, 6, 4, 30)
    mid = normal(rng, 0, 2.5, -6, 6)
    top = lordosis / 2
    chest = -lordosis / 2 - normal(rng, 10, 4, 5, 18)
    knots = {
        -110.0: top - skull - 4,
        -25.0: top - skull,
        levels.top_mm("C2"): top,
        levels.centre_mm("C4"): mid,
        levels.top_mm("C7"): -lordosis / 2 - 2,
        levels.centre_mm("T1"): chest,
        levels.centre_mm("T4"): chest + 0.2 * kyphosis,
        levels.centre_mm("T8"): chest + 0.65 * kyphosis,
        levels.top_mm("T12"): chest + kyphosis,
        levels.top_mm("L2"): chest + kyphosis - 10,
        530.0: chest + kyphosis - 20,
    }
    degrees = PchipInterpolator(list(knots), list(knots.values()))(S_MM)
    return np.radians(degrees + 0.5 * smooth_line(rng, len(S_MM), 12))


def _lateral(rng: np.random.Generator) -> Array:
    """Draw a scoliosis: a sideways wave of long wavelength."""
    amplitude = abs(rng.normal(0, 1.3))
    return amplitude * np.sin(S_MM / rng.uniform(45, 90) + rng.uniform(0, 2 * np.pi)) + 0.12 * smooth_line(
        rng, len(S_MM), 6
    )


def _bulges(rng: np.random.Generator, person: Person, count: int) -> Array:
    """Draw disc bulges: larger with age, largest at C5-C7; one in twenty subjects has a protrusion."""
    weight = np.interp(np.arange(count), [0, 1, 3, 5, 7, 9, count], [0, 0.2, 0.8, 1.0, 0.4, 0.25, 0.4])
    bulge = weight * rng.gamma(1.2, 0.35 + 0.012 * max(person.age - 25, 0), count)
    if rng.random() < 0.05:
        bulge[rng.integers(3, 6)] += 2.0
    return np.clip(bulge, 0, 3.5)
