"""Acquisition parameters of one scan: field of view, slices, resolution, coil, artefacts."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cordlesion.io.arrays import Array
from cordlesion.simulate import levels
from cordlesion.simulate.frame import Pose
from cordlesion.simulate.randomness import keyed_rng, lognormal, normal
from cordlesion.simulate.site import Site

Plane = Literal["sagittal", "axial"]
Region = Literal["cervical", "cervicothoracic", "thoracic"]

BORDER = 12
"""Pixels acquired beyond each edge of the stored image."""


@dataclass(frozen=True)
class Artefacts:
    """Strength of the artefacts; 0 if absent."""

    ghost: float
    """Share of the fluid signal in a shifted copy along the phase-encoding direction."""
    ghost_shift: float
    """Shift of the copy as a share of the field of view."""
    motion_mm: float
    """SD of the in-plane shift between slices."""
    slice_gain_sd: float
    breathing: float
    """Amplitude of the ghost of the front of the neck."""


@dataclass(frozen=True)
class Acquisition:
    """The protocol of one scan.

    In-plane axes are (front-back, up-down) for sagittal scans and (right-left, front-back) for axial ones.
    """

    plane: Plane
    region: Region
    matrix: tuple[int, int]
    """Stored pixels along the two in-plane axes."""
    pixel_mm: float
    slices: int
    slice_mm: float
    """Distance between slices."""
    thickness_mm: float
    """Full width at half maximum of the slice profile."""
    acquired_mm: tuple[float, float]
    """True resolution along the two in-plane axes, before zero-filling."""
    phase_axis: Literal[0, 1]
    filter_sd_mm: float
    noise: float
    shading_z: float
    """Largest divided by smallest coil sensitivity along the cord."""
    shading_back: float
    """Coil sensitivity at the back divided by that at the front."""
    saturation_mm: float
    """Start of the saturation band in front of the middle; infinite if there is none."""
    pose: Pose
    oblique_deg: tuple[float, float, float]
    """Rotation of the field of view relative to the scanner, about x, y, z."""
    artefacts: Artefacts
    gain: float

    @property
    def drawn_matrix(self) -> tuple[int, int]:
        """Stored pixels plus a border that contains wrapped signal and is cut off, as with oversampling."""
        return self.matrix[0] + 2 * BORDER, self.matrix[1] + 2 * BORDER

    @property
    def drawn_mm(self) -> tuple[float, float]:
        """In-plane field of view with the border."""
        return self.drawn_matrix[0] * self.pixel_mm, self.drawn_matrix[1] * self.pixel_mm

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along right, front, up."""
        if self.plane == "sagittal":
            return self.slice_mm, self.pixel_mm, self.pixel_mm
        return self.pixel_mm, self.pixel_mm, self.slice_mm

    @property
    def is_3d(self) -> bool:
        """Whether the slices are thin; they are drawn one by one all the same."""
        return self.slice_mm < 1.5

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along right, front, up."""
        if self.plane == "sagittal":
            return self.slices, *self.matrix
        return *self.matrix, self.slices

    def axis_mm(self, axis: int) -> Array:
        """Return the voxel centres along right (0), front (1) or up (2), in mm from the middle of the field of view."""
        count = self.shape[axis]
        return (np.arange(count) - (count - 1) / 2) * self.spacing_mm[axis]

    @property
    def covered_mm(self) -> tuple[float, float]:
        """Approximate range of the cord in view: from, to."""
        half = 0.5 * self.shape[2] * self.spacing_mm[2] - 8
        return max(self.pose.centre_s_mm - half, 2.0), self.pose.centre_s_mm + half


CENTRE_MM: dict[Region, tuple[float, float]] = {
    "cervical": (levels.centre_mm("C5") - 2, 6.0),
    "cervicothoracic": (levels.centre_mm("T1") - 8, 8.0),
    "thoracic": (levels.centre_mm("T6") + 5, 10.0),
}
"""Middle of the field of view along the cord: mean and SD."""
FIELD_MM: dict[Region, tuple[float, float]] = {
    "cervical": (218.0, 262.0),
    "cervicothoracic": (280.0, 310.0),
    "thoracic": (310.0, 345.0),
}
"""Range of the sagittal field of view."""


def draw_acquisition(seed: int, subject: int, scan: int, site: Site, plane: Plane, region: Region) -> Acquisition:
    """Draw the protocol of a scan at a site."""
    rng = keyed_rng("acquisition", seed, subject, scan)
    shape = _sagittal(rng, site, region) if plane == "sagittal" else _axial(rng, region)
    pixel, matrix, slices, spacing = shape
    phase_axis: Literal[0, 1] = int(rng.random() < 0.55)  # type: ignore[assignment]
    read = max(pixel, rng.uniform(0.62, 0.80)) if site.zero_fill else pixel
    phase = max(pixel, rng.uniform(0.82, 1.12)) if site.zero_fill else max(pixel, 0.7)
    return Acquisition(
        plane=plane,
        region=region,
        matrix=matrix,
        pixel_mm=pixel,
        slices=slices,
        slice_mm=spacing,
        thickness_mm=spacing * rng.uniform(0.92, 1.0),
        acquired_mm=(phase, read) if phase_axis == 0 else (read, phase),
        phase_axis=phase_axis,
        filter_sd_mm=site.filter_sd_mm,
        noise=float(np.clip(site.noise * np.exp(rng.normal(0, 0.15)), 0.032, 0.14)),
        shading_z=lognormal(rng, 1.38, 0.14, 1.12, 1.85),
        shading_back=rng.uniform(1.5, 2.5),
        saturation_mm=_saturation(rng, site, plane, region),
        pose=_pose(rng, plane, region),
        oblique_deg=(rng.normal(0, 5), rng.normal(0, 4), rng.normal(0, 4)),
        artefacts=_artefacts(rng),
        gain=site.gain * rng.uniform(0.85, 1.15),
    )


def _sagittal(rng: np.random.Generator, site: Site, region: Region) -> tuple[float, tuple[int, int], int, float]:
    field = rng.uniform(*FIELD_MM[region])
    pixel = float(np.clip(site.pixel_mm * (field / 245) ** 0.7 * rng.uniform(0.97, 1.03), 0.42, 0.88))
    count = 2 * round(field / pixel / 2)
    # Thoracic fields of view may be shorter from front to back: the front contains only motion.
    deep = 2 * round(min(field, 262.0) / pixel / 2)
    return (
        pixel,
        (deep, count),
        int(rng.integers(11, 16)),
        float(np.clip(site.slice_mm + rng.normal(0, 0.04), 2.2, 3.5)),
    )


def _axial(rng: np.random.Generator, region: Region) -> tuple[float, tuple[int, int], int, float]:
    pixel = normal(rng, 0.66, 0.06, 0.52, 0.78)
    spacing = float(rng.choice((3.0, 3.3, 4.0, 5.0, 7.5), p=(0.25, 0.25, 0.25, 0.15, 0.10)))
    length = rng.uniform(118, 148) if region == "cervical" else rng.uniform(150, 190)
    count = int(np.clip(round(length / spacing), 19, 40))
    field = rng.uniform(165, 185)
    return pixel, (2 * round(field / pixel / 2), 2 * round(0.9 * field / pixel / 2)), count, spacing


def _saturation(rng: np.random.Generator, site: Site, plane: Plane, region: Region) -> float:
    if plane == "axial" or not site.saturation_band:
        return float("inf")
    return rng.uniform(36, 48) + (12 if region == "thoracic" else 0)


def _pose(rng: np.random.Generator, plane: Plane, region: Region) -> Pose:
    mean, sd = CENTRE_MM[region]
    if plane == "axial" and region == "cervical":
        mean -= 14
    return Pose(
        centre_s_mm=normal(rng, mean, sd, mean - 2 * sd, mean + 2 * sd),
        forward_mm=rng.normal(-12, 5) if plane == "sagittal" else rng.normal(-8, 4),
        pitch=np.radians(normal(rng, 0, 3.5, -8, 8)),
        offset_mm=normal(rng, 0, 1.2, -3, 3),
        tilt=float(np.tan(np.radians(normal(rng, 0, 1.6, -5, 5)))),
        roll=float(np.radians(normal(rng, 0, 3, -8, 8))),
    )


def _artefacts(rng: np.random.Generator) -> Artefacts:
    """Draw artefacts: moderate in a quarter of the scans, strong in one of twenty, weak in the others."""
    level = rng.choice((0.15, 1.0, 2.2), p=(0.70, 0.25, 0.05))
    return Artefacts(
        ghost=float(level * rng.uniform(0.01, 0.035)),
        ghost_shift=rng.uniform(0.04, 0.22),
        motion_mm=float(min(level * rng.uniform(0.1, 0.35), 0.8)),
        slice_gain_sd=rng.uniform(0.01, 0.035),
        breathing=float(level * rng.uniform(0.0, 0.02)),
    )
