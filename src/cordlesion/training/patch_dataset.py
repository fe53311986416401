"""Patches for training, with all randomness keyed by (seed, epoch, patch) and none by process history."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from cordlesion.patches.augment import augment
from cordlesion.patches.grid import extract_patch, patch_grid
from cordlesion.preprocess.intensity import standardize_patch


@dataclass(frozen=True, eq=False)
class TrainingStack:
    """A stack on the standard intensity scale, with its reference; both of shape (X, Y, N)."""

    image: npt.NDArray[np.float32]
    lesion: npt.NDArray[np.bool_]


class PatchKey(NamedTuple):
    """Which patch, in which epoch."""

    epoch: int
    place: int


class PatchDataset(Dataset[tuple[Tensor, Tensor]]):
    """All patches of a set of stacks, with and without lesion.

    Args:
        stacks: The set's stacks.
        shape: Edges of a patch in voxels.
        overlap_fraction: Shared part of consecutive patches.
        augment_seed: Seed of mirror and rotation; None leaves the patches as they are.
    """

    def __init__(
        self,
        stacks: Sequence[TrainingStack],
        shape: tuple[int, int, int],
        overlap_fraction: float,
        augment_seed: int | None = None,
    ) -> None:
        self._stacks = stacks
        self._shape = shape
        self._augment_seed = augment_seed
        self._places = [
            (stack, start)
            for stack, values in enumerate(stacks)
            for start in patch_grid(values.image.shape, shape, overlap_fraction)
        ]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, key: PatchKey) -> tuple[Tensor, Tensor]:
        stack, start = self._places[key.place]
        values = self._stacks[stack]
        patch = standardize_patch(extract_patch(values.image, start, self._shape))
        lesion = extract_patch(values.lesion, start, self._shape)
        if self._augment_seed is None:
            return _tensor(patch), _tensor(lesion)
        turned = augment(patch, lesion, np.random.default_rng([self._augment_seed, key.epoch, key.place]))
        return _tensor(turned[0]), _tensor(turned[1])


class KeyedSampler(Sampler[PatchKey]):
    """Order of the patches in an epoch, a function of (seed, epoch) alone.

    Lightning calls ``set_epoch`` before every epoch, also after a resume.
    """

    def __init__(self, n_patches: int, shuffle_seed: int | None) -> None:
        self._n_patches = n_patches
        self._shuffle_seed = shuffle_seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._n_patches

    def __iter__(self) -> Iterator[PatchKey]:
        order = np.arange(self._n_patches)
        if self._shuffle_seed is not None:
            order = np.random.default_rng([self._shuffle_seed, self._epoch]).permutation(self._n_patches)
        return (PatchKey(self._epoch, int(index)) for index in order)


def patch_loader(
    stacks: Sequence[TrainingStack],
    shape: tuple[int, int, int],
    overlap_fraction: float,
    batch_size: int,
    seed: int | None,
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Make batches of (intensities, lesion), each (B, 1, X, Y, Z) float32; a seed shuffles and augments them."""
    patches = PatchDataset(stacks, shape, overlap_fraction, seed)
    # Its own generator, or the loader would draw from the global random state.
    return DataLoader(patches, batch_size, sampler=KeyedSampler(len(patches), seed), generator=torch.Generator())


def _tensor(values: npt.NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))[None]
