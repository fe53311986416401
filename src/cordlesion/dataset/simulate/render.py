"""Drawing the slices of a scan: the anatomy integrated through the slice profile, on a grid finer than the stored one."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.ndimage import zoom

from cordlesion.dataset.simulate.acquisition import Acquisition
from cordlesion.dataset.simulate.anatomy import Anatomy
from cordlesion.dataset.simulate.canal import CanalSignal, Section, canal_signal, section_at
from cordlesion.dataset.simulate.frame import CordFrame
from cordlesion.dataset.simulate.lesions import Lesion
from cordlesion.dataset.simulate.randomness import Array
from cordlesion.dataset.simulate.signals import Signals
from cordlesion.dataset.simulate.surroundings import surroundings_signal

Float32 = npt.NDArray[np.float32]

FINE_MM = 0.42
"""Step of the grid on which slices are drawn; half of it is finer than any acquired resolution."""
CANAL_MARGIN_MM = 3.0
SUBSLICES = {"sagittal": 6, "axial": 5}
"""Points through the slice profile near the canal; the surroundings need two."""
PROFILE_EXTENT = 1.15
"""Width over which the slice profile is integrated, in units of its full width at half maximum."""


@dataclass(frozen=True, eq=False)
class DrawnSlice:
    """One slice on the fine grid, in-plane axes as in :class:`Acquisition`."""

    value: Float32
    cord: Float32
    lesion: Float32
    excess: Float32
    csf: Float32


class SliceArtist:
    """Draws the slices of one scan, one at a time, so that memory stays small."""

    def __init__(
        self, anatomy: Anatomy, frame: CordFrame, lesions: Sequence[Lesion], signals: Signals, acquisition: Acquisition
    ) -> None:
        self.anatomy, self.frame, self.lesions, self.signals, self.acquisition = anatomy, frame, lesions, signals, acquisition
        # Twice a fast length: the coarse grid of the surroundings has exactly half the points.
        self.fine_shape = tuple(2 * fft.next_fast_len(int(np.ceil(size / FINE_MM / 2)), real=False) for size in acquisition.field_mm)
        self.axes = tuple(_grid(n, size) for n, size in zip(self.fine_shape, acquisition.field_mm, strict=True))
        self.coarse_axes = tuple(_grid(n // 2, size) for n, size in zip(self.fine_shape, acquisition.field_mm, strict=True))
        if acquisition.plane == "sagittal":
            self._sagittal_points = self._points_of_sagittal(self.axes)
            self._sagittal_coarse = self._points_of_sagittal(self.coarse_axes)

    def draw(self, index: int) -> DrawnSlice:
        """Draw slice ``index``."""
        middle = self.acquisition.axis_mm(0 if self.acquisition.plane == "sagittal" else 2)[index]
        if self.acquisition.plane == "sagittal":
            return self._draw_sagittal(float(middle))
        return self._draw_axial(float(middle))

    def _points_of_sagittal(self, axes: tuple[Array, ...]) -> tuple[Float32, Float32]:
        y, z = np.meshgrid(*axes, indexing="ij")
        s, v = self.frame.section(y.ravel(), z.ravel())
        return s, v

    def _profile(self, count: int) -> tuple[Array, Array]:
        """Offsets through the slice and their weights: flat in the middle, with soft flanks."""
        half = PROFILE_EXTENT / 2
        edges = np.linspace(-half, half, count + 1)
        offsets = (edges[:-1] + edges[1:]) / 2
        weights = np.clip((half + 0.075 - np.abs(offsets)) / 0.15, 0, 1)
        return offsets * self.acquisition.thickness_mm, weights / weights.sum()

    def _coordinates(self, x: Array, s: Float32, v: Float32) -> tuple[Float32, Float32]:
        """Section coordinates (u, v) of shape (X, P) for columns ``x`` and points (s, v)."""
        from_cord = (x[:, None] - np.interp(s, *self._lateral)).astype(np.float32)
        cosine, sine = np.float32(np.cos(self.frame.roll)), np.float32(np.sin(self.frame.roll))
        return cosine * from_cord + sine * v, cosine * v - sine * from_cord

    @property
    def _lateral(self) -> tuple[Array, Array]:
        from cordlesion.dataset.simulate.anatomy import S_MM

        return S_MM, self.frame.x_mm

    def _canal(self, section: Section, x: Array, v: Float32) -> CanalSignal:
        u, v = self._coordinates(x, section.s, v)
        return canal_signal(self.anatomy, section, u, v, self.lesions, self.signals)

    def _draw_sagittal(self, x_mm: float) -> DrawnSlice:
        offsets, weights = self._profile(2)
        s, v = self._sagittal_coarse
        section = section_at(self.anatomy, s)
        u, rolled = self._coordinates(x_mm + offsets, s, v)
        ground = weights @ surroundings_signal(self.anatomy, section, u, rolled, self.signals)
        ground = zoom(ground.reshape([n // 2 for n in self.fine_shape]).astype(np.float32), 2, order=1, grid_mode=True, mode="nearest")
        s, v = self._sagittal_points
        section = section_at(self.anatomy, s[::1])
        from_cord = x_mm - np.interp(s, *self._lateral)
        reach = self.acquisition.thickness_mm + CANAL_MARGIN_MM
        inside = (np.abs(v - section.sac_shift) < section.sac_half_ap + CANAL_MARGIN_MM) & (np.abs(from_cord) < section.sac_half_rl + reach)
        points = np.flatnonzero(inside)
        offsets, weights = self._profile(SUBSLICES["sagittal"])
        part = Section(**{f.name: getattr(section, f.name)[points] for f in fields(Section)})
        canal = self._canal(part, x_mm + offsets, v[points])
        layers = {}
        for name in ("cover", "cord", "lesion", "excess", "csf"):
            layers[name] = np.zeros(self.fine_shape, dtype=np.float32)
            layers[name].flat[points] = weights @ getattr(canal, name)
        painted = np.zeros(self.fine_shape, dtype=np.float32)
        painted.flat[points] = weights @ (canal.value * canal.cover)
        cover = layers.pop("cover")
        return DrawnSlice(value=ground * (1 - cover) + painted, **layers)

    def _draw_axial(self, z_mm: float) -> DrawnSlice:
        offsets, weights = self._profile(2)
        ground = np.zeros([n // 2 for n in self.fine_shape], dtype=np.float32)
        for offset, weight in zip(offsets, weights, strict=True):
            s, v = self.frame.section(self.coarse_axes[1], np.full_like(self.coarse_axes[1], z_mm + offset))
            u, rolled = self._coordinates(self.coarse_axes[0], s, v)
            ground += weight * surroundings_signal(self.anatomy, section_at(self.anatomy, s), u, rolled, self.signals)
        ground = zoom(ground, 2, order=1, grid_mode=True, mode="nearest")
        x_axis, y_axis = self.axes
        layers = {name: np.zeros(self.fine_shape, dtype=np.float32) for name in ("cover", "cord", "lesion", "excess", "csf")}
        painted = np.zeros(self.fine_shape, dtype=np.float32)
        for offset, weight in zip(*self._profile(SUBSLICES["axial"]), strict=True):
            s, v = self.frame.section(y_axis, np.full_like(y_axis, z_mm + offset))
            section = section_at(self.anatomy, s)
            rows = np.flatnonzero(np.abs(v - section.sac_shift) < section.sac_half_ap + CANAL_MARGIN_MM + 2)
            if rows.size == 0:
                continue
            part = Section(**{f.name: getattr(section, f.name)[rows] for f in fields(Section)})
            middle = float(np.interp(s[rows].mean(), *self._lateral))
            columns = np.flatnonzero(np.abs(x_axis - middle) < part.sac_half_rl.max() + CANAL_MARGIN_MM + 2)
            canal = self._canal(part, x_axis[columns], v[rows])
            window = np.ix_(columns, rows)
            for name, layer in layers.items():
                layer[window] += np.float32(weight) * getattr(canal, name)
            painted[window] += np.float32(weight) * canal.value * canal.cover
        cover = layers.pop("cover")
        return DrawnSlice(value=ground * (1 - cover) + painted, **layers)


def to_stored(fine: Float32, matrix: tuple[int, int]) -> Float32:
    """Sample a fine slice at the stored pixel centres, linearly."""
    for axis, count in enumerate(matrix):
        size = fine.shape[axis]
        position = np.clip((np.arange(count) + 0.5) * size / count - 0.5, 0, size - 1)
        low = np.minimum(position.astype(int), size - 2)
        share = (position - low).astype(np.float32)
        share = share[:, None] if axis == 0 else share[None, :]
        fine = np.take(fine, low, axis) * (1 - share) + np.take(fine, low + 1, axis) * share
    return fine


def _grid(count: int, size_mm: float) -> Array:
    return (np.arange(count) + 0.5) * size_mm / count - size_mm / 2
