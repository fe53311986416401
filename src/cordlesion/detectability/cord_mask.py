"""Whether a mask that is given can be that of the cord in a scan (no torch)."""

from pathlib import Path

import numpy as np
from scipy import ndimage

from cordlesion.detectability.cord_space import cord_edges
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Mask
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume

SECTION_MM2 = (10.0, 300.0)
"""Limits of the median area of the axial sections. A cord has 70 to 75 mm2 at C2 to C5 (Valosek & Bedard 2024), less
below and where it is atrophic; its sac is 12 to 18 mm deep (De Leener et al. 2018)."""
MAX_GAP_MM = 2.5
"""Largest distance between the surface of the mask and the edge to the fluid that belongs to one cord."""
MIN_AT_EDGE = 0.75
"""Share of the edges to the fluid that must be at the surface of the mask: 0.87 to 1 with the masks of four real and
six simulated scans, 0.66 or less with the masks of two of them 4 to 20 mm beside the cord."""
MIN_EDGES = 20


def require_cord_mask(mask: Mask, scan: Volume, path: Path) -> None:
    """Refuse a mask that is not that of the cord of a scan.

    Args:
        mask: On the scan's grid.
        scan: The scan.
        path: The mask's file, for the message.

    Raises:
        CordlesionError: It is empty, in several pieces, too wide or too thin for a cord, or beside the cord.
    """
    if fault := _shape_fault(mask, scan) or _place_fault(mask, scan):
        raise CordlesionError(f"{path}: {fault}; a mask of the cord of this scan is needed. Look at it, or draw it.")


def _shape_fault(mask: Mask, scan: Volume) -> str:
    if not mask.any():
        return "holds no voxel"
    n_pieces = int(ndimage.label(mask, np.ones((3, 3, 3)))[1])
    if n_pieces > 1:
        return f"consists of {n_pieces} pieces that do not touch"
    las = to_las(Volume(mask, scan.affine))
    voxels = np.asarray(las.data, bool).sum(axis=(0, 1))
    area = float(np.median(voxels[voxels > 0]) * las.spacing_mm[0] * las.spacing_mm[1])
    low, high = SECTION_MM2
    return "" if low <= area <= high else f"its axial sections have {area:.0f} mm2, those of a cord {low:g} to {high:g}"


def _place_fault(mask: Mask, scan: Volume) -> str:
    gaps = cord_edges(scan, mask)
    gaps = gaps[np.isfinite(gaps)]
    share = float((np.abs(gaps) <= MAX_GAP_MM).mean()) if len(gaps) >= MIN_EDGES else 1.0
    if share >= MIN_AT_EDGE:
        return ""
    needed = f"{100 * MIN_AT_EDGE:g} % are needed"
    return f"only {100 * share:.0f} % of the edges to bright fluid around it are at its surface ({needed})"
