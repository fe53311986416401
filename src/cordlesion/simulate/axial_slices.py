"""Consecutive axial slices of a subject, from the pons to the lower back: the training data of the cord detector.

The slices are computed directly from the continuous anatomy on a grid of 1 mm. Shapes vary more than in healthy adults
and signals far more than between protocols, because a network that is trained on every contrast needs no real scan
(Billot 2023).
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any

import numpy as np

from cordlesion.io.arrays import Array
from cordlesion.simulate.anatomy import Anatomy, Person, draw_anatomy
from cordlesion.simulate.canal import LAYERS
from cordlesion.simulate.cordless_slices import SIZE, cordless_images, disc
from cordlesion.simulate.frame import Pose, cord_frame
from cordlesion.simulate.lesions import draw_lesions, draw_mimics
from cordlesion.simulate.randomness import keyed_rng, lognormal, normal
from cordlesion.simulate.render import Scene, near_canal
from cordlesion.simulate.signals import Signals, draw_signals

REACH_MM = 120.0
"""Largest distance of a slice from the middle of the simulated range."""
TOP_UNCERTAIN_MM, CONUS_UNCERTAIN_MM = (-20.0, 0.0), (-12.0, 8.0)
"""Ranges around the upper end of the cord and the conus in which it is uncertain whether a slice contains cord."""
MEDULLA_MM = -60.0
"""Above this position along the cord, a slice shows the pons or the midbrain."""
TOP_SHARE, CONUS_SHARE = 0.2, 0.25
"""Share of subjects whose slices are around the upper end of the cord, and around the conus; the others anywhere."""
NO_CORD_SHARE = 0.25
"""Share of stacks without cord."""
TRAINING_GAPS_MM = (3.0, 4.0, 5.0, 6.0, 8.0, 12.0)
"""Distances between the slices of training stacks."""
_HALF = SIZE / 2


class Part(IntEnum):
    """What the canal shows in a slice; two names where it is uncertain which of them."""

    NOTHING = 0
    CORD = 1
    BRAINSTEM = 2
    SAC = 3
    """The dural sac below the conus."""
    BRAINSTEM_OR_CORD = 4
    CORD_OR_SAC = 5
    BRAINSTEM_OR_NOTHING = 6


@dataclass(frozen=True, eq=False)
class AxialStack:
    """Consecutive slices, from bottom to top: pixels of 1 mm, axes right-left and back-front."""

    images: Array
    """Intensities, shape (N, SIZE, SIZE), float32."""
    centers: Array
    """Centre of the cord, the brainstem or the sac in pixels, shape (N, 2); NaN in slices that show none."""
    parts: Array
    """A :class:`Part` for each slice, shape (N,)."""


def draw_training_stacks(seed: int, subject: int, stacks: int, slices: int) -> Iterator[AxialStack]:
    """Draw short stacks of one subject, each with its own signals; the same arguments give the same stacks.

    A quarter of the stacks contains no cord.
    """
    rng = keyed_rng("training stacks", seed, subject)
    anatomy = _anatomy(rng, seed, subject)
    center_s, lowest, highest = _range(rng, anatomy)
    scene = _scene(rng, anatomy, center_s)
    for _ in range(stacks):
        if rng.random() < NO_CORD_SHARE:
            yield AxialStack(cordless_images(rng, slices), np.full((slices, 2), np.nan), np.zeros(slices, int))
            continue
        drawn = replace(scene, signals=_signals(rng, scene.anatomy.person.age))
        gap_mm = float(rng.choice(TRAINING_GAPS_MM))
        thickness = min(gap_mm, float(rng.choice((1.0, 3.0, 5.0))))
        reach = REACH_MM - gap_mm * slices / 2
        middle = np.clip(center_s - rng.uniform(lowest, highest), -reach, reach)
        heights = middle + gap_mm * (np.arange(slices) - (slices - 1) / 2)
        yield _subject_stack(drawn, heights, rng.uniform(0.2, 0.8, 2) * SIZE, thickness, rng)


def _range(rng: np.random.Generator, anatomy: Anatomy) -> tuple[float, float, float]:
    """Draw the position along the cord at the middle of the simulated range; and that of slices, from the top."""
    conus = anatomy.conus_mm
    where = rng.random()
    if where < TOP_SHARE:
        return rng.uniform(15, 40), -95.0, 60.0
    if where < TOP_SHARE + CONUS_SHARE:
        return rng.uniform(380, 405), conus - 40, conus + 80
    center = rng.uniform(25, 405)
    return center, center - REACH_MM, center + REACH_MM


def draw_stack(seed: int, subject: int, gap_mm: float) -> AxialStack:
    """Draw consecutive slices of one subject over the whole range, with the signals of one scan."""
    rng = keyed_rng("axial stack", seed, subject)
    anatomy = _anatomy(rng, seed, subject)
    scene = _scene(rng, anatomy, _range(rng, anatomy)[0])
    heights = np.arange(-REACH_MM, REACH_MM, gap_mm)
    return _subject_stack(scene, heights, rng.uniform(0.35, 0.65, 2) * SIZE, gap_mm, rng)


def _subject_stack(
    scene: Scene, heights: Array, middle: Array, thickness: float, rng: np.random.Generator
) -> AxialStack:
    """Draw the slices at ``heights``; the cord is at ``middle`` half-way up."""
    _, x, y = (float(value[0]) for value in scene.frame.at_height(np.array([heights.mean()])))
    slices = [_subject_slice(scene, float(height), middle - (x, y), thickness, rng) for height in heights]
    images, centers, parts = zip(*slices, strict=True)
    return AxialStack(np.stack(images).astype(np.float32), np.array(centers), np.array(parts))


def _anatomy(rng: np.random.Generator, seed: int, subject: int) -> Anatomy:
    return _reshaped(rng, draw_anatomy(seed, subject, Person(rng.uniform(18, 70), str(rng.choice(("F", "M"))))))


def _scene(rng: np.random.Generator, anatomy: Anatomy, center_s_mm: float) -> Scene:
    frame = cord_frame(anatomy, _pose(rng, center_s_mm), 1.1 * SIZE, REACH_MM + 20)
    lesions = (*draw_lesions(anatomy, [(0.0, 300.0)]), *draw_mimics(anatomy))
    return Scene(anatomy, frame, lesions, _signals(rng, anatomy.person.age))


def _reshaped(rng: np.random.Generator, anatomy: Anatomy) -> Anatomy:
    """Vary the size of cord and sac and the position of the cord in the sac more than in healthy adults.

    Patients vary more than the tables of healthy adults, because of atrophy, narrow canals and the position of the
    body, which moves the cord forwards or backwards.
    """
    area, across, deep = np.exp(rng.normal(0, (0.15, 0.12, 0.12)))
    return replace(
        anatomy,
        cord_area_mm2=anatomy.cord_area_mm2 * area,
        sac_rl_mm=anatomy.sac_rl_mm * across,
        sac_ap_mm=anatomy.sac_ap_mm * deep,
        sac_shift_mm=anatomy.sac_shift_mm + rng.normal(0, 1.5),
    )


def _pose(rng: np.random.Generator, center_s_mm: float) -> Pose:
    return Pose(
        centre_s_mm=center_s_mm,
        forward_mm=0.0,
        pitch=np.radians(normal(rng, 0, 8, -20, 20)),
        offset_mm=0.0,
        tilt=float(np.tan(np.radians(normal(rng, 0, 4, -12, 12)))),
        roll=float(np.radians(normal(rng, 0, 6, -15, 15))),
    )


def _signals(rng: np.random.Generator, age: float) -> Signals:
    """Draw T2-like signals that vary more than between sites; for a third of the stacks, arbitrary signals."""
    signals = draw_signals(rng, lognormal(rng, 2.5, 0.3, 1.3, 5.0), age, 0.1)
    spread = 0.35 if rng.random() < 0.65 else 0.8
    names = {"body", "nucleus", "dark", "rim", "muscle", "fat"}
    drawn: dict[str, Any] = {
        f.name: getattr(signals, f.name) * np.exp(rng.normal(0, spread)) for f in fields(signals) if f.name in names
    }
    if spread > 0.5:
        # Fluid as bright as the cord would hide the cord; a factor of 1.2 is visible.
        drawn["csf"] = float(np.exp(rng.choice((-1, 1)) * rng.uniform(0.18, 1.6)))
        drawn["grey"] = float(np.exp(rng.normal(0, 0.15)))
    flow: dict[str, Any] = {"flow_loss": rng.uniform(0.1, 0.95), "csf_unevenness": rng.uniform(0.05, 0.25)}
    return replace(signals, **drawn, **flow)


def _subject_slice(
    scene: Scene, height: float, middle: Array, thickness: float, rng: np.random.Generator
) -> tuple[Array, tuple[float, float], Part]:
    """Draw one slice; the origin of the frame is at ``middle`` in pixels."""
    s, x, y = (float(value[0]) for value in scene.frame.at_height(np.array([height])))
    center = np.add(middle, (x, y))
    xs, ys = (np.arange(SIZE) - start for start in middle)
    image = _section(scene, xs.astype(np.float32), ys.astype(np.float32), height, thickness)
    part = _part(s, scene.anatomy.conus_mm)
    if s > scene.anatomy.conus_mm and rng.random() < 0.8:
        image = _with_roots(image, scene, s, center, rng)
    if part is Part.SAC:
        center[1] += float(scene.anatomy.at("sac_shift_mm", np.array([s]))[0])
    return image, (float(center[0]), float(center[1])), part


def _part(s: float, conus: float) -> Part:
    """Return what a slice at position ``s`` along the cord shows."""
    borders = (MEDULLA_MM, *TOP_UNCERTAIN_MM, *(conus + at for at in CONUS_UNCERTAIN_MM))
    order = (
        *(Part.BRAINSTEM_OR_NOTHING, Part.BRAINSTEM, Part.BRAINSTEM_OR_CORD),
        *(Part.CORD, Part.CORD_OR_SAC, Part.SAC),
    )
    return order[int(np.searchsorted(borders, s))]


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
            cover = np.maximum(cover, np.clip(0.5 + disc(place - _HALF, radius, radius), 0, 1))
    mixed: Array = image + (rng.uniform(0.8, 1.1) - image) * cover
    return mixed
