"""Which intensities a picture of a scan shows as black and as white."""

import numpy as np
from scipy import ndimage

from cordlesion.cord.centerline import Centerline
from cordlesion.pictures.slices import Layers, centered_range

RADIUS_MM, REACH_MM, PERCENTILES = 9.0, 10.0, (1.0, 98.0)
"""What the shades of a picture are made from: the cord and the fluid around it, so far from a slice along the cord."""


def cord_gray(stack: Layers, centerline: Centerline, first: int, last: int) -> tuple[float, float]:
    """Choose the intensities to show black and white from the cord and its fluid in axial slices ``first .. last``."""
    reach = round(REACH_MM / stack.scan.spacing_mm[2])
    n_x, n_y, n_z = stack.scan.data.shape
    slices = np.unique(np.linspace(max(first - reach, 0), min(last + reach, n_z - 1), 60).round().astype(int))
    x, y = centerline.at(slices.astype(np.float64))
    values = []
    for z, center in zip(slices.tolist(), np.stack([x, y], axis=1), strict=True):
        sides = [centered_range(c, 2 * RADIUS_MM / mm, n)
                 for c, mm, n in zip(center, stack.scan.spacing_mm, (n_x, n_y), strict=False)]  # fmt: skip
        values.append(stack.scan.data[sides[0], sides[1], z].ravel())
    low, high = np.percentile(np.concatenate(values), PERCENTILES)
    return float(low), float(high)


def gray_around(stack: Layers, x: int, window: tuple[slice, slice]) -> tuple[float, float]:
    """Choose the intensities to show black and white from what is near the lesions of a sagittal slice.

    Fat, which is far brighter than the cord, would otherwise leave no shades for lesions.

    Args:
        stack: A scan with lesions on the slice.
        x: Index of the slice.
        window: What the picture shows of it.
    """
    spacing_mm = stack.scan.spacing_mm[1:]
    near = ndimage.distance_transform_edt(~stack.lesions[x][window], sampling=spacing_mm) <= RADIUS_MM
    low, high = np.percentile(stack.scan.data[x][window][near], PERCENTILES)
    return float(low), float(high)
