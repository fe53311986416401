"""Single axial slices with and without cord: the training data of the cord detector.

The slices are computed directly from the continuous anatomy on a grid of 1 mm, at any level from the pons to the lower
back. Shapes vary more than in healthy adults and signals far more than between protocols, because a network that is
trained on every contrast needs no real scan (Billot 2023). Slices without cord contain simple shapes: brains, limbs,
clutter, noise.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from cordlesion.io.arrays import Array
from cordlesion.simulate.anatomy import Anatomy, Person, draw_anatomy
from cordlesion.simulate.canal import LAYERS
from cordlesion.simulate.frame import Pose, cord_frame
from cordlesion.simulate.lesions import draw_lesions, draw_mimics
from cordlesion.simulate.randomness import keyed_rng, lognormal, normal
from cordlesion.simulate.render import Scene, near_canal
from cordlesion.simulate.signals import Signals, draw_signals

SIZE = 160
"""Edge of a slice, in pixels of 1 mm."""
REACH_MM = 120.0
"""Largest distance of a slice from the middle of the simulated range."""
TOP_UNCERTAIN_MM, CONUS_UNCERTAIN_MM = (-20.0, 0.0), (-12.0, 8.0)
"""Ranges around the upper end of the cord and the conus in which it is uncertain whether a slice contains cord."""
LUMBAR_SHARE = 0.25
"""Share of subjects that are placed around the conus and the cauda equina; the others are placed anywhere."""
NO_CORD_SHARE = 0.22
"""Mean number of slices without cord per slice of a subject."""
_HALF = SIZE / 2
_MESH = np.meshgrid(*[np.arange(SIZE, dtype=np.float32) - _HALF] * 2, indexing="ij")


@dataclass(frozen=True, eq=False)
class AxialSlice:
    """One slice: pixels of 1 mm, axes right-left and back-front."""

    image: Array
    """Intensities, shape (SIZE, SIZE), float32."""
    center: tuple[float, float]
    """Centre of the cord in pixels; NaN in slices without cord."""
    certain: bool
    """Whether it is certain that the slice contains cord, or that it does not."""


def draw_slices(seed: int, subject: int, count: int) -> Iterator[AxialSlice]:
    """Draw slices of one subject and some slices without cord; the same arguments always give the same slices."""
    rng = keyed_rng("axial slices", seed, subject)
    scene = _scene(rng, seed, subject)
    for _ in range(count):
        signals = _signals(rng, scene.anatomy.person.age)
        drawn = replace(scene, anatomy=_reshaped(rng, scene.anatomy), signals=signals)
        height, thickness = rng.uniform(-REACH_MM, REACH_MM), rng.choice((1.0, 3.0, 5.0, 8.0))
        yield _subject_slice(drawn, height, rng.uniform(0.2, 0.8, 2) * SIZE, thickness, rng)
        if rng.random() < NO_CORD_SHARE:
            yield cordless_slice(rng)


def draw_stack(seed: int, subject: int, gap_mm: float) -> Iterator[AxialSlice]:
    """Draw consecutive slices of one subject, from bottom to top, with the signals of one scan."""
    rng = keyed_rng("axial stack", seed, subject)
    scene = _scene(rng, seed, subject)
    _, x, y = (float(value[0]) for value in scene.frame.at_height(np.zeros(1)))
    middle = rng.uniform(0.35, 0.65, 2) * SIZE - (x, y)
    for height in np.arange(-REACH_MM, REACH_MM, gap_mm):
        _, x, y = (float(value[0]) for value in scene.frame.at_height(np.array([height])))
        yield _subject_slice(scene, float(height), middle + np.array((x, y)), gap_mm, rng)


def cordless_slice(rng: np.random.Generator) -> AxialSlice:
    """Draw a slice of a brain, a limb, clutter or noise."""
    return AxialSlice(_NO_CORD[rng.integers(len(_NO_CORD))](rng), (np.nan, np.nan), True)


def _scene(rng: np.random.Generator, seed: int, subject: int) -> Scene:
    anatomy = draw_anatomy(seed, subject, Person(rng.uniform(18, 70), str(rng.choice(("F", "M")))))
    frame = cord_frame(anatomy, _pose(rng, anatomy), 1.1 * SIZE, REACH_MM + 20)
    lesions = (*draw_lesions(anatomy, [(0.0, 300.0)]), *draw_mimics(anatomy))
    return Scene(anatomy, frame, lesions, _signals(rng, anatomy.person.age))


def _reshaped(rng: np.random.Generator, anatomy: Anatomy) -> Anatomy:
    """Vary the size of cord and sac and the position of the cord in the sac more than in healthy adults.

    Patients vary more than the tables of healthy adults, because of atrophy, narrow canals and the position of the
    body, which moves the cord forwards or backwards.
    """
    area, across, deep = np.exp(rng.normal(0, (0.12, 0.10, 0.10)))
    return replace(
        anatomy,
        cord_area_mm2=anatomy.cord_area_mm2 * area,
        sac_rl_mm=anatomy.sac_rl_mm * across,
        sac_ap_mm=anatomy.sac_ap_mm * deep,
        sac_shift_mm=anatomy.sac_shift_mm + rng.normal(0, 1.5),
    )


def _pose(rng: np.random.Generator, anatomy: Anatomy) -> Pose:
    lowest = anatomy.conus_mm - 60 if rng.random() < LUMBAR_SHARE else 25
    return Pose(
        centre_s_mm=rng.uniform(min(lowest, 380), 405),
        forward_mm=0.0,
        pitch=np.radians(normal(rng, 0, 8, -20, 20)),
        offset_mm=0.0,
        tilt=float(np.tan(np.radians(normal(rng, 0, 4, -12, 12)))),
        roll=float(np.radians(normal(rng, 0, 6, -15, 15))),
    )


def _signals(rng: np.random.Generator, age: float) -> Signals:
    """Draw T2-like signals that vary more than between sites; for a third of the slices, arbitrary signals."""
    signals = draw_signals(rng, lognormal(rng, 2.5, 0.3, 1.3, 5.0), age, 0.1)
    spread = 0.35 if rng.random() < 0.65 else 0.8
    names = {"body", "nucleus", "dark", "rim", "muscle", "fat"}
    drawn: dict[str, Any] = {
        f.name: getattr(signals, f.name) * np.exp(rng.normal(0, spread)) for f in fields(signals) if f.name in names
    }
    if spread > 0.5:
        # Fluid as bright as the cord would hide the cord; a factor of 1.25 is visible.
        drawn["csf"] = float(np.exp(rng.choice((-1, 1)) * rng.uniform(0.22, 1.6)))
    flow: dict[str, Any] = {"flow_loss": rng.uniform(0.1, 0.95), "csf_unevenness": rng.uniform(0.05, 0.25)}
    return replace(signals, **drawn, **flow)


def _subject_slice(
    scene: Scene, height: float, center: Array, thickness: float, rng: np.random.Generator
) -> AxialSlice:
    s, x, y = (float(value[0]) for value in scene.frame.at_height(np.array([height])))
    xs, ys = (np.arange(SIZE) - middle + at for middle, at in zip(center, (x, y), strict=True))
    image = _section(scene, xs.astype(np.float32), ys.astype(np.float32), height, thickness)
    conus = scene.anatomy.conus_mm
    uncertain = (
        TOP_UNCERTAIN_MM[0] < s < TOP_UNCERTAIN_MM[1] or CONUS_UNCERTAIN_MM[0] < s - conus < CONUS_UNCERTAIN_MM[1]
    )
    has_cord = TOP_UNCERTAIN_MM[0] < s < conus + CONUS_UNCERTAIN_MM[1]
    place = (float(center[0]), float(center[1])) if has_cord else (np.nan, np.nan)
    if s > conus and rng.random() < 0.8:
        image = _with_roots(image, scene, s, center, rng)
    return AxialSlice(image.astype(np.float32), place, not uncertain)


def _section(scene: Scene, xs: Array, ys: Array, height: float, thickness: float) -> Array:
    """Evaluate the signal on an axial grid; the canal is averaged over the slice thickness."""
    s, v = scene.frame.section(ys, np.full(len(ys), height, np.float32))
    section = scene.section(s)
    image = scene.ground(xs, section, v)
    canals = np.zeros_like(image)
    covers = np.zeros_like(image)
    for offset in (-0.25, 0.25):
        s, v = scene.frame.section(ys, np.full(len(ys), height + offset * thickness, np.float32))
        section = scene.section(s)
        near = near_canal(section, v)
        layers = scene.canal(xs, section.at(near), v[near])
        canals[:, near] += layers[0] / 2
        covers[:, near] += layers[LAYERS.index("cover")] / 2
    mixed: Array = canals + (1 - covers) * image
    return mixed


def _with_roots(image: Array, scene: Scene, s: float, center: Array, rng: np.random.Generator) -> Array:
    """Draw the roots of the cauda equina: a group or a crescent of threads at the back of the sac."""
    half_rl, half_ap, shift = (
        float(scene.anatomy.at(name, np.array([s]))[0]) for name in ("sac_rl_mm", "sac_ap_mm", "sac_shift_mm")
    )
    half_rl, half_ap = half_rl / 2, half_ap / 2
    clump = rng.uniform(0.25, 0.8), rng.uniform(0.15, 0.5)
    cover = np.zeros_like(image)
    for _ in range(rng.integers(8, 45)):
        x, y = rng.normal(0, 0.5, 2) * clump
        y += rng.uniform(-0.7, -0.2) + 0.4 * x**2
        if x**2 + y**2 < 0.8:
            place = center + np.array((x * half_rl, shift + y * half_ap))
            radius = rng.uniform(0.6, 1.5)
            cover = np.maximum(cover, np.clip(0.5 + _disc(place - _HALF, radius, radius), 0, 1))
    mixed: Array = image + (rng.uniform(0.8, 1.1) - image) * cover
    return mixed


def _smooth(rng: np.random.Generator, scale: float) -> Array:
    """Return smooth noise of unit SD over the slice."""
    step = max(1, int(scale / 3))
    edge = -(-SIZE // step) + 2
    coarse = gaussian_filter(rng.standard_normal((edge, edge)), scale / step, mode="wrap")
    field: Array = zoom(coarse / coarse.std(), step, order=1, grid_mode=True, mode="nearest")[:SIZE, :SIZE]
    return field


def _disc(center: Array, radius_x: float, radius_y: float, ripple: Array | float = 0.0) -> Array:
    """Return the level function of an ellipse, about the distance in mm: positive inside."""
    x, y = (mesh - at for mesh, at in zip(_MESH, center, strict=True))
    level: Array = (1 - np.hypot(x / radius_x, y / radius_y) + ripple) * min(radius_x, radius_y)
    return level


def _brain(rng: np.random.Generator) -> Array:
    """Draw a head: fat, skull, fluid, folded cortex, white matter and ventricles; sometimes eyes or a brain stem."""
    fat, bone, fluid, grey, white = rng.permutation((1.4, 0.15, 2.6, 1.15, 0.95)) if rng.random() < 0.3 else (
        1.3, 0.15, rng.uniform(1.5, 3.5), rng.uniform(1.0, 1.4), rng.uniform(0.7, 1.0))  # fmt: skip
    center = rng.uniform(-45, 45, 2)
    size = rng.uniform(0.55, 1.05)
    head = _disc(center, 75 * size, 92 * size, 0.02 * _smooth(rng, 25))
    folds = np.abs(_smooth(rng, rng.uniform(4, 8)))
    image = np.full((SIZE, SIZE), 0.02)
    for depth, value in ((0, fat), (rng.uniform(3, 8), bone), (rng.uniform(8, 13), fluid)):
        image = np.where(head > depth, value, image)
    brain = head - 14 > 0
    image = np.where(brain, np.where(folds < 0.14, fluid, np.where(folds < 0.6, grey, white)), image)
    for side in (-1, 1):
        ventricle = _disc(
            np.add(center, (side * rng.uniform(5, 14), rng.uniform(-20, 20))), rng.uniform(3, 9), rng.uniform(8, 25)
        )
        image = np.where(brain & (ventricle > 0) & (rng.random() < 0.7), fluid, image)
    if rng.random() < 0.4:
        stem = _disc(center + rng.uniform(-8, 8, 2), rng.uniform(12, 18), rng.uniform(11, 17))
        image = np.where(stem > -rng.uniform(1, 5), fluid, image)
        image = np.where(stem > 0, 0.5 * (grey + white), image)
    if rng.random() < 0.3:
        for side in (-1, 1):
            image = np.where(_disc(np.add(center, (side * 32, 65 * size)), 12, 12) > 0, fluid, image)
    return (image * (1 + 0.05 * _smooth(rng, 2))).astype(np.float32)


def _limb(rng: np.random.Generator) -> Array:
    """Draw a limb or joint: skin, fat, muscles, one or two bones with a dark rim, vessels."""
    center = rng.uniform(-40, 40, 2)
    skin = _disc(center, rng.uniform(35, 80), rng.uniform(35, 80), 0.03 * _smooth(rng, 20))
    fat, muscle, marrow, dark = (
        rng.uniform(0.5, 1.8),
        rng.uniform(0.2, 1.2),
        rng.uniform(0.3, 1.8),
        rng.uniform(0.05, 0.3),
    )
    septa = np.abs(_smooth(rng, 9)) < 0.15
    image = np.where(skin > 0, fat, 0.02)
    image = np.where(skin > rng.uniform(3, 12), np.where(septa, fat, muscle), image)
    for _ in range(rng.integers(1, 3)):
        bone = _disc(center + rng.normal(0, 14, 2), rng.uniform(10, 30), rng.uniform(10, 30), 0.05 * _smooth(rng, 12))
        image = np.where(bone > -rng.uniform(1, 3), dark, image)
        image = np.where(bone > 0, marrow * (1 + 0.1 * _smooth(rng, 3)), image)
    for _ in range(rng.integers(0, 6)):
        vessel = _disc(center + rng.normal(0, 25, 2), rng.uniform(2, 6), rng.uniform(2, 6))
        image = np.where(vessel > 0, rng.choice((dark, 2 * fat, muscle)), image)
    return (image * (1 + 0.1 * _smooth(rng, 3))).astype(np.float32)


def _clutter(rng: np.random.Generator) -> Array:
    """Draw ellipses of any size and signal."""
    image = 1 + rng.uniform(0, 0.8) * _smooth(rng, rng.uniform(3, 25))
    for _ in range(rng.integers(0, 12)):
        blob = _disc(rng.uniform(-_HALF, _HALF, 2), rng.uniform(2, 45), rng.uniform(2, 45), 0.1 * _smooth(rng, 10))
        image = np.where(blob > 0, rng.uniform(0, 3), image)
    return np.abs(image).astype(np.float32)


def _noise(rng: np.random.Generator) -> Array:
    """Draw white or smooth noise."""
    white = rng.standard_normal((SIZE, SIZE))
    return np.abs(gaussian_filter(white, rng.uniform(0, 2.5))).astype(np.float32)


_NO_CORD = (_brain, _brain, _brain, _brain, _limb, _clutter, _noise)
