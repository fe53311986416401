"""Where SCT's centerline network sees the cord (Gros et al., NeuroImage 2019): a heatmap for each axial slice."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cordlesion.cord.centerline import Centerline, Finder
from cordlesion.cord.heatmap_curve import MAP_SPACING_MM, curve_in_heatmap
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import AnyArray, Float32Array
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume
from cordlesion.model.hardware import choose_hardware
from cordlesion.sct.contrasts import (
    CENTERLINE_CONTRASTS,
    SEEN_BRIGHTEST,
    SEEN_PERCENTILES,
    SEEN_SPACING_MM,
    contrast_of,
)
from cordlesion.sct.import_network import read_centerline_network
from cordlesion.sct.networks import SctCenterlineNet

_BATCH = 4


def sct_cord_finder(path: Path) -> Finder:
    """Return a finder of the cord that uses SCT's centerline network.

    Args:
        path: The file as SCT published it, under SCT's name: ``t2_ctr.h5``, or that of another contrast.

    Raises:
        CordlesionError: The file cannot be used, or its name does not give the contrast.
    """
    contrast = contrast_of(path)
    if path.is_file() and contrast not in CENTERLINE_CONTRASTS:
        names = ", ".join(f"{name}_ctr.h5" for name in CENTERLINE_CONTRASTS)
        raise CordlesionError(
            f"{path}: is not named as SCT's centerline networks are ({names}), and the name gives the contrast; one of "
            "them is needed. Give t2_ctr.h5, for example, under that name."
        )
    return partial(_find, read_centerline_network(path), contrast)


def _find(network: SctCenterlineNet, contrast: str, scan: Volume) -> Centerline:
    las = to_las(scan)
    n_slices, stride = las.data.shape[2], max(1, int(MAP_SPACING_MM / las.spacing_mm[2]))
    first = min(stride // 2, n_slices - 1)
    placed = las.affine.copy()
    placed[:3, 3] += first * las.affine[:3, 2]
    placed[:3, 2] *= stride
    seen = Volume(las.data[..., first::stride], placed, None, scan.path)
    curve = curve_in_heatmap(sct_centerline_heatmap(network, seen, contrast), seen)
    # Each slice that was looked at stands for those around it, the last one for all that are left.
    at_end = curve.z[-1] == seen.data.shape[2] - 1
    z = np.arange(stride * curve.z[0], n_slices if at_end else stride * (curve.z[-1] + 1))
    x, y = curve.at((z - first) / stride)
    seen_sure = curve.slice_confidence
    sure = None if seen_sure is None else np.interp((z - first) / stride, curve.z, seen_sure)
    return replace(curve, x=x, y=y, z=z, slice_confidence=sure)


def sct_centerline_heatmap(network: SctCenterlineNet, scan: Volume, contrast: str = "t2") -> Volume:
    """Compute the probability of cord in each axial slice; the caller finds the curve in it.

    SCT looks at blocks of 80 x 80 pixels, which follow the cord from slice to slice; here the network sees each slice
    whole, so that nothing depends on where it was found before.

    Args:
        network: What ``read_centerline_network`` returned.
        scan: The image, of any orientation.
        contrast: Row of :data:`cordlesion.sct.contrasts.CENTERLINE_CONTRASTS`.

    Returns:
        Probabilities in [0, 1], float32, in LAS order at 0.5 mm in plane; axial slices are those of the scan.
    """
    las = to_las(scan)
    nx, ny, nz = las.data.shape
    fx, fy = (max(1, round(n * mm / SEEN_SPACING_MM)) for n, mm in zip((nx, ny), las.spacing_mm[:2], strict=True))
    mean, deviation = CENTERLINE_CONTRASTS[contrast]
    low, high = (float(v) for v in np.percentile(las.data.astype(np.float32, copy=False), SEEN_PERCENTILES))
    scale = SEEN_BRIGHTEST / (high - low or 1.0)
    heatmap = np.empty((fx, fy, nz), np.float32)
    for first in range(0, nz, _BATCH):
        # Voxel 0 of both grids coincides, as in all of SCT's resampling.
        slices = _resample(las.data[..., first : first + _BATCH], fx, fy)
        bright = np.clip((slices - low) * scale, 0, SEEN_BRIGHTEST)
        heatmap[..., first : first + _BATCH] = _predict(network, ((bright - mean) / deviation).astype(np.float32))
    return Volume(heatmap, las.affine @ np.diag([nx / fx, ny / fy, 1.0, 1.0]), None, scan.path)


def _resample(slices: AnyArray, fx: int, fy: int) -> Float32Array:
    """Resample the first two axes linearly."""
    values = slices.astype(np.float32)
    for axis, length in enumerate((fx, fy)):
        n = values.shape[axis]
        positions = np.minimum(np.arange(length, dtype=np.float32) * n / length, n - 1)
        below = positions.astype(np.int64)
        weight = (positions - below).reshape([-1 if a == axis else 1 for a in range(3)])
        lower, upper = (np.take(values, index, axis) for index in (below, np.minimum(below + 1, n - 1)))
        values = lower * (1 - weight) + upper * weight
    return values


def _predict(network: SctCenterlineNet, slices: Float32Array) -> Float32Array:
    fx, fy, _ = slices.shape
    hardware = choose_hardware().at("float32")
    batch = torch.from_numpy(np.ascontiguousarray(np.moveaxis(slices, 2, 0)))[:, None].to(hardware.device)
    multiple = network.multiple
    with torch.inference_mode():
        padded = nn.functional.pad(batch, (0, -fy % multiple, 0, -fx % multiple), mode="replicate")
        probability = torch.sigmoid(network.to(hardware.device)(padded))[:, 0, :fx, :fy]
    predicted: Float32Array = np.moveaxis(probability.cpu().numpy(), 0, 2)
    return predicted
