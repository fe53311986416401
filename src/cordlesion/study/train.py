"""The trainings of a study (stage ``train``), as units that can run on any machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cordlesion.config import RunConfig
from cordlesion.errors import CordlesionError
from cordlesion.execution.devices import Sharing
from cordlesion.execution.local import LocalExecutor
from cordlesion.io.progress import is_shown, show_message
from cordlesion.io.writing import remove_file, write_text
from cordlesion.study.experience import record_training
from cordlesion.study.fingerprints import train_fingerprint, train_key
from cordlesion.study.options import DEFAULT, RunOptions
from cordlesion.study.profiles import write_profiles
from cordlesion.study.sets import Study
from cordlesion.study_folder.folder import StudyFolder

if TYPE_CHECKING:
    from cordlesion.training import TrainingSets

_CONTEXT_GIB = 1.0
"""GPU memory of CUDA, its libraries and the caches of a process, without any network."""
_TENSORS_PER_LEVEL = 16
"""Tensors of the size of a level that are kept for the gradients: two convolutions on the way down, two on the way up,
each with normalisation and activation, and the copies and concatenations between them."""


@dataclass(frozen=True)
class Training:
    """A run that is not trained yet, with the paths of its stacks."""

    run: RunConfig
    fingerprint: str
    train: tuple[Path, ...]
    validation: tuple[Path, ...]
    nodes: int = 1
    """Nodes that train it together."""
    code: Mapping[str, Any] = field(default_factory=dict)
    """Hashes of the user's own code that the fingerprint covers."""

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
        """Train one run, unless that is done; if several nodes train it, each of them calls this."""
        from cordlesion.model.hardware import choose_hardware
        from cordlesion.training import remove_checkpoints, require_same_code, this_node, train_run

        run, folder = training.run, self._folder.run(training.run.name)
        if is_trained(self._folder, run, training.fingerprint):
            return
        require_same_code(run, training.code)
        node = this_node(training.nodes)
        if not node.is_first:
            train_run(run, self._sets(training), folder, training.fingerprint, node)
            return
        with self._folder.stage(train_key(run), training.fingerprint, _weights(self._folder, run)) as record:
            record["hardware"] = choose_hardware().at(run.training.precision).describe()
            train_run(run, self._sets(training), folder, training.fingerprint, node)
        # After the marker: if the process is killed in between, the next run only reads the checkpoint.
        remove_checkpoints(folder)

    def _sets(self, training: Training) -> "TrainingSets":
        from cordlesion.training import load_training_sets

        paths = (*training.train, *training.validation)
        if self._loaded is None or self._loaded[0] != paths:
            self._loaded = None  # before the next ones are read: two folds may exceed the memory
            self._loaded = (
                paths,
                load_training_sets(training.train, training.validation, training.run.preprocess.percentiles),
            )
        return self._loaded[1]


def train_runs(study: Study, options: RunOptions = DEFAULT) -> Study:
    """Train every run (loss x seed x fold) that is not trained yet, or only the run that the options name.

    Raises:
        CordlesionError: Trainings failed, a sentence for each; the others are done.
    """
    from cordlesion.model.bundle_updates import set_inference

    runs = [run for run in study.config.runs if options.only in (None, run.name)]
    if pending := pending_trainings(study, runs):
        _show_cost(study, pending, options)
        _train(study, pending, options)
    volumes = study.config.threshold.minimum_volumes_mm3
    for run in runs:
        set_inference(study.folder.bundle(run.name), run.prediction, run.postprocess, volumes)
    record_training(study, runs)
    write_profiles(study, runs)
    return study


def _train(study: Study, pending: Sequence[Training], options: RunOptions) -> None:
    for training in pending:
        remove_file(failure_file(study.folder, training.run))
    outcomes = options.executor.each_training(Trainer(study.folder), pending, sharing(pending))
    failed = [outcome for outcome in outcomes if outcome.fault]
    for outcome in failed:
        write_text(failure_file(study.folder, outcome.item.run), f"{outcome.fault}\n")
    if failed:
        raise CordlesionError("\n".join(f"{outcome.item.unit}: {outcome.fault}" for outcome in failed))


def _show_cost(study: Study, pending: Sequence[Training], options: RunOptions) -> None:
    """Print what the trainings will cost; time a step only where somebody reads it."""
    if is_shown():
        from cordlesion.study.estimate import estimate_run

        for sentence in estimate_run(study, pending, here=isinstance(options.executor, LocalExecutor)):
            show_message(sentence)


def pending_trainings(study: Study, runs: Sequence[RunConfig]) -> list[Training]:
    """Return those of the runs that are not trained yet, fold by fold."""
    pending = []
    for fold in study.folds.values():
        stacks = {
            name: tuple(study.folder.stack(scan.scan_id) for scan in scans) for name, scans in fold.learning.items()
        }
        for run in (run for run in runs if run.fold == fold.fold):
            fingerprint = train_fingerprint(study, run)
            if not is_trained(study.folder, run, fingerprint):
                nodes = study.config.cluster.nodes
                own = run.imported_code
                pending.append(Training(run, fingerprint, stacks["train"], stacks["validation"], nodes, own))
    return pending


def sharing(trainings: Sequence[Training]) -> Sharing:
    """Return how trainings may share a device."""
    memory_gib = max(_gpu_memory_gib(training.run) for training in trainings)
    training, nodes = trainings[0].run.training, trainings[0].nodes
    return Sharing(training.runs_per_device, memory_gib, training.devices, nodes)


def failure_file(folder: StudyFolder, run: RunConfig) -> Path:
    """Return the path of the file that states why the last attempt at a training failed."""
    return folder.run(run.name) / "failure.txt"


def _gpu_memory_gib(run: RunConfig) -> float:
    """Estimate an upper bound of a training's GPU memory: activations in single precision, and CUDA itself.

    The memory of a user's network is unknown, so it gets a GPU for itself.
    """
    if run.network.is_imported:
        return inf
    voxels: float = run.training.batch_size * prod(run.patches.shape(run.preprocess))
    per_level = (filters * voxels / 2.0 ** (3 * level) for level, filters in enumerate(run.network.filters))
    return _CONTEXT_GIB + 4 * _TENSORS_PER_LEVEL * sum(per_level) / 2**30


def is_trained(folder: StudyFolder, run: RunConfig, fingerprint: str) -> bool:
    """Return whether the model of a training exists."""
    return folder.is_done(train_key(run), fingerprint, folder.bundle(run.name) / "model.json", _weights(folder, run))


def _weights(folder: StudyFolder, run: RunConfig) -> Path:
    """Return the file of a model that never changes after the training; the thresholds in its card do."""
    return folder.bundle(run.name) / "model.safetensors"
