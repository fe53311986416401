"""Input normalisation of SCT's centerline networks, by contrast (Gros et al., NeuroImage 2019).

Apart from the network itself, which needs torch, because a stack's fingerprint contains these constants.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

SEEN_SPACING_MM = 0.5
"""In plane."""
SEEN_PERCENTILES = (2, 98)
"""Of the scan's intensities: the one mapped to 0, and the one mapped to :data:`SEEN_BRIGHTEST`."""
SEEN_BRIGHTEST = 255.0
CENTERLINE_CONTRASTS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"t1": (55.7359, 64.3149), "t2": (51.1417, 57.4408), "t2s": (68.8591, 71.4659), "dwi": (55.744, 45.003)}
)
"""Mean and deviation of the intensities, rescaled to 0..255, with which each centerline network was trained."""


def contrast_of(network: Path) -> str:
    """Return the contrast in the file name of a network, in SCT's terms: ``t2`` of ``t2_ctr.h5``."""
    return network.name.partition("_ctr")[0]
