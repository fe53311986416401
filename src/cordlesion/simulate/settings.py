"""The knobs of the simulation: how lesions look, and how a reader misses them.

Everything that makes the simulated task easier or harder is here, with its source. Raise the offsets of
``ReaderSettings`` for a noisier reference, ``LesionSettings.contrast`` for an easier task.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class LesionSettings:
    """Distributions of the true lesions."""

    mean_per_cord: float = 6.0
    """Mean of the negative binomial for the whole cord; readers then find about as many as published (Bot 2004)."""
    dispersion: float = 1.3
    """Shape of the negative binomial."""
    most: int = 18
    """Largest number in one cord."""
    length_mm: float = 14.0
    """Median length along the cord (Kearney: means 18-25 mm; Bot 2004: median 0.8 vertebral segments)."""
    length_log_sd: float = 0.5
    area_mm2: float = 9.4
    """Median of the largest cross-section in a cord of 70 mm2 (Kearney: 4 to 11 mm2 by column)."""
    area_log_sd: float = 0.55
    length_area_correlation: float = 0.4
    columns: tuple[float, float, float, float] = (0.50, 0.36, 0.06, 0.08)
    """Shares of lateral, posterior, anterior and central lesions (Kearney; Eden 2019)."""
    inner_share: float = 0.09
    """Share of lateral, posterior and anterior lesions that do not reach the surface."""
    contrast: float = 1.58
    """Median of lesion over cord signal (T2 110 ms against 74 ms at TE 100 ms; 1.42 to 1.68 in one patient)."""
    contrast_scan_log_sd: float = 0.06
    contrast_lesion_log_sd: float = 0.06
    contrast_size_log_sd: float = 0.05
    """Part of the contrast that follows the lesion's volume: larger lesions are brighter (r about 0.4)."""
    roughness: tuple[float, float] = (0.14, 0.28)
    """SD of the radius around the smooth spindle."""
    halo_share: float = 0.33
    """Share of lesions with a faint rim of 5-20 % of their contrast."""
    diffuse_share: float = 0.13
    """Share of subjects with diffuse, unmarked signal increase (Bot 2004)."""
    overlooked_share: float = 0.1
    """Share of subjects judged free of lesions who have a faint one."""
    friends_per_100_mm: float = 0.3
    """Faint blurred spots that no reader should mark, per 100 mm of cord."""


@dataclass(frozen=True)
class ReaderSettings:
    """How the reference differs from the truth (Thaler 2025, Galler 2016, Alcaide-Leon 2016; outlines: assumed)."""

    half_seen_cnr: float = 2.5
    """Contrast over the noise of a single voxel, after partial volume, at which half of the lesions are seen."""
    cnr_slope: float = 1.3
    """Steepness of that curve: 95 % near 4.8."""
    narrow_mm: float = 1.0
    """Lesions narrower than this are mostly lost."""
    smallest_mm3: float = 10.0
    """Nobody outlines less: 3 mm long, as the criteria ask, and 2 mm wide in one slice of 2.8 mm."""
    lapse: float = 0.10
    """Share of plainly visible lesions that are overlooked all the same."""
    offset_sd_mm: float = 0.35
    """Smooth displacement of the outline."""
    offset_scale_mm: float = 5.0
    bias_sd_mm: float = 0.20
    """Displacement of all outlines of a scan."""
    fill_threshold: tuple[float, float] = (0.50, 0.06)
    """Mean and SD over scans of the share of a voxel that must look like lesion."""
    merge_gap_mm: float = 3.0
    merge_share: float = 0.5
    false_lesions: float = 0.08
    """False lesions per scan (MAGNIMS 2018: 0.16-0.38 per healthy brain and cord)."""


LESIONS = LesionSettings()
READER = ReaderSettings()
