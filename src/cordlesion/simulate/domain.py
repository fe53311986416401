"""Domains of simulated scans: clinical protocols, the same around the cord only, or anything that may come.

A network that is trained on scans of the ``varied`` domain has met contrasts, resolutions and artefacts beyond those of
any real protocol, so that a real scan is one more variation (Tobin et al., IROS 2017; Billot et al., SynthSeg, Med.
Image Anal. 2023): domain randomisation. Its scans start from a clinical one, of which the acquisition and the signals
are drawn again. Scans of the ``reduced`` domain are clinical ones with a reduced field of view.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, TypeVar

import numpy as np

from cordlesion.simulate.acquisition import Acquisition, Artefacts
from cordlesion.simulate.settings import LESIONS, READER, LesionSettings, ReaderSettings
from cordlesion.simulate.signals import Signals

Domain = Literal["clinical", "reduced", "varied"]
Drawn = TypeVar("Drawn", Acquisition, Signals)

SHARE_3D = 0.45
"""Share of the sagittal scans that are 3-D, with thin slices."""
REDUCED_LENGTH_MM, REDUCED_WIDTH_MM = (105.0, 135.0), 28.0
"""Reduced field of view: range along the cord, and width of a stack of sagittal slices."""
REDUCED_EDGE_MM = 64.0
"""Edge of axial slices with a reduced field of view; that of sagittal ones is 24 mm less plus the excursion."""
EXCURSION = 0.45
"""Largest range of the cord from front to back, as a share of the field of view along it: kyphosis and pose."""


@dataclass(frozen=True)
class ScanDomain:
    """How the scans of a domain are drawn."""

    lesions: LesionSettings
    reader: ReaderSettings
    acquisition: Callable[[np.random.Generator, Acquisition], Acquisition]
    """Changes the acquisition of a clinical scan."""
    signals: Callable[[np.random.Generator, Signals], Signals]
    """Changes the signal levels of a clinical scan."""


def _as_it_is(_rng: np.random.Generator, drawn: Drawn) -> Drawn:
    return drawn


def reduce_field_of_view(rng: np.random.Generator, clinical: Acquisition) -> Acquisition:
    """Cut the field of view to the canal and what is around it: a seventh of the voxels, the same image quality."""
    length = rng.uniform(*REDUCED_LENGTH_MM)
    pose = replace(clinical.pose, forward_mm=rng.normal(0, 2))
    if clinical.plane == "axial":
        edge = _even(REDUCED_EDGE_MM / clinical.pixel_mm)
        slices = min(clinical.slices, round(length / clinical.slice_mm))
        return replace(clinical, matrix=(edge, edge), slices=slices, pose=pose)
    depth = EXCURSION * length + REDUCED_EDGE_MM - 24
    matrix = (_even(depth / clinical.pixel_mm), _even(length / clinical.pixel_mm))
    return replace(clinical, matrix=matrix, slices=round(REDUCED_WIDTH_MM / clinical.slice_mm), pose=pose)


def vary_acquisition(rng: np.random.Generator, clinical: Acquisition) -> Acquisition:
    """Draw resolution, slices, field of view, blur, noise, coil and artefacts again, from wide ranges."""
    grid = _sagittal if clinical.plane == "sagittal" else _axial
    pixel, matrix, slices, spacing = grid(rng, clinical)
    coarse = rng.uniform(1.0, 1.7, 2) if rng.random() < 0.6 else np.ones(2)
    return replace(
        clinical,
        pixel_mm=pixel,
        matrix=matrix,
        slices=slices,
        slice_mm=spacing,
        # Gaps between slices, or slices that overlap.
        thickness_mm=spacing * rng.uniform(0.75, 1.2),
        acquired_mm=(float(pixel * coarse[0]), float(pixel * coarse[1])),
        # Without a filter, the truncation of k-space gives ringing.
        filter_sd_mm=max(rng.uniform(-0.15, 0.75), 0.0),
        noise=float(np.exp(rng.uniform(np.log(0.015), np.log(0.16)))),
        shading_z=rng.uniform(1.02, 2.4),
        shading_back=rng.uniform(1.0, 3.2),
        artefacts=Artefacts(
            ghost=rng.uniform(0.0, 0.06),
            ghost_shift=rng.uniform(0.04, 0.4),
            motion_mm=max(rng.uniform(-0.4, 0.7), 0.0),
            slice_gain_sd=rng.uniform(0.0, 0.06),
            breathing=max(rng.uniform(-0.03, 0.03), 0.0),
        ),
    )


def vary_signals(rng: np.random.Generator, clinical: Signals) -> Signals:
    """Draw the signal of every tissue again, from wide ranges."""
    return replace(
        clinical,
        csf=rng.uniform(1.6, 4.5),
        grey=rng.uniform(0.92, 1.32),
        body=rng.uniform(0.25, 1.9),
        nucleus=rng.uniform(0.2, 2.4),
        dark=rng.uniform(0.05, 0.4),
        rim=rng.uniform(0.05, 0.7),
        muscle=rng.uniform(0.15, 0.7),
        fat=rng.uniform(0.4, 2.6),
        lesion_gain=float(np.exp(rng.normal(0, 0.18))),
        contrast_range=(1.2, 2.8),
        csf_unevenness=rng.uniform(0.03, 0.3),
        flow_loss=rng.uniform(0.0, 0.9),
    )


def _sagittal(rng: np.random.Generator, clinical: Acquisition) -> tuple[float, tuple[int, int], int, float]:
    """Return pixel, matrix, number of slices and their distance; the field of view is cropped around the cord."""
    length = rng.uniform(70, 0.95 * clinical.matrix[1] * clinical.pixel_mm)
    depth = max(rng.uniform(80, 170), EXCURSION * length + 60)
    if rng.random() < SHARE_3D:
        pixel, spacing, width = rng.uniform(0.65, 1.15), rng.uniform(0.75, 1.25), rng.uniform(34, 54)
    else:
        pixel, spacing, width = rng.uniform(0.42, 0.95), rng.uniform(2.0, 4.2), rng.uniform(32, 48)
    return pixel, (_even(depth / pixel), _even(length / pixel)), round(width / spacing), spacing


def _axial(rng: np.random.Generator, _clinical: Acquisition) -> tuple[float, tuple[int, int], int, float]:
    pixel, spacing = rng.uniform(0.45, 0.95), rng.uniform(2.5, 8.0)
    width, depth, length = rng.uniform(60, 150), rng.uniform(85, 150), rng.uniform(70, 160)
    return pixel, (_even(width / pixel), _even(depth / pixel)), round(length / spacing), spacing


def _even(count: float) -> int:
    return 2 * round(count / 2)


DOMAINS: Mapping[Domain, ScanDomain] = MappingProxyType(
    {
        "clinical": ScanDomain(LESIONS, READER, _as_it_is, _as_it_is),
        "reduced": ScanDomain(LESIONS, READER, reduce_field_of_view, _as_it_is),
        "varied": ScanDomain(
            LesionSettings(
                length_mm=12.0, length_log_sd=0.6, area_mm2=8.5, area_log_sd=0.65, roughness=(0.05, 0.35),
                inner_share=0.15, mimics_per_100_mm=0.8, diffuse_share=0.2, canal_share=0.3,
            ),
            # A network is to learn from what can be seen; it has no use for the errors of a reader.
            ReaderSettings(
                half_detection_cnr=2.0, cnr_slope=4.0, lapse=0.0, offset_sd_mm=0.1, bias_sd_mm=0.0,
                fill_threshold=(0.5, 0.0), merge_share=0.0, false_lesions=0.0,
            ),
            vary_acquisition,
            vary_signals,
        ),
    }
)  # fmt: skip
"""``clinical``: protocols and readers of Hussein et al.; ``reduced``: the same, with a reduced field of view;
``varied``: wider than any protocol, with a careful reader."""
