"""Sensitivity of the receiver coil: high near the back, uneven along the cord."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from cordlesion.io.arrays import Array
from cordlesion.simulate.acquisition import Acquisition
from cordlesion.simulate.frame import CordFrame

BACK_DEPTH_MM = 70.0
"""Distance over which the sensitivity decreases from the value at the back to the value at the front."""
CUT_MM = 8.0
"""Width of the edge of the saturation band."""


@dataclass(frozen=True, eq=False)
class Coil:
    """Smooth coil sensitivity of one scan, with a mean of about 1 at the cord."""

    acquisition: Acquisition
    frame: CordFrame
    waves: tuple[tuple[float, float, float], ...]
    """Amplitude, wavelength (in fields of view) and phase of the variations along the body."""

    def sensitivities(self, axes: Sequence[Array]) -> Iterator[Array]:
        """Yield the sensitivity on the in-plane grid of each slice."""
        if self.acquisition.plane == "sagittal":
            # The sensitivity varies only along the body and from front to back.
            yield from repeat(self._at(axes[0][:, None], axes[1][None, :]).astype(np.float32), self.acquisition.slices)
            return
        sideways = 1 + 0.15 * (np.abs(axes[0]) / 80) ** 2
        for z in self.acquisition.axis_mm(2)[:, None, None]:
            yield (sideways[:, None] * self._at(axes[1][None, :], z)).astype(np.float32)

    def _at(self, y_mm: Array, z_mm: Array) -> Array:
        _, _, cord_y = self.frame.at_height(z_mm)
        depth = np.clip((y_mm - cord_y) / BACK_DEPTH_MM, -1.2, 1.6)
        back = self.acquisition.shading_back ** (-0.7 * depth)
        band = 0.4 + 0.6 / (1 + np.exp((y_mm - cord_y - self.acquisition.saturation_mm) / CUT_MM * 4))
        sensitivity: Array = back * band * self._along(z_mm)
        return sensitivity

    def _along(self, z_mm: Array) -> Array:
        """Return the variation along the body; the ratio of its extremes in the field of view is ``shading_z``."""
        half = self.acquisition.axis_mm(2)[-1]
        probe = self._wave(np.linspace(-half, half, 200))
        relative = (self._wave(z_mm) - probe.mean()) / max(float(np.ptp(probe)), 1e-6)
        factor: Array = self.acquisition.shading_z**relative
        return factor

    def _wave(self, z_mm: Array) -> Array:
        extent = 2 * self.acquisition.axis_mm(2)[-1]
        waves: Array = np.sum([a * np.cos(2 * np.pi * z_mm / (w * extent) + p) for a, w, p in self.waves], axis=0)
        return waves


def draw_coil(rng: np.random.Generator, acquisition: Acquisition, frame: CordFrame) -> Coil:
    """Draw the sensitivity of a scan."""
    waves = tuple((a, rng.uniform(*w), rng.uniform(0, 2 * np.pi)) for a, w in ((1.0, (1.2, 2.4)), (0.35, (0.5, 0.8))))
    return Coil(acquisition, frame, waves)
