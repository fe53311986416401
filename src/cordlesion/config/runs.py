"""One training of a study (loss x seed x fold), and everything that its masks depend on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cordlesion.config.data import PatchConfig, PreprocessConfig
from cordlesion.config.evaluation import PostprocessConfig, PredictionConfig
from cordlesion.config.names import maps_name, method_name
from cordlesion.config.optimization import as_hashed, optimization, training_as_hashed
from cordlesion.config.section import LATER, Section
from cordlesion.config.training import BESIDE_TRAINING, LossConfig, NetworkConfig, TrainingConfig
from cordlesion.io.import_path import source_hashes


class RunConfig(Section):
    """Everything that one training (loss x seed x fold) and its masks depend on."""

    loss: LossConfig
    seed: int
    fold: int | None = None
    """From 1; None where the study has one split."""
    network: NetworkConfig
    preprocess: PreprocessConfig = PreprocessConfig()
    patches: PatchConfig
    training: TrainingConfig
    prediction: PredictionConfig = PredictionConfig()
    postprocess: PostprocessConfig = PostprocessConfig()
    code: Annotated[Path | None, LATER] = None
    """That of the study."""

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return method_name(self.loss.title, self.seed, self.fold)

    @property
    def maps_name(self) -> str:
        """The run's name in the file names of its probability maps."""
        return maps_name(self.loss.title, self.seed, self.fold)

    @property
    def is_tuned(self) -> bool:
        """Whether its threshold is tuned: that of a training always is."""
        return True

    @property
    def columns(self) -> dict[str, Any]:
        """The columns that identify the run's rows in tables."""
        return {"loss": self.loss.title, "seed": self.seed} | ({"fold": self.fold} if self.fold else {})

    @property
    def optimization(self) -> TrainingConfig:
        """The training configuration with the optimiser and the learning rate of this loss."""
        return optimization(self.training, self.loss)

    @property
    def learned_from(self) -> dict[str, Any]:
        """What the weights depend on, as JSON.

        Not included: logger, number of processes, prediction and post-processing. Fold and preprocessing are not
        included either, because the fingerprints of the training stacks cover them.
        """
        apart = dict.fromkeys(("fold", "preprocess", "prediction", "postprocess", "code"), True)
        how = {"loss": as_hashed(self.training, self.loss), "training": training_as_hashed(self.training, self.loss)}
        content = self.model_copy(update=how).hashed(exclude={**apart, "training": BESIDE_TRAINING})
        return content | self.imported_code

    @property
    def imported_code(self) -> dict[str, Any]:
        """The hashes of the user's own loss and network, as JSON."""
        return imported_code([part.name for part in (self.network, self.loss) if part.is_imported], self.code)


def imported_code(names: Sequence[str], code: Path | None) -> dict[str, Any]:
    """Return the hashes of the user's own code that enter fingerprints, as JSON; empty without such code.

    Args:
        names: Import paths.
        code: Folder in which their modules are looked for first.

    Raises:
        CordlesionError: It cannot be imported.
    """
    return {"code": {name: source_hashes(name, code) for name in names}} if names else {}
