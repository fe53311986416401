"""The cord mask of a scan to implant lesions into: given, or estimated around a centerline (no torch)."""

import numpy as np
from scipy import ndimage

from cordlesion.centerlines import CordInput, cord_finder
from cordlesion.cord.centerline import Centerline, read_centerline
from cordlesion.detectability.cord_mask import require_cord_mask
from cordlesion.detectability.rays import inside_radius, measure_edges
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray, Mask
from cordlesion.io.orient import from_las, to_las
from cordlesion.io.volume import Volume, read_mask

MIN_SEEN = 0.5
"""Share of the directions in which the edge of the cord must be seen, for its width to be estimated."""
SMOOTHING_MM, SMOOTHING_RAYS = 6.0, 1.0
"""SD of the Gaussian filter of the radius along the cord, in mm, and around it, in rays of 15 degrees."""
_ADVICE = "Give the cord with --cord-mask, or its centre with --centerline."


def cord_mask_of(scan: Volume, given: CordInput) -> tuple[Mask, bool]:
    """Return the cord mask of a scan, on its grid, and whether it was estimated.

    Without a mask, the centerline is read or found. The width of the cord is then that of the half height between the
    signal of the cord and that of the bright fluid, along rays from the centre; where the cord touches the wall and no
    fluid is seen, it is that of the neighbouring slices and directions.

    Raises:
        CordlesionError: A file cannot be used, the mask is not that of the cord, no cord is found, or too little of its
            edge is seen.
    """
    if given.cord_mask is not None:
        mask: Mask = read_mask(given.cord_mask, like=scan).data.astype(bool, copy=False)
        require_cord_mask(mask, scan, given.cord_mask)
        return mask, False
    if given.centerline is not None:
        return estimate_cord(scan, read_centerline(given.centerline, scan)), True
    return estimate_cord(scan, cord_finder(given.source, _ADVICE)(scan)), True


def estimate_cord(scan: Volume, centerline: Centerline) -> Mask:
    """Estimate the cord mask of a scan from its centerline and the edge to the fluid.

    Raises:
        CordlesionError: Less than half of the edge is seen.
    """
    las = to_las(scan)
    slices = np.arange(max(np.ceil(centerline.z[0]), 0), min(np.floor(centerline.z[-1]) + 1, las.data.shape[2]))
    centres = np.stack(centerline.at(slices), axis=1)
    edges = measure_edges(las, centres, slices.astype(int))
    seen = float(np.isfinite(edges.radius_mm).mean())
    if seen < MIN_SEEN:
        raise CordlesionError(
            f"{scan.path or 'the scan'}: the width of its cord cannot be estimated, because bright fluid is seen "
            f"around only {100 * seen:.0f} % of it ({100 * MIN_SEEN:.0f} % are needed). Give a mask with --cord-mask."
        )
    radius = _filled(edges.radius_mm, las.spacing_mm[2])
    drawn = inside_radius(las.data.shape, las.spacing_mm, centres, slices.astype(int), radius, edges.angles)
    return np.ascontiguousarray(from_las(drawn, scan)).astype(bool)


def _filled(radius_mm: FloatArray, slice_mm: float) -> FloatArray:
    """Return the smooth radius: the mean of the seen radii in a Gaussian window over slices and directions."""
    # Outliers (a vessel, a root, a lesion at the edge) differ from the median of their direction.
    typical = np.nanmedian(radius_mm, axis=0)
    known = np.isfinite(radius_mm) & (np.abs(radius_mm - np.where(np.isfinite(typical), typical, 5)) < 3)
    weight, values = known.astype(float), np.where(known, radius_mm, 0.0)
    sd = (SMOOTHING_MM / slice_mm, SMOOTHING_RAYS)
    weight, values = (ndimage.gaussian_filter(part, sd, mode=("nearest", "wrap")) for part in (weight, values))
    overall = float(radius_mm[known].mean())
    # Where nothing near is known, the mean radius of all.
    return (values + 1e-3 * overall) / (weight + 1e-3)
