"""What is no lesion however probable: voxels far from the cord, and components that are too small (no torch)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from cordlesion.config import PostprocessConfig
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Float32Array, Mask
from cordlesion.io.volume import Volume, read_mask
from cordlesion.metrics import LesionRule, binarize, label_components
from cordlesion.threshold.own_rule import apply_rule
from cordlesion.threshold.rules import ThresholdRule

# Spacings come from float32 headers: a voxel at just the margin must not drop out by a rounding error.
_MARGIN_TOLERANCE = 1e-6


def read_cord(path: Path | str | None, like: Volume, config: PostprocessConfig) -> Mask | None:
    """Read the cord mask of a scan where it is needed, and nothing where lesions are not restricted to the cord.

    Raises:
        CordlesionError: It is needed and missing, damaged, empty, or on another grid than ``like``.
    """
    if config.cord_margin_mm is None:
        return None
    if path is None:
        raise CordlesionError(
            f"{like.path}: has no cord mask; one is needed, because lesions are looked for within "
            f"{config.cord_margin_mm:g} mm of the cord only (`postprocess.cord_margin_mm`). Add "
            "*_label-cord_seg.nii.gz to the dataset of a study; `segment` takes it by --cord-mask."
        )
    cord = read_mask(path, like=like).data.astype(bool, copy=False)
    if not cord.any():
        raise CordlesionError(
            f"{path}: holds no voxel, so that nothing could be lesion; a cord mask is needed. Draw it and try again."
        )
    return cord


def make_mask(
    probability: Volume, rule: ThresholdRule, config: PostprocessConfig, cord: Mask | None
) -> tuple[Mask, float]:
    """Make the lesion mask of a scan: nothing far from the cord, what the rule finds, no small components.

    Args:
        probability: The map.
        rule: What makes a mask of it.
        config: What is removed.
        cord: What :func:`read_cord` returned, on the map's grid.

    Returns:
        The mask, of the map's shape, and the threshold that the rule applied. For one threshold above 0 the mask is
        that of the map that :func:`postprocess` returns.

    Raises:
        CordlesionError: The rule is of a user's own code, and fails on this map.
    """
    p = near_cord(probability, config, cord)
    try:
        mask, threshold = apply_rule(rule, p, probability.spacing_mm)
    except CordlesionError as error:
        where = "" if probability.path is None else f"{probability.path}: "
        raise CordlesionError(f"{where}{error}") from error
    if config.minimum_volume_mm3 > 0:
        large = LesionRule(min_volume_mm3=config.minimum_volume_mm3)
        mask = label_components(mask, large, float(np.prod(probability.spacing_mm))).labels > 0
    return mask, threshold


def postprocess(
    probability: Volume,
    thresholds: Sequence[float],
    config: PostprocessConfig,
    cord: Mask | None,
) -> Float32Array:
    """Post-process a probability map so that thresholding it gives the post-processed mask, at each threshold.

    Args:
        probability: The map.
        thresholds: Those that will be applied, all above 0 (at 0 every voxel is lesion, whatever is removed).
        config: What is removed.
        cord: What :func:`read_cord` returned, on the map's grid.

    Returns:
        A map of the same shape; the very map where nothing is to be removed.
    """
    p = near_cord(probability, config, cord)
    if config.minimum_volume_mm3 > 0:
        p = without_small(p, thresholds, probability.spacing_mm, config.minimum_volume_mm3)
    return p


def near_cord(probability: Volume, config: PostprocessConfig, cord: Mask | None) -> Float32Array:
    """Return the map of a scan with 0 beyond the cord's margin: what a threshold rule sees.

    Args:
        probability: The map.
        config: What is removed.
        cord: What :func:`read_cord` returned, on the map's grid.
    """
    p: Float32Array = probability.data.astype(np.float32, copy=False)
    if config.cord_margin_mm is None:
        return p
    assert cord is not None
    return np.where(near(cord, probability.spacing_mm, config.cord_margin_mm), p, np.float32(0))


def without_small(
    probability: Float32Array,
    thresholds: Sequence[float],
    spacing_mm: Sequence[float],
    minimum_volume_mm3: float,
) -> Float32Array:
    """Lower a map until, at each threshold, it has only components larger than a volume (area opening: Vincent 1993).

    Components only grow as the threshold falls, so the thresholds at which a voxel is kept are all those up to one:
    its new value. The mask of the new map at a threshold is that of the old map less the small components.

    Args:
        probability: Shape (X, Y, Z).
        thresholds: Above 0, in any order.
        spacing_mm: Voxel size along the three axes.
        minimum_volume_mm3: Components are kept when *larger* than this.

    Returns:
        A map whose values are 0 and the thresholds.
    """
    rule = LesionRule(min_volume_mm3=minimum_volume_mm3)
    voxel_mm3 = float(np.prod(spacing_mm))
    opened = np.zeros_like(probability)
    for threshold in sorted(thresholds):
        opened[label_components(binarize(probability, threshold), rule, voxel_mm3).labels > 0] = threshold
    return opened


def near(mask: Mask, spacing_mm: Sequence[float], margin_mm: float) -> Mask:
    """Mark the voxels whose centre is at most ``margin_mm`` from that of a voxel of the mask, which holds some."""
    reach = margin_mm * (1 + _MARGIN_TOLERANCE)
    found = np.zeros_like(mask)
    box = tuple(
        slice(max(0, edge.start - steps), edge.stop + steps)
        for edge, steps in zip(
            ndimage.find_objects(mask.astype(np.uint8))[0], (int(reach // s) for s in spacing_mm), strict=True
        )
    )
    found[box] = ndimage.distance_transform_edt(~mask[box], sampling=spacing_mm) <= reach
    return found
