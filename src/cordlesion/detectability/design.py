"""Which lesions are put into a scan: size, contrast, column and position of each (no torch)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from cordlesion.detectability.appearance import Appearance
from cordlesion.detectability.cord_space import CordSpace
from cordlesion.detectability.drawing import DrawnLesion, draw_lesion, volume_inside
from cordlesion.detectability.names import DesignName
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray
from cordlesion.simulate.lesions import COLUMNS, TEXTURES, place_section
from cordlesion.simulate.randomness import NoiseTile, keyed_rng
from cordlesion.simulate.settings import LESIONS, LesionSettings
from cordlesion.simulate.spindle import Lesion

GAP_MM = 6.0
"""Smallest distance between the ends of two lesions of one scan along the cord, so that each stands alone."""
CORD_PER_LESION_MM = 40.0
"""Without a number, a copy gets one lesion per so many mm of cord."""
TOLERANCE = 0.03
"""A lesion is scaled until its volume inside the cord differs by less than this from the wanted one."""
_SCALINGS = 4
_RISING = "rising values"
_LARGEST_SHARE = 0.5
"""Largest section of a lesion, as a share of that of the cord; as in the simulator."""


@dataclass(frozen=True)
class Design:
    """Which lesions are implanted.

    Raises:
        CordlesionError: A value is outside its range.
    """

    name: DesignName = "even"
    """``even``: volume (on a log scale) and contrast are spread evenly over their ranges. ``grid``: every volume with
    every contrast. ``simulator``: the simulator's distributions."""
    volumes_mm3: tuple[float, ...] = (5.0, 500.0)
    """Range of ``even``, or the values of ``grid``."""
    contrasts: tuple[float, ...] = (1.1, 1.9)
    """Ratio of lesion to cord signal: range of ``even``, or the values of ``grid``."""
    columns: tuple[str, ...] = COLUMNS
    """Where in the section of the cord; their shares are those of the simulator."""
    strength: float = 1.0
    """Factor of (contrast - 1); 0 implants nothing."""
    seed: int = 0

    def __post_init__(self) -> None:
        names = ", ".join(get_args(DesignName))
        checks = (
            (self.name in get_args(DesignName), f"the design {self.name!r}; one of {names} is needed"),
            (
                _rising(self.volumes_mm3, 1.0, 5000.0),
                f"the volumes {self.volumes_mm3}; {_RISING} from 1 to 5000 mm3 are needed",
            ),
            (
                _rising(self.contrasts, 1.01, 4.0),
                f"the contrasts {self.contrasts}; {_RISING} from 1.01 to 4 are needed",
            ),
            (
                self.name != "even" or len(self.volumes_mm3) == len(self.contrasts) == 2,
                "an even design; the lowest and the highest volume, and the same for the contrast, are needed",
            ),
            (
                bool(self.columns) and set(self.columns) <= set(COLUMNS),
                f"the columns {', '.join(self.columns)}; some of {', '.join(COLUMNS)} are needed",
            ),
            (0 <= self.strength <= 5, f"the strength {self.strength:g}; a number from 0 to 5 is needed"),
        )
        for valid, fault in checks:
            if not valid:
                raise CordlesionError(f"The lesions to implant have {fault}.")


def _rising(values: Sequence[float], low: float, high: float) -> bool:
    return bool(values) and low <= values[0] and values[-1] <= high and all(np.diff(values) > 0)


@dataclass(frozen=True)
class Wish:
    """What one lesion shall be."""

    volume_mm3: float
    contrast: float
    column: str
    copy: int
    """Copy of the scan that it is put into, from 0."""


def wishes(design: Design, scan: int, n_copies: int, per_copy: int) -> list[Wish]:
    """Return the lesions of all copies of a scan; another scan or seed gives others.

    Args:
        design: Their sizes and contrasts.
        scan: Number of the scan.
        n_copies: Copies of the scan.
        per_copy: Lesions of each.
    """
    rng = keyed_rng("implanted lesions", design.seed, scan)
    n = n_copies * per_copy
    volumes, contrasts = _sizes(design, n, rng)
    shares = np.array([LESIONS.columns[COLUMNS.index(name)] for name in design.columns])
    columns = rng.choice(design.columns, size=n, p=shares / shares.sum())
    copies = np.arange(n) % n_copies
    return [
        Wish(float(volume), float(contrast), str(column), int(copy))
        for volume, contrast, column, copy in zip(volumes, contrasts, columns, copies, strict=True)
    ]


