"""Patches for training, with all randomness keyed by (seed, epoch, patch) and none by process history."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from cordlesion.model.patch_prediction import standardize_patches
from cordlesion.patches.augment import Lattice, augment
from cordlesion.patches.grid import patch_grid
from cordlesion.training.packed_stacks import PackedStacks, Shape


class PatchKey(NamedTuple):
    """Which patch, in which epoch."""

    epoch: int
    place: int


Batch: TypeAlias = tuple[Tensor, Tensor]
"""Standardised intensities and lesion, each (B, 1, X, Y, Z) float32."""
Share: TypeAlias = Callable[[list[PatchKey]], list[PatchKey]]
"""Returns a process's part of a batch."""


def _all_of_it(batch: list[PatchKey]) -> list[PatchKey]:
    return batch


class PatchDataset(Dataset[Batch]):
    """All patches of a set of stacks, with and without lesion, made by the batch on the device that trains.

    Args:
        packed: The set's stacks.
        shape: Edges of a patch in voxels.
        overlap_fraction: Shared part of consecutive patches.
        augment_seed: Seed of mirror and rotation; None leaves the patches as they are.
        device: Where the patches are wanted.
    """

    def __init__(
        self,
        packed: PackedStacks,
        shape: Shape,
        overlap_fraction: float,
        augment_seed: int | None = None,
        device: torch.device | None = None,
    ) -> None:
        self._device = device or torch.device("cpu")
        self._packed = packed.on(self._device)
        self._shape = shape
        self._augment_seed = augment_seed
        grids = [np.array(list(patch_grid(stack, shape, overlap_fraction))) for stack in packed.shapes]
        self._stacks = np.repeat(np.arange(len(grids)), [len(grid) for grid in grids])
        self._starts = np.concatenate(grids)
        self._firsts = packed.firsts

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, keys: Sequence[PatchKey]) -> Batch:
        """Extract, augment and standardise the patches of a batch."""
        lattices = [self._lattice(key) for key in keys]
        x, y, z = (
            # With a shape, because a process's share of a small batch may be empty.
            torch.tensor(np.array([lattice[axis] for lattice in lattices], np.int64).reshape(-1, size)).to(
                self._packed.image.device
            )
            for axis, size in enumerate(self._shape)
        )
        voxels = x[:, None, :, None, None] + y[:, None, None, :, None] + z[:, None, None, None, :]
        image, lesion = (
            values.index_select(0, voxels.flatten()).reshape(voxels.shape).to(self._device).float()
            for values in (self._packed.image, self._packed.lesion)
        )
        return standardize_patches(image), lesion

    def _lattice(self, key: PatchKey) -> Lattice:
        """Return where the voxels of a patch are in memory; a stack shorter than the patch repeats its last slice."""
        stack, start = self._stacks[key.place], self._starts[key.place]
        nx, ny, nz = self._packed.shapes[stack]
        x, y, z = (
            np.minimum(first + np.arange(size), n - 1) * stride
            for first, size, n, stride in zip(start, self._shape, (nx, ny, nz), (ny * nz, nz, 1), strict=True)
        )
        lattice = x + self._firsts[stack], y, z
        if self._augment_seed is None:
            return lattice
        return augment(lattice, np.random.default_rng([self._augment_seed, key.epoch, key.place]))


class KeyedSampler(Sampler[list[PatchKey]]):
    """The batches of an epoch, a function of (seed, epoch) alone.

    Lightning calls ``set_epoch`` before every epoch, also after a resume.
    """

    def __init__(self, n_patches: int, batch_size: int, shuffle_seed: int | None, share: Share = _all_of_it) -> None:
        self._n_patches = n_patches
        self._batch_size = batch_size
        self._shuffle_seed = shuffle_seed
        self._share = share
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that comes next."""
        self._epoch = epoch

    def __len__(self) -> int:
        return -(-self._n_patches // self._batch_size)

    def __iter__(self) -> Iterator[list[PatchKey]]:
        order = np.arange(self._n_patches)
        if self._shuffle_seed is not None:
            order = np.random.default_rng([self._shuffle_seed, self._epoch]).permutation(self._n_patches)
        for first in range(0, self._n_patches, self._batch_size):
            batch = order[first : first + self._batch_size]
            yield self._share([PatchKey(self._epoch, int(place)) for place in batch])


def patch_loader(
    packed: PackedStacks,
    shape: Shape,
    overlap_fraction: float,
    batch_size: int,
    seed: int | None,
    device: torch.device | None = None,
    share: Share = _all_of_it,
) -> DataLoader[Batch]:
    """Make batches of (intensities, lesion), each (B, 1, X, Y, Z) float32, on a device; a seed shuffles and augments.

    Where several processes train, ``share`` returns this process's part of a batch. Iterated, the loader gives the
    batches of one epoch, which ``loader.sampler.set_epoch`` sets.
    """
    patches = PatchDataset(packed, shape, overlap_fraction, seed, device)
    sampler = KeyedSampler(len(patches), batch_size, seed, share)
    # Its own generator, or the loader would draw from the global random state.
    return DataLoader(patches, batch_size=None, sampler=sampler, generator=torch.Generator())
