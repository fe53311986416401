"""Overlapping patches of a stack, and the weighted average that merges them again."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from cordlesion.config import Blending
from cordlesion.io.arrays import Float32Array, FloatArray

Kind = TypeVar("Kind", bound=np.generic)
Window = FloatArray
Place: TypeAlias = tuple[int, ...]
"""First voxel of a patch along each axis."""


@dataclass(frozen=True)
class PatchGrid:
    """The positions of patches in a stack: all combinations of the starts along the axes, last axis fastest.

    A cord stack has one start along x and y, because a patch is as wide as the stack.
    """

    stack_shape: tuple[int, ...]
    patch_shape: tuple[int, ...]
    starts: tuple[tuple[int, ...], ...]

    def __iter__(self) -> Iterator[Place]:
        return itertools.product(*self.starts)

    @property
    def overlapping(self) -> list[int]:
        """Axes with several patches."""
        return [axis for axis, starts in enumerate(self.starts) if len(starts) > 1]


def patch_grid(stack_shape: Sequence[int], patch_shape: Sequence[int], overlap_fraction: float) -> PatchGrid:
    """Cover a stack with overlapping patches.

    Args:
        stack_shape: Shape of the stack.
        patch_shape: Shape of a patch in voxels; a shorter stack gets one padded patch.
        overlap_fraction: Overlap of consecutive patches along an axis as a share of a patch, in [0, 1).
    """
    starts = (tuple(patch_starts(n, size, overlap_fraction)) for n, size in zip(stack_shape, patch_shape, strict=True))
    return PatchGrid(tuple(stack_shape), tuple(patch_shape), tuple(starts))


def patch_starts(length: int, size: int, overlap_fraction: float) -> list[int]:
    """Return the first voxel of each patch along one axis; the last patch is aligned to the end."""
    step = max(1, round(size * (1 - overlap_fraction)))
    last = max(0, length - size)
    return [*range(0, last, step), last]


def extract_patch(stack: npt.NDArray[Kind], start: Place, shape: Sequence[int]) -> npt.NDArray[Kind]:
    """Return the patch of ``shape`` voxels at ``start``; a shorter stack is padded by repeating its border."""
    patch = stack[_box(start, shape)]
    missing = [(0, size - found) for size, found in zip(shape, patch.shape, strict=True)]
    return np.pad(patch, missing, mode="edge") if any(after for _, after in missing) else patch


def _gaussian(size: int) -> Window:
    # SD of an eighth of the patch, as in nnU-Net (Isensee et al. 2021).
    distance = (np.arange(size) - (size - 1) / 2) / (size / 8)
    return np.exp(-0.5 * distance.astype(np.float64) ** 2)


def _hann(size: int) -> Window:
    # Shifted by half a sample, so that no weight is 0; windows that overlap by half add up to 1.
    phase = np.pi * (np.arange(size) + 0.5) / size
    return np.sin(phase.astype(np.float64)) ** 2


WINDOWS: Mapping[Blending, Callable[[int], Window]] = MappingProxyType(
    {"mean": np.ones, "gaussian": _gaussian, "hann": _hann}
)
"""Function of the patch size that returns positive weights along one axis, by name of the blending."""


def stitch_patches(patches: Iterable[Float32Array], grid: PatchGrid, blending: Blending = "mean") -> Float32Array:
    """Merge overlapping patches into one stack by a weighted average per voxel.

    The weight is the product of the windows of the axes with overlap (Pielawski & Wahlby 2020). The weights of a voxel
    are normalised to a sum of 1, also at the ends, where fewer patches overlap.

    Args:
        patches: Values of the patches, in the order of the grid.
        grid: Their positions.
        blending: One of :data:`WINDOWS`.

    Returns:
        Weighted mean with the shape of the stack; padding is cut off.
    """
    windows = {axis: WINDOWS[blending](grid.patch_shape[axis]) for axis in grid.overlapping}
    total = np.zeros(grid.stack_shape)
    for patch, start in zip(patches, grid, strict=True):
        place = total[_box(start, grid.patch_shape)]
        # Modified in place: a view of the total.
        place += _weighted(patch, windows)[_box((0,) * total.ndim, place.shape)]
    for axis, window in windows.items():
        # On a grid, the sum over patches of products of windows is the product of the sums per axis.
        total /= _along(_total_weight(window, grid.starts[axis], grid.stack_shape[axis]), axis, total.ndim)
    return total.astype(np.float32)


def _box(start: Place, shape: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(first, first + size) for first, size in zip(start, shape, strict=True))


def _weighted(patch: Float32Array, windows: Mapping[int, Window]) -> FloatArray:
    weighted = patch.astype(np.float64)
    for axis, window in windows.items():
        weighted *= _along(window, axis, patch.ndim)
    return weighted


def _total_weight(window: Window, starts: Iterable[int], length: int) -> Window:
    weight = np.zeros(length)
    for start in starts:
        weight[start : start + len(window)] += window
    return weight


def _along(values: Window, axis: int, ndim: int) -> Window:
    return values.reshape([-1 if a == axis else 1 for a in range(ndim)])
