"""Overlapping patches along a cord stack, and their recombination (the inverse operation)."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from cordlesion.config import Blending

Kind = TypeVar("Kind", bound=np.generic)
Floats = npt.NDArray[np.float32]
Window = npt.NDArray[np.float64]


def patch_starts(n_slices: int, size: int, overlap_fraction: float) -> list[int]:
    """Return the first slice of each patch; the last patch is aligned to the end.

    Args:
        n_slices: Length of the stack; one shorter than ``size`` gets a single patch (and padding).
        size: Length of a patch in voxels.
        overlap_fraction: Share that consecutive patches have in common, in [0, 1).
    """
    step = max(1, round(size * (1 - overlap_fraction)))
    last = max(0, n_slices - size)
    return [*range(0, last, step), last]


def extract_patch(stack: npt.NDArray[Kind], start: int, size: int) -> npt.NDArray[Kind]:
    """Cut slices ``start`` to ``start + size``; a stack shorter than that is padded by repeating its last slice."""
    patch = stack[..., start : start + size]
    missing = size - patch.shape[-1]
    return np.pad(patch, ((0, 0), (0, 0), (0, missing)), mode="edge") if missing else patch


def _gaussian(size: int) -> Window:
    # A deviation of an eighth of the patch, as nnU-Net has it (Isensee et al. 2021).
    distance = (np.arange(size) - (size - 1) / 2) / (size / 8)
    return np.exp(-0.5 * distance.astype(np.float64) ** 2)


def _hann(size: int) -> Window:
    # Half-way between the samples of the usual window, so that no slice has weight 0; halves that overlap add up to 1.
    phase = np.pi * (np.arange(size) + 0.5) / size
    return np.sin(phase.astype(np.float64)) ** 2


WINDOWS: Mapping[Blending, Callable[[int], Window]] = MappingProxyType(
    {"mean": np.ones, "gaussian": _gaussian, "hann": _hann}
)
"""Weights of a patch's slices, by name of the blending; all positive."""


def stitch_patches(
    patches: Iterable[Floats], starts: Iterable[int], n_slices: int, blending: Blending = "mean"
) -> Floats:
    """Average overlapping patches into one stack, each slice of a patch weighing as the window says.

    The window acts along the stack, the only direction in which patches overlap (Pielawski & Wahlby 2020). Where fewer
    patches lie, at the ends, the weights still add up to 1.

    Args:
        patches: Values per patch, each of shape (X, Y, size).
        starts: First slice of each patch; together they cover the stack.
        n_slices: Length of the stack; padding beyond it is dropped.
        blending: One of :data:`WINDOWS`.

    Returns:
        Weighted mean per voxel, shape (X, Y, n_slices).
    """
    total: npt.NDArray[np.float64] | None = None
    weight = np.zeros(n_slices)
    for patch, start in zip(patches, starts, strict=True):
        if total is None:
            total = np.zeros((*patch.shape[:2], n_slices))
        stop = min(start + patch.shape[-1], n_slices)
        window = WINDOWS[blending](patch.shape[-1])[: stop - start]
        total[..., start:stop] += patch[..., : stop - start] * window
        weight[start:stop] += window
    if total is None or not weight.all():
        raise ValueError("the patches do not cover the stack")
    return (total / weight).astype(np.float32)
