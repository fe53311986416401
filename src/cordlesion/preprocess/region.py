"""The region of a scan that a stack covers: around the cord, or the whole foreground."""

import numpy as np
from scipy import ndimage

from cordlesion.config import PreprocessConfig
from cordlesion.cord.centerline import Centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Float32Array
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume
from cordlesion.preprocess.cord_stack import StackGeometry, block_geometry, stack_geometry

MARGIN_MM = 5.0
"""Margin on each side of the foreground; in many contrasts the foreground ends at fluid, which is dark."""
_BINS = 256
_BRIGHTEST_PERCENT = 99.9
"""Intensities above this percentile are outliers and would stretch the histogram."""


def place_stack(scan: Volume, centerline: Centerline | None, config: PreprocessConfig) -> StackGeometry:
    """Return the geometry of the stack of a scan for the configured region.

    Args:
        scan: The image.
        centerline: Required for the region ``cord``; not used for the foreground.
        config: Region and voxel size.

    Raises:
        CordlesionError: The image has no foreground.
    """
    if config.region == "foreground":
        return foreground_geometry(scan, config.spacing_mm)
    assert centerline is not None
    return stack_geometry(scan, centerline, config)


def foreground_geometry(scan: Volume, spacing_mm: float) -> StackGeometry:
    """Return a block around the foreground: the largest component above Otsu's threshold, plus a margin.

    Raises:
        CordlesionError: The image has no foreground.
    """
    las = to_las(scan)
    data = las.data.astype(np.float32, copy=False)
    background = otsu_threshold(data)
    labels, n = ndimage.label(data > background)
    if not n:
        raise CordlesionError(
            f"{scan.path or 'the image'}: has no foreground; tissue must be brighter than the background. "
            "Check the export of this scan."
        )
    largest = int(np.bincount(labels.ravel())[1:].argmax())
    box = ndimage.find_objects(labels)[largest]
    margins = [MARGIN_MM / spacing for spacing in las.spacing_mm]
    low = [max(0, edge.start - round(margin)) for edge, margin in zip(box, margins, strict=True)]
    high = [
        min(length, edge.stop + round(margin))
        for edge, margin, length in zip(box, margins, las.data.shape, strict=True)
    ]
    return block_geometry(scan, low, high, spacing_mm, background)


def otsu_threshold(values: Float32Array) -> float:
    """Return the threshold with the largest between-class variance of dark and bright values (Otsu 1979).

    It is an edge of one of 256 bins between the minimum and the 99.9th percentile. Values up to it are dark. If all
    values are equal, all are dark.
    """
    low, high = float(values.min()), float(np.percentile(values, _BRIGHTEST_PERCENT))
    if low >= high:
        return high
    counts, edges = np.histogram(np.clip(values, low, high), _BINS, (low, high))
    dark = np.cumsum(counts)[:-1]
    bright = counts.sum() - dark
    sums = np.cumsum(counts * (edges[:-1] + edges[1:]) / 2)
    separation = dark * bright * (sums[:-1] / dark - (sums[-1] - sums[:-1]) / bright) ** 2
    # All edges within a gap of the histogram are equally good; the middle one is the most robust.
    best = np.flatnonzero(separation == separation.max())
    return float(edges[1:][best[len(best) // 2]])
