"""What a study costs: patches, steps and hours, from the sizes of its scans and the time of a step (no torch)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Protocol

import numpy as np

from cordlesion.config import SETS, StudyConfig
from cordlesion.io.volume import Volume
from cordlesion.patches.grid import patch_grid

_MIRRORED = 8
"""Copies of each patch with ``prediction.mirror``."""
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class Times(Protocol):
    """The measured times of :class:`cordlesion.training.step_time.StepTime`."""

    @property
    def step_s(self) -> Mapping[str, float]:
        """Seconds of a training step, by title of the loss."""

    @property
    def patch_s(self) -> float:
        """Seconds of the network's output for a patch."""


@dataclass(frozen=True)
class Patches:
    """The patches of one training: those it learns from, those that choose the epoch, those that it is measured on."""

    train: float
    validation: float
    measured: float

    def of(self, share: float) -> "Patches":
        """Return the patches of a share of the scans."""
        return Patches(self.train * share, self.validation * share, self.measured * share)


@dataclass(frozen=True)
class Cost:
    """The cost of several trainings on the same patches, and of their maps."""

    patches: Patches
    batch_size: int
    epochs: int
    losses: tuple[str, ...]
    """Titles, one per training."""
    mirror: bool = False

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one training in one epoch."""
        return ceil(self.patches.train / self.batch_size)

    @property
    def steps(self) -> int:
        """Steps of all trainings."""
        return len(self.losses) * self.epochs * self.steps_per_epoch

    def training_s(self, times: Times) -> float:
        """Return the seconds of all trainings, one after the other."""
        learning = sum(self.steps_per_epoch * times.step_s[loss] for loss in self.losses)
        choosing = len(self.losses) * self.patches.validation * times.patch_s
        return self.epochs * (learning + choosing)

    def maps_s(self, times: Times) -> float:
        """Return the seconds of the probability maps of all trainings."""
        return len(self.losses) * self.patches.measured * times.patch_s * (_MIRRORED if self.mirror else 1)

    def seconds(self, times: Times) -> float:
        """Return the seconds of trainings and maps."""
        return self.training_s(times) + self.maps_s(times)


def patches_of_shape(shape: Sequence[int], config: StudyConfig) -> int:
    """Return the number of patches of a stack."""
    patch = config.patches.shape(config.preprocess)
    return prod(len(starts) for starts in patch_grid(shape, patch, config.patches.overlap_fraction).starts)


def expected_patches(grid: Volume, config: StudyConfig) -> int:
    """Return the number of patches that a scan has at most, if the cord runs through the whole of it.

    Args:
        grid: Of the scan.
        config: The study.
    """
    extent_mm = np.abs(grid.affine[:3, :3]) @ np.array(grid.data.shape)
    shape = np.ceil(extent_mm / config.preprocess.spacing_mm).astype(int).tolist()
    if config.preprocess.region == "cord":
        shape[:2] = [config.preprocess.crop_voxels] * 2
    return patches_of_shape(shape, config)


def share_patches(patches: float, with_lesions: float, config: StudyConfig) -> Patches:
    """Divide all patches of a dataset among the sets of a single split.

    Args:
        patches: Of all scans.
        with_lesions: Share of the scans that have lesions.
        config: The study.
    """
    whole = sum(config.split.proportions[name] for name in SETS)
    share = {name: config.split.proportions[name] / whole for name in SETS}
    learned = patches * (with_lesions if config.split.lesion_free == "test" else 1)
    train, validation = learned * share["train"], learned * share["validation"]
    return Patches(train, validation, patches - train - validation)


def duration(seconds: float) -> str:
    """Return a time in words.

    Examples:
        >>> duration(50), duration(200), duration(9000), duration(1e6)
        ('50 seconds', '3.3 minutes', '2.5 hours', '12 days')
    """
    for unit, name in ((_DAY, "days"), (_HOUR, "hours"), (_MINUTE, "minutes")):
        if seconds >= 2 * unit:
            number = seconds / unit
            return f"{number:.0f} {name}" if number >= 10 else f"{number:.1f} {name}"
    return f"{seconds:.0f} seconds"
