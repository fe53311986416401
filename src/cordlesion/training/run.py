"""From stack files to a bundle: one run of a study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cordlesion import __version__
from cordlesion.config import BESIDE_TRAINING, RunConfig
from cordlesion.errors import CordlesionError, RunError
from cordlesion.io.tables import write_table
from cordlesion.io.writing import remove_file
from cordlesion.model.bundle import Bundle, ModelCard, save_bundle
from cordlesion.preprocess.intensity import PERCENTILES, IntensityLandmarks, fit_landmarks
from cordlesion.preprocess.stack_file import CordStack, read_stack, read_stack_shape
from cordlesion.study_folder.tables import HISTORY
from cordlesion.training.fit import fit
from cordlesion.training.nodes import ALONE, Node
from cordlesion.training.packed_stacks import PackedStacks, TrainingStack, pack_stacks


@dataclass(frozen=True, eq=False)
class TrainingSets:
    """Training and validation set of a study's runs, both on the intensity scale fitted on the training set alone."""

    landmarks: IntensityLandmarks
    train: PackedStacks
    validation: PackedStacks


def load_training_sets(
    train: Sequence[Path], validation: Sequence[Path], percentiles: tuple[float, ...] = PERCENTILES
) -> TrainingSets:
    """Read the stack files of both sets and standardise their intensities, one stack at a time."""
    stacks = map(read_stack, train)
    landmarks = fit_landmarks(((one.image, one.geometry.measured(one.image)) for one in stacks), percentiles)
    return TrainingSets(landmarks, _standardized(train, landmarks), _standardized(validation, landmarks))


def require_same_code(run: RunConfig, code: Mapping[str, Any]) -> None:
    """Check that the user's own loss and network are those that the fingerprint of the training covers.

    Args:
        run: The training.
        code: Hashes of the code, see :attr:`cordlesion.config.RunConfig.imported_code`.

    Raises:
        RunError: A file changed after the study was opened.
    """
    if run.imported_code != code:
        names = [part.name for part in (run.loss, run.network) if part.is_imported]
        raise RunError(
            f"{run.name}: the code of {' or '.join(names)} changed while the study was running, so no model "
            "is written; the same command starts the training with the code as it is now."
        )


def train_run(run: RunConfig, sets: TrainingSets, folder: Path, mark: str, node: Node = ALONE) -> None:
    """Train one run into ``folder/bundle`` with ``folder/history.tsv``.

    Args:
        run: What to train.
        sets: Training and validation set.
        folder: Folder of the run.
        mark: Fingerprint of all inputs; a checkpoint of other inputs is never resumed.
        node: Which of the machines that train the run this is; the first one writes.

    Raises:
        CordlesionError: No training patch holds lesion, or training failed.
    """
    if not sets.train.lesion.any():
        raise CordlesionError(
            "no lesion lies in any stack of the training set. Check the references and, for the cord, the centerlines."
        )
    code = run.imported_code
    checkpoint = folder / f"checkpoint-{mark[:16]}.ckpt"
    trained = fit(run, sets.train, sets.validation, checkpoint, node)
    if not node.is_first:
        return
    require_same_code(run, code)
    write_table(folder / HISTORY.file, pd.DataFrame(trained.history), HISTORY)
    best = min(trained.history, key=lambda row: row["validation_loss"])
    card = ModelCard(
        architecture="imported" if run.network.is_imported else "unet3d",
        network=run.network,
        preprocess=run.preprocess.portable,
        patches=run.patches,
        prediction=run.prediction,
        postprocess=run.postprocess,
        landmarks=sets.landmarks,
        provenance={
            "cordlesion": __version__,
            "loss": run.loss.model_dump(mode="json"),
            "seed": run.seed,
            "training": run.optimization.portable.model_dump(mode="json", exclude=BESIDE_TRAINING - {"devices"}),
            "nodes": node.count,
            "best_epoch": best["epoch"],
            "fingerprint": mark,
            **code,
        },
    )
    save_bundle(folder / "bundle", Bundle(card, trained.network))


def remove_checkpoints(folder: Path) -> None:
    """Remove the states of a training that has ended."""
    for stale in folder.glob("checkpoint-*.ckpt"):
        remove_file(stale)


def _standardized(paths: Sequence[Path], landmarks: IntensityLandmarks) -> PackedStacks:
    stacks = (_on_standard_scale(read_stack(path), landmarks) for path in paths)
    return pack_stacks(stacks, [read_stack_shape(path) for path in paths], folder=paths[0].parent)


def _on_standard_scale(stack: CordStack, landmarks: IntensityLandmarks) -> TrainingStack:
    return TrainingStack(landmarks.apply(stack.image, stack.geometry.measured(stack.image)), stack.reference)