def _sizes(design: Design, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    if design.name == "grid":
        pairs = [(volume, contrast) for volume in design.volumes_mm3 for contrast in design.contrasts]
        order = np.concatenate([rng.permutation(len(pairs)) for _ in range(-(-n // len(pairs)))])[:n]
        chosen = np.array(pairs)[order]
        return chosen[:, 0], chosen[:, 1]
    if design.name == "simulator":
        bulk, mixed, own = rng.normal(size=(3, n))
        mixed = _correlated(bulk, mixed, LESIONS)
        volume = (
            0.6
            * LESIONS.length_mm
            * LESIONS.area_mm2
            * np.exp(LESIONS.length_log_sd * bulk + LESIONS.area_log_sd * mixed)
        )
        size = (bulk + mixed) / np.sqrt(2 * (1 + LESIONS.length_area_correlation))
        spread = np.hypot(LESIONS.contrast_lesion_log_sd, LESIONS.contrast_scan_log_sd)
        contrast = LESIONS.contrast * np.exp(LESIONS.contrast_size_log_sd * size + spread * own)
        return volume.clip(1, 5000), contrast.clip(1.1, 1.95)
    # One lesion in each of n intervals of both, in independent orders (Latin hypercube).
    u, w = ((rng.permutation(n) + rng.random(n)) / n for _ in range(2))
    low, high = np.log(design.volumes_mm3)
    return np.exp(low + (high - low) * u), design.contrasts[0] + (design.contrasts[1] - design.contrasts[0]) * w


def _correlated(bulk: FloatArray, own: FloatArray, settings: LesionSettings) -> FloatArray:
    correlation = settings.length_area_correlation
    mixed: FloatArray = correlation * bulk + np.sqrt(1 - correlation**2) * own
    return mixed


def lesions_per_copy(length_mm: float) -> int:
    """Return how many lesions a copy gets, by the length of its cord."""
    return max(1, round(length_mm / CORD_PER_LESION_MM))


def implant_lesions(
    wanted: Sequence[Wish], space: CordSpace, look: Appearance, texture: NoiseTile, rng: np.random.Generator,
    strength: float,
) -> list[DrawnLesion]:  # fmt: skip
    """Draw the lesions of one copy at free positions along the cord, the largest first.

    A lesion for which there is no room is left out.

    Args:
        wanted: The lesions.
        space: The cord.
        look: Signal and blur of the scan.
        texture: Noise of the outlines.
        rng: Random generator.
        strength: Factor of (contrast - 1).
    """
    taken: list[tuple[float, float]] = []
    drawn = []
    for wish in sorted(wanted, key=lambda wish: -wish.volume_mm3):
        length, area = _length_and_area(wish.volume_mm3, space, rng)
        centre = _free_position(length, taken, space.length_mm, rng)
        if centre is None:
            continue
        taken.append((centre - length / 2, centre + length / 2))
        lesion = _lesion(wish, centre, length, area, space, rng)
        lesion = replace(lesion, contrast=1 + strength * (lesion.contrast - 1))
        drawn.append(draw_lesion(scaled(lesion, wish.volume_mm3, space, texture), space, look, texture))
    return sorted(drawn, key=lambda one: one.lesion.centre_s_mm)


def _length_and_area(volume_mm3: float, space: CordSpace, rng: np.random.Generator) -> tuple[float, float]:
    """Draw length and largest section from the simulator's distribution, given the volume 0.6 x length x section."""
    bulk, own = rng.normal(size=2)
    mixed = float(_correlated(bulk, own, LESIONS))
    length_sd, area_sd = LESIONS.length_log_sd, LESIONS.area_log_sd
    shared = LESIONS.length_area_correlation * length_sd * area_sd
    length, area = LESIONS.length_mm * np.exp(length_sd * bulk), LESIONS.area_mm2 * np.exp(area_sd * mixed)
    # Conditioning of a Gaussian (of the logarithms) on their sum.
    weight = (length_sd**2 + shared) / (length_sd**2 + area_sd**2 + 2 * shared)
    gap = np.log(volume_mm3 / (0.6 * length * area))
    length = float(np.clip(length * np.exp(weight * gap), 3, min(60, 0.8 * space.length_mm)))
    largest = _LARGEST_SHARE * np.pi * float(np.median(space.half_rl * space.half_ap))
    area = float(np.clip(volume_mm3 / (0.6 * length), 0.8, largest))
    return float(np.clip(volume_mm3 / (0.6 * area), 2, min(60, 0.9 * space.length_mm))), area


def _free_position(
    length_mm: float, taken: Sequence[tuple[float, float]], cord_mm: float, rng: np.random.Generator
) -> float | None:
    """Draw the middle of a lesion, with all of its length inside the cord and apart from the others."""
    low, high = 0.5 * length_mm, cord_mm - 0.5 * length_mm
    candidates = low + (high - low) * rng.random(200)
    apart = [all(abs(c - (a + b) / 2) >= (b - a + length_mm) / 2 + GAP_MM for a, b in taken) for c in candidates]
    return float(candidates[apart.index(True)]) if any(apart) and high >= low else None


def lesion_like(wish: Wish, centre_s_mm: float, space: CordSpace, rng: np.random.Generator) -> Lesion:
    """Draw a lesion at a position along the cord; its volume inside the cord is only about that of the wish."""
    return _lesion(wish, centre_s_mm, *_length_and_area(wish.volume_mm3, space, rng), space, rng)


def _lesion(
    wish: Wish, centre: float, length: float, area: float, space: CordSpace, rng: np.random.Generator
) -> Lesion:
    inner = bool(rng.random() < LESIONS.inner_share)
    return Lesion(
        kind="lesion",
        column=wish.column,
        centre_s_mm=centre,
        length_mm=length,
        area_mm2=area,
        place=place_section(rng, space.semi_axes(centre), wish.column, area, inner=inner),
        contrast=wish.contrast,
        edge_mm=rng.uniform(1.0, 2.5),
        roughness=rng.uniform(*LESIONS.roughness),
        halo=rng.uniform(0.05, 0.20) if rng.random() < LESIONS.halo_share else 0.0,
        texture=int(rng.integers(1, TEXTURES)),
    )


def scaled(lesion: Lesion, volume_mm3: float, space: CordSpace, texture: NoiseTile) -> Lesion:
    """Scale the section of a lesion until its volume inside the cord is the wanted one, as far as the cord allows."""
    for _ in range(_SCALINGS):
        ratio = volume_mm3 / max(volume_inside(lesion, space, texture), 0.05 * volume_mm3)
        if abs(ratio - 1) < TOLERANCE:
            break
        factor, place = float(np.clip(np.sqrt(ratio), 0.6, 1.6)), lesion.place
        half_width, half_depth = place.half_width_mm * factor, place.half_depth_mm * factor
        place = replace(place, half_width_mm=half_width, half_depth_mm=half_depth)
        lesion = replace(lesion, area_mm2=lesion.area_mm2 * factor**2, place=place)
    return lesion
