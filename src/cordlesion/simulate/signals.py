"""Signal levels of the tissues in one scan, relative to healthy white matter of the cord."""

from dataclasses import dataclass

import numpy as np

from cordlesion.simulate.randomness import lognormal
from cordlesion.simulate.spindle import Lesion


@dataclass(frozen=True)
class Signals:
    """Signal of each tissue in one scan."""

    csf: float
    grey: float
    body: float
    """Marrow of the vertebral bodies."""
    nucleus: float
    """Nucleus of the discs."""
    dark: float
    """Annulus, end plates, cortical bone."""
    rim: float
    """Dura and ligament around the sac."""
    muscle: float
    fat: float
    lesion_gain: float
    """Factor for the contrast of all lesions in the scan."""
    csf_unevenness: float
    flow_loss: float
    flow_offset: int
    """Offset of the flow pattern in the noise tile; flow differs between scans of a subject."""
    contrast_range: tuple[float, float] = (1.10, 1.95)
    """Limits of the ratio of lesion to cord signal."""

    def contrast(self, lesion: Lesion) -> float:
        """Return the ratio of lesion to cord signal in this scan; mimics keep their faint contrast."""
        if lesion.kind != "lesion":
            return lesion.contrast
        return float(np.clip(lesion.contrast * self.lesion_gain, *self.contrast_range))


def draw_signals(rng: np.random.Generator, csf: float, age: float, lesion_log_sd: float) -> Signals:
    """Draw the signal levels of a scan; ``csf`` is the signal of the fluid, which depends on the protocol."""
    return Signals(
        csf=csf,
        grey=lognormal(rng, 1.08, 0.05, 0.99, 1.22),
        body=lognormal(rng, 0.85, 0.30, 0.42, 1.5),
        nucleus=lognormal(rng, 0.7 * (1 - 0.008 * (age - 36)), 0.35, 0.25, 2.0),
        dark=rng.uniform(0.10, 0.25),
        rim=rng.uniform(0.10, 0.30),
        muscle=lognormal(rng, 0.27, 0.2, 0.2, 0.4),
        fat=lognormal(rng, 1.35, 0.25, 0.8, 2.2),
        lesion_gain=float(np.exp(rng.normal(0, lesion_log_sd))),
        csf_unevenness=rng.uniform(0.09, 0.17),
        flow_loss=rng.uniform(0.2, 0.7),
        flow_offset=int(rng.integers(1000, 2000)),
    )
