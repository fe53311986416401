"""Renders slices: the anatomy is integrated through the slice profile, on a finer grid than the stored one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft

from cordlesion.io.arrays import Array
from cordlesion.simulate.acquisition import Acquisition
from cordlesion.simulate.anatomy import S_MM, Anatomy
from cordlesion.simulate.canal import LAYERS, Section, canal_layers, section_at
from cordlesion.simulate.frame import CordFrame
from cordlesion.simulate.signals import Signals
from cordlesion.simulate.spindle import Lesion
from cordlesion.simulate.surroundings import surroundings_signal

FINE_MM = 0.42
"""Step of the grid on which slices are rendered; it is finer than any acquired resolution."""
CANAL_MARGIN_MM = 3.5
"""Points farther from the wall of the sac do not belong to the canal."""
CANAL_POINTS = {"sagittal": 6, "axial": 5}
"""Number of points through the slice profile near the canal."""
GROUND_POINTS = 2
"""Number of points through the slice profile elsewhere."""
ROWS_AT_ONCE = 32
"""Number of rows that are interpolated together."""
PROFILE_EXTENT = 1.15
"""Width of the integration range in units of the full width at half maximum of the slice profile."""


@dataclass(frozen=True, eq=False)
class Scene:
    """The signal at any point of the scan frame."""

    anatomy: Anatomy
    frame: CordFrame
    lesions: Sequence[Lesion]
    """Lesions and mimics."""
    signals: Signals

    def lateral_mm(self, s: Array) -> Array:
        """Return the lateral position of the centre of the cord, positive to the right."""
        return np.interp(s, S_MM, self.frame.x_mm)

    def section(self, s: Array) -> Section:
        """Return the shape of the canal at positions along the cord."""
        return section_at(self.anatomy, s)

    @property
    def canal_reach_mm(self) -> float:
        """Largest distance of a point of the canal from the centre of the cord, to the front or the back."""
        section = self.section(S_MM)
        return float(np.max(np.abs(section.sac_shift) + section.sac_half_ap)) + CANAL_MARGIN_MM + 1

    def canal(self, x_mm: Array, section: Section, v: Array) -> Array:
        """Return the layers of the canal (:data:`LAYERS`) at columns ``x_mm`` and points (s, v), (layers, X, P)."""
        u, v = self._turned(x_mm, section, v)
        return canal_layers(self.anatomy, section, u, v, self.lesions, self.signals)

    def ground(self, x_mm: Array, section: Section, v: Array) -> Array:
        """Return the signal of the surroundings at columns ``x_mm`` and points (s, v): shape (X, P)."""
        u, v = self._turned(x_mm, section, v)
        return surroundings_signal(self.anatomy, section, u, v, self.signals)

    def _turned(self, x_mm: Array, section: Section, v: Array) -> tuple[Array, Array]:
        """Return section coordinates (u, v), rotated by the roll of the body."""
        from_cord = (x_mm[:, None] - self.lateral_mm(section.s)).astype(np.float32)
        cosine, sine = np.float32(np.cos(self.frame.roll)), np.float32(np.sin(self.frame.roll))
        return cosine * from_cord + sine * v, cosine * v - sine * from_cord


def near_canal(section: Section, v: Array) -> Array:
    """Return the indices of the points (s, v) that may belong to the canal."""
    return np.flatnonzero(np.abs(v - section.sac_shift) < section.sac_half_ap + CANAL_MARGIN_MM)


class SliceRenderer:
    """Renders the slices of one scan one at a time, to save memory.

    A rendered slice is an array (layers, in-plane, in-plane) with the layers of :data:`LAYERS`; here the first is the
    signal of canal and surroundings. The in-plane axes are those of :class:`Acquisition`.
    """

    def __init__(self, scene: Scene, acquisition: Acquisition) -> None:
        """Prepare the grids."""
        self.scene, self.acquisition = scene, acquisition
        # Twice a fast FFT length, because the grid of the surroundings has exactly half the points.
        half = [fft.next_fast_len(int(np.ceil(size / FINE_MM / 2)), real=False) for size in acquisition.drawn_mm]
        self.coarse = [_grid(n, size) for n, size in zip(half, acquisition.drawn_mm, strict=True)]
        self.fine = [_grid(2 * n, size) for n, size in zip(half, acquisition.drawn_mm, strict=True)]
        self.shape = (2 * half[0], 2 * half[1])
        if acquisition.plane == "sagittal":
            # All slices have the same s and v, which depend neither on x nor on the offset through the slice.
            s, self._ground_v = scene.frame.section(*_mesh(self.coarse))
            self._ground_section = scene.section(s)
            s, v = scene.frame.section(*_mesh(self.fine))
            around = np.flatnonzero(np.abs(v) < scene.canal_reach_mm)
            section = scene.section(s[around])
            near = near_canal(section, v[around])
            self._canal_index = around[near]
            self._canal_section, self._canal_v = section.at(near), v[self._canal_index]

    def render(self, index: int) -> Array:
        """Render slice ``index``."""
        sagittal = self.acquisition.plane == "sagittal"
        position = float(self.acquisition.axis_mm(0 if sagittal else 2)[index])
        layers = self._canal_of_sagittal(position) if sagittal else self._canal_of_axial(position)
        ground = self._ground_of_sagittal(position) if sagittal else self._ground_of_axial(position)
        cover = layers[LAYERS.index("cover")]
        layers[0] += (1 - cover) * doubled(ground)
        return layers

    def _profile(self, count: int) -> tuple[Array, Array]:
        """Return offsets through the slice in mm and their weights: constant in the middle, linear at both ends."""
        half = PROFILE_EXTENT / 2
        offsets = _grid(count, PROFILE_EXTENT)
        weights = np.clip((half + 0.075 - np.abs(offsets)) / 0.15, 0, 1)
        return offsets * self.acquisition.thickness_mm, (weights / weights.sum()).astype(np.float32)

    def _canal_of_sagittal(self, x_mm: float) -> Array:
        layers = np.zeros((len(LAYERS), self.shape[0] * self.shape[1]), dtype=np.float32)
        offsets, weights = self._profile(CANAL_POINTS["sagittal"])
        section = self._canal_section
        reach = section.sac_half_rl + self.acquisition.thickness_mm + CANAL_MARGIN_MM
        hit = np.flatnonzero(np.abs(x_mm - self.scene.lateral_mm(section.s)) < reach)
        if hit.size:
            layers[:, self._canal_index[hit]] = np.einsum(
                "x,lxp->lp", weights, self.scene.canal(x_mm + offsets, section.at(hit), self._canal_v[hit])
            )
        return layers.reshape(-1, *self.shape)

    def _ground_of_sagittal(self, x_mm: float) -> Array:
        offsets, weights = self._profile(GROUND_POINTS)
        ground: Array = weights @ self.scene.ground(x_mm + offsets, self._ground_section, self._ground_v)
        return ground.reshape(self.shape[0] // 2, self.shape[1] // 2)

    def _canal_of_axial(self, z_mm: float) -> Array:
        layers = np.zeros((len(LAYERS), *self.shape), dtype=np.float32)
        for offset, weight in zip(*self._profile(CANAL_POINTS["axial"]), strict=True):
            s, v = self.scene.frame.section(self.fine[1], np.full_like(self.fine[1], z_mm + offset))
            whole = self.scene.section(s)
            rows = near_canal(whole, v)
            if rows.size == 0:
                continue
            section = whole.at(rows)
            reach = float(section.sac_half_rl.max()) + CANAL_MARGIN_MM + 2
            columns = np.flatnonzero(np.abs(self.fine[0] - self.scene.lateral_mm(section.s).mean()) < reach)
            layers[np.ix_(np.arange(len(LAYERS)), columns, rows)] += weight * self.scene.canal(
                self.fine[0][columns], section, v[rows]
            )
        return layers

    def _ground_of_axial(self, z_mm: float) -> Array:
        ground = np.zeros((self.shape[0] // 2, self.shape[1] // 2), dtype=np.float32)
        for offset, weight in zip(*self._profile(GROUND_POINTS), strict=True):
            s, v = self.scene.frame.section(self.coarse[1], np.full_like(self.coarse[1], z_mm + offset))
            ground += weight * self.scene.ground(self.coarse[0], self.scene.section(s), v)
        return ground


def doubled(image: Array) -> Array:
    """Interpolate linearly to twice as many points with the same field of view; the border is repeated outside.

    Computed in double precision for a few rows at a time, which fit into the processor cache: this takes a tenth of the
    time.
    """
    rows, columns = image.shape
    fine = np.empty((2 * rows, 2 * columns), dtype=np.float32)
    framed = np.pad(image, 1, mode="edge")
    for start in range(0, rows, ROWS_AT_ONCE):
        part = _halfway(framed[start : start + ROWS_AT_ONCE + 2].astype(np.float64))
        fine[2 * start : 2 * (start + ROWS_AT_ONCE)] = _halfway(part.T).T
    return fine


def _halfway(rows: Array) -> Array:
    """Interpolate two rows between each pair of rows, at 1/4 and 3/4, without the outermost ones."""
    near, far = 0.75 * rows[1:-1], 0.25 * rows
    between = np.empty((2 * len(near), rows.shape[1]))
    np.add(near, far[:-2], out=between[::2])
    np.add(near, far[2:], out=between[1::2])
    return between


def _grid(count: int, size: float) -> Array:
    """Return the centres of ``count`` cells that fill ``size``, around 0."""
    return (np.arange(count) + 0.5) * size / count - size / 2


def _mesh(axes: Sequence[Array]) -> tuple[Array, Array]:
    first, second = np.meshgrid(*axes, indexing="ij")
    return first.ravel(), second.ravel()
