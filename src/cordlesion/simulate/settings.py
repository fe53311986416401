"""Settings of the simulation: the appearance of lesions, and the errors of the reader.

All parameters that make the simulated task easier or harder are here, with their sources. Larger offsets in
``ReaderSettings`` give a noisier reference, a larger ``LesionSettings.contrast`` an easier task.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class LesionSettings:
    """Distributions of the true lesions."""

    mean_per_cord: float = 6.0
    """Mean of the negative binomial for the whole cord; readers then find about as many lesions as in Bot 2004."""
    dispersion: float = 1.3
    """Shape of the negative binomial."""
    max_count: int = 18
    """Largest number of lesions in one cord."""
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
    """Median ratio of lesion to cord signal (T2 110 ms and 74 ms at TE 100 ms; 1.42 to 1.68 in one patient)."""
    contrast_scan_log_sd: float = 0.06
    contrast_lesion_log_sd: float = 0.06
    contrast_size_log_sd: float = 0.05
    """Part of the contrast that depends on the volume: larger lesions are brighter (r about 0.4)."""
    roughness: tuple[float, float] = (0.14, 0.28)
    """Range of the SD of the radius relative to the smooth spindle."""
    halo_share: float = 0.33
    """Share of lesions with a faint rim, which has 5-20 % of their contrast."""
    diffuse_share: float = 0.13
    """Share of subjects with a diffuse signal increase that is not marked (Bot 2004)."""
    overlooked_share: float = 0.1
    """Share of subjects classified as lesion-free who have a faint lesion."""
    mimics_per_100_mm: float = 0.3
    """Faint blurred spots that no reader should mark, per 100 mm of cord."""
    canal_share: float = 0.0
    """Share of subjects with a bright central canal, a thin line along the cord that no reader should mark."""


@dataclass(frozen=True)
class ReaderSettings:
    """Differences between reference and truth (Thaler 2025, Galler 2016, Alcaide-Leon 2016; outlines: assumed)."""

    half_detection_cnr: float = 2.5
    """Contrast-to-noise ratio (after partial volume, noise of one voxel) at which half of the lesions are detected."""
    cnr_slope: float = 1.3
    """Slope of the detection curve: 95 % at about 4.8."""
    narrow_mm: float = 1.0
    """Most lesions that are narrower than this are missed."""
    min_volume_mm3: float = 10.0
    """Smallest outlined volume: 3 mm long, as in the criteria, and 2 mm wide in one slice of 2.8 mm."""
    lapse: float = 0.10
    """Share of clearly visible lesions that are overlooked."""
    offset_sd_mm: float = 0.35
    """SD of the smooth displacement of the outline."""
    offset_scale_mm: float = 5.0
    bias_sd_mm: float = 0.20
    """SD of the common displacement of all outlines of a scan."""
    fill_threshold: tuple[float, float] = (0.50, 0.06)
    """Mean and SD over scans of the share of lesion above which a voxel is marked."""
    merge_gap_mm: float = 3.0
    merge_share: float = 0.5
    false_lesions: float = 0.08
    """False positives per scan (MAGNIMS 2018: 0.16-0.38 per healthy brain and cord)."""


LESIONS = LesionSettings()
READER = ReaderSettings()
