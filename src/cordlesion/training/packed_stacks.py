"""All stacks of a set in one piece of memory, from which patches are gathered."""

import math
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Float32Array, IntArray, Mask, UInt8Array

Shape: TypeAlias = tuple[int, int, int]

MOST_BYTES_IN_MEMORY = 8 * 2**30
"""Larger sets lie in a memory-mapped file, which the system keeps in memory as far as there is room."""
_BYTES_PER_VOXEL = 3
_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True, eq=False)
class TrainingStack:
    """A stack on the standard intensity scale, with its reference; both of shape (X, Y, N)."""

    image: Float32Array
    lesion: Mask


@dataclass(frozen=True, eq=False)
class PackedStacks:
    """All stacks of a set in one array, one after the other, each as its voxels in C order."""

    image: Tensor
    """Standardised intensities, float16, shape (V,): half of a float's memory, and steps of 1/2000 of a value."""
    lesion: Tensor
    """Reference, bool, shape (V,)."""
    shapes: tuple[Shape, ...]

    @property
    def firsts(self) -> IntArray:
        """Index of each stack's first voxel."""
        sizes = [math.prod(shape) for shape in self.shapes]
        return np.cumsum([0, *sizes[:-1]], dtype=np.int64)

    def on(self, device: torch.device) -> "PackedStacks":
        """Return the stacks on a device, or these where the device has no room for them and a network."""
        if device.type == "cuda" and _BYTES_PER_VOXEL * len(self.image) > torch.cuda.mem_get_info(device)[0] / 2:
            return self
        return PackedStacks(self.image.to(device), self.lesion.to(device), self.shapes)


def pack_stacks(
    stacks: Iterable[TrainingStack], shapes: Sequence[Shape] | None = None, folder: Path | None = None
) -> PackedStacks:
    """Copy stacks into one array, one by one, so that they need not be in memory twice.

    Args:
        stacks: The set's stacks.
        shapes: Their shapes, which give the memory needed before the stacks are read; by default all are held.
        folder: Where a set of more than :data:`MOST_BYTES_IN_MEMORY` is kept, in a file that is removed with the array;
            without a folder it is kept in memory.
    """
    if shapes is None:
        stacks = list(stacks)
        shapes = [_shape(stack) for stack in stacks]
    voxels = sum(math.prod(shape) for shape in shapes)
    memory = _memory(voxels * _BYTES_PER_VOXEL, folder)
    image, lesion = memory[: 2 * voxels].view(np.float16), memory[2 * voxels :].view(np.bool_)
    first = 0
    for stack, shape in zip(stacks, shapes, strict=True):
        place = slice(first, first := first + math.prod(shape))
        # Beyond the last percentiles the standard scale is open; half precision is not.
        image[place] = np.clip(stack.image, -_LARGEST, _LARGEST).ravel()
        lesion[place] = stack.lesion.ravel()
    return PackedStacks(torch.from_numpy(image), torch.from_numpy(lesion), tuple(shapes))


def _shape(stack: TrainingStack) -> Shape:
    x, y, z = stack.image.shape
    return x, y, z


def _memory(size: int, folder: Path | None) -> UInt8Array:
    """Return bytes in memory, or in a nameless file, which the system removes when the process ends."""
    if folder is None or size <= MOST_BYTES_IN_MEMORY:
        return np.empty(size, np.uint8)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            # Reserved now, because a full disk kills the process when a mapped page is written later.
            os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.uint8, "r+", shape=(size,))
    except OSError as error:
        raise CordlesionError(
            f"{folder}: there is no room for the {size / 2**30:.1f} GiB that the stacks of a set take in a file "
            f"({error.strerror}). Make room on this disk, or put the study's folder on another."
        ) from error
