"""Trainings of a study, as units that can be done anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from cordlesion.config import RunConfig
from cordlesion.execution.devices import Sharing
from cordlesion.study.fingerprints import train_key, train_mark
from cordlesion.study.sets import Study
from cordlesion.study_folder.folder import StudyFolder

if TYPE_CHECKING:
    from cordlesion.training import TrainingSets

_CONTEXT_GIB = 1.0
"""What CUDA, its libraries and the caches of a process take on a GPU before any network does."""
_TENSORS_PER_LEVEL = 16
"""Kept for the gradients, of the size of a level: two convolutions going down, two going up, each with normalisation
and activation, and what is copied and concatenated between them."""


@dataclass(frozen=True)
class Training:
    """A run that is not trained yet, and where its sets lie."""

    run: RunConfig
    mark: str
    """Fingerprint of the training."""
    train: tuple[Path, ...]
    validation: tuple[Path, ...]
    nodes: int = 1
    """Machines that train it together."""

    @property
    def unit(self) -> str:
        """Its name among the trainings."""
        return self.run.name


class Trainer:
    """Trains one run after another; the stacks of a fold are read once for all its runs that come in a row."""

    def __init__(self, folder: StudyFolder) -> None:
        self._folder = folder
        self._loaded: tuple[tuple[Path, ...], TrainingSets] | None = None

    def __call__(self, training: Training) -> None:
        """Train one run, unless that is done; where several machines train it, each of them is to call this."""
        from cordlesion.model.hardware import choose_hardware
        from cordlesion.training import remove_checkpoints, this_node, train_run

        run, folder = training.run, self._folder.run(training.run.name)
        if is_trained(self._folder, run, training.mark):
            return
        node = this_node(training.nodes)
        if not node.leads:
            train_run(run, self._sets(training), folder, training.mark, node)
            return
        with self._folder.stage(train_key(run), training.mark, _weights(self._folder, run)) as record:
            record["hardware"] = choose_hardware().at(run.training.precision).describe()
            train_run(run, self._sets(training), folder, training.mark, node)
        # After the marker: a process killed in between takes the checkpoint up and is done at once.
        remove_checkpoints(folder)

    def _sets(self, training: Training) -> "TrainingSets":
        from cordlesion.training import load_training_sets

        paths = (*training.train, *training.validation)
        if self._loaded is None or self._loaded[0] != paths:
            self._loaded = None  # before the next ones are read: two folds may not fit
            self._loaded = paths, load_training_sets(training.train, training.validation)
        return self._loaded[1]


def pending_trainings(study: Study, runs: Sequence[RunConfig]) -> list[Training]:
    """Return those of the runs that are not trained yet, fold by fold."""
    pending = []
    for fold in study.folds.values():
        stacks = {
            name: tuple(study.folder.stack(scan.scan_id) for scan in scans) for name, scans in fold.learning.items()
        }
        for run in (run for run in runs if run.fold == fold.fold):
            mark = train_mark(study, run)
            if not is_trained(study.folder, run, mark):
                nodes = study.config.cluster.nodes
                pending.append(Training(run, mark, stacks["train"], stacks["validation"], nodes))
    return pending


def sharing(trainings: Sequence[Training]) -> Sharing:
    """Return how trainings may share a device."""
    memory_gib = max(_gpu_memory_gib(training.run) for training in trainings)
    training, nodes = trainings[0].run.training, trainings[0].nodes
    return Sharing(training.runs_per_device, memory_gib, training.devices, nodes)


def failure_file(folder: StudyFolder, run: RunConfig) -> Path:
    """Return where it is kept why the last attempt at a training failed."""
    return folder.run(run.name) / "failure.txt"


def _gpu_memory_gib(run: RunConfig) -> float:
    """Estimate from above what a training takes on a GPU: its activations in single precision, and what CUDA takes."""
    voxels: float = run.training.batch_size * prod(run.patches.shape(run.preprocess))
    per_level = (filters * voxels / 2.0 ** (3 * level) for level, filters in enumerate(run.network.filters))
    return _CONTEXT_GIB + 4 * _TENSORS_PER_LEVEL * sum(per_level) / 2**30


def is_trained(folder: StudyFolder, run: RunConfig, mark: str) -> bool:
    """Say whether the model of a training is there."""
    return folder.is_done(train_key(run), mark, folder.bundle(run.name) / "model.json", _weights(folder, run))


def _weights(folder: StudyFolder, run: RunConfig) -> Path:
    """Return the file of a model that stays as it was trained; in its card, thresholds change."""
    return folder.bundle(run.name) / "model.safetensors"
