"""Sites: scanner and protocol settings that all scans of a centre have in common."""

from dataclasses import dataclass

import numpy as np

from cordlesion.simulate.randomness import keyed_rng, lognormal, normal

SCANNERS = (
    ("Siemens", "Aera", 1.5), ("Siemens", "Skyra", 3.0), ("Siemens", "Avanto", 1.5), ("Siemens", "Verio", 3.0),
    ("Philips", "Ingenia", 1.5), ("Philips", "Achieva", 3.0), ("Philips", "Achieva", 1.5), ("Philips", "Ingenia", 3.0),
    ("GE", "Signa HDxt", 1.5), ("GE", "Discovery MR750", 3.0), ("GE", "Optima MR450w", 1.5),
    ("Canon", "Vantage Titan", 3.0), ("Canon", "Vantage Elan", 1.5),
)  # fmt: skip
"""Manufacturer, model and field strength in tesla; four manufacturers, as in Hussein et al."""
ORIENTATIONS = ("PSR", "PIL", "LPS", "RAS", "PIR", "AIL", "LAS", "ASR")
"""Orientations of the stored files, in nibabel's axis codes."""


@dataclass(frozen=True)
class Site:
    """One centre."""

    index: int
    manufacturer: str
    model: str
    field_tesla: float
    pixel_mm: float
    """In-plane size of a stored pixel in sagittal scans."""
    slice_mm: float
    """Distance between sagittal slices."""
    echo_time_s: float
    repetition_time_s: float
    csf: float
    """Ratio of fluid to cord signal; it increases with the echo time."""
    filter_sd_mm: float
    """SD of the Gaussian reconstruction filter."""
    noise: float
    """Noise SD divided by the signal of the cord."""
    orientation: str
    zero_fill: bool
    saturation_band: bool
    """Whether sagittal scans have a saturation band over the throat."""
    gain: float
    """Stored value of healthy cord."""


def draw_site(seed: int, index: int) -> Site:
    """Draw a site; scanners are assigned in a shuffled order, so that small cohorts contain several manufacturers."""
    rng = keyed_rng("site", seed, index)
    order = keyed_rng("site order", seed).permutation(len(SCANNERS))
    manufacturer, model, field = SCANNERS[order[index % len(SCANNERS)]]
    pixel = normal(rng, 0.585, 0.12, 0.42, 0.85)
    echo = rng.uniform(0.082, 0.122)
    noise = lognormal(rng, 0.075 if field == 1.5 else 0.064, 0.28, 0.035, 0.13)
    return Site(
        index=index,
        manufacturer=manufacturer,
        model=model,
        field_tesla=field,
        pixel_mm=pixel,
        slice_mm=normal(rng, 2.81, 0.20, 2.2, 3.5),
        echo_time_s=round(echo, 4),
        repetition_time_s=round(rng.uniform(2.8, 5.2), 2),
        csf=float(np.clip(3.05 * (echo / 0.102) ** 1.1 * np.exp(rng.normal(0, 0.09)), 2.2, 4.0)),
        filter_sd_mm=normal(rng, 0.33, 0.07, 0.20, 0.48),
        # Smaller pixels have more noise.
        noise=float(np.clip(noise * (0.58 / pixel) ** 0.5, 0.032, 0.13)),
        orientation=str(rng.choice(ORIENTATIONS)),
        zero_fill=bool(rng.random() < 0.75),
        saturation_band=bool(rng.random() < 0.7),
        gain=rng.uniform(120, 700),
    )
