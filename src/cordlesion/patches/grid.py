"""Overlapping patches along a cord stack, and their recombination (the inverse operation)."""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Kind = TypeVar("Kind", bound=np.generic)
Floats = npt.NDArray[np.float32]


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


def stitch_patches(patches: Iterable[Floats], starts: Iterable[int], n_slices: int) -> Floats:
    """Average overlapping patches into one stack (Pielawski & Wahlby 2020 without the window: a plain mean).

    Args:
        patches: Values per patch, each of shape (X, Y, size).
        starts: First slice of each patch; together they cover the stack.
        n_slices: Length of the stack; padding beyond it is dropped.

    Returns:
        Mean value per voxel, shape (X, Y, n_slices).
    """
    total: npt.NDArray[np.float64] | None = None
    count = np.zeros(n_slices)
    for patch, start in zip(patches, starts, strict=True):
        if total is None:
            total = np.zeros((*patch.shape[:2], n_slices))
        stop = min(start + patch.shape[-1], n_slices)
        total[..., start:stop] += patch[..., : stop - start]
        count[start:stop] += 1
    if total is None or not count.all():
        raise ValueError("the patches do not cover the stack")
    return (total / count).astype(np.float32)
