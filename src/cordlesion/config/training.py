"""Sections on the training: network, optimisation, losses."""

from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from cordlesion.config.names import PlainName
from cordlesion.config.section import LATER, Section
from cordlesion.io.fingerprints import file_hash
from cordlesion.io.import_path import is_import_path
from cordlesion.io.yaml import fault_at

Precision = Literal["auto", "float32"]
Optimizer = Literal["adam", "adadelta"]
LoggerName = Literal["tensorboard", "mlflow", "wandb"]
BESIDE_TRAINING = {"logger", "devices", "runs_per_device"}
"""Keys of ``training`` that change no weight."""


Filters: TypeAlias = Annotated[int, Field(gt=0, le=4096)]
"""Number of filters of a level. The limit refuses networks that fit on no machine."""


UNET3D = "unet3d"
PACKAGED = "packaged"
"""Name of the model in the package."""
PACKAGED_BUNDLE = Path(__file__).parents[1] / "model" / "packaged"
"""The model in the package."""


class NetworkConfig(Section):
    """The 3-D U-Net (Cicek et al. 2016), or a network of the user by its import path."""

    name: Annotated[str, LATER] = UNET3D
    """``unet3d``, or ``my_module:MyNet``: a ``torch.nn.Module`` that maps patches (B, 1, X, Y, Z) to logits of the same
    shape, in a module next to the study file (see ``code``) or in an installed package. It takes ``parameters`` and no
    other key of this section."""
    parameters: Annotated[dict[str, Any], LATER] = {}  # noqa: RUF012 - pydantic copies defaults
    """Keyword arguments of the user's network."""
    filters: Annotated[tuple[Filters, ...], Field(min_length=1, max_length=8)] = (16, 32, 64)
    """Filters per level, finest first."""
    prior: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Lesion probability of the untrained network. A low one lets a network learn a rare class sooner (Lin et al.
    2017)."""
    initialization: Annotated[Literal["pytorch", "glorot"], LATER] = "pytorch"
    """Initial weights: ``pytorch``: uniform up to 1 / sqrt(inputs), biases too; ``glorot``: uniform up to
    sqrt(6 / (inputs + outputs)), biases 0 (Glorot & Bengio 2010; TensorFlow 2.9)."""
    normalization_momentum: Annotated[float, Field(gt=0, le=1), LATER] = 0.1
    """Share of each batch in the running mean and variance of batch normalisation. TensorFlow 2.9: 0.01, there called
    momentum 0.99."""
    normalization_epsilon: Annotated[float, Field(gt=0), LATER] = 1e-5
    """Added to the variance in batch normalisation. TensorFlow 2.9: 1e-3."""

    @property
    def is_imported(self) -> bool:
        """Whether it is a network of the user, named by an import path."""
        return self.name != UNET3D

    @property
    def multiple(self) -> int:
        """The edges of a patch must be multiples of this; what a user's network needs is found by trying it."""
        return 1 if self.is_imported else int(2 ** (len(self.filters) - 1))

    @model_validator(mode="after")
    def _keys_of_its_kind(self) -> Self:
        if self.is_imported and not is_import_path(self.name):
            raise fault_at(f"{UNET3D} or an import path such as my_module:MyNet is needed, found {self.name!r}", "name")
        for key, field in type(self).model_fields.items():
            changed = getattr(self, key) != field.default
            if changed and key != "name" and self.is_imported != (key == "parameters"):
                raise fault_at(f"means nothing to the network {self.name}; remove it", key)
        return self

    @model_serializer(mode="wrap")
    def _keys_that_count(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Files of studies and models with the U-Net stay as they are, readable by versions that know no other.
        own = ("name", "parameters")
        content: dict[str, Any] = serialize(self)
        return {key: value for key, value in content.items() if (key in own) == self.is_imported}


class TrainingConfig(Section):
    """How a network is trained (Hussein et al. 2023, section 2.4)."""

    epochs: Annotated[int, Field(gt=0)] = 300
    batch_size: Annotated[int, Field(gt=0)] = 8
    optimizer: Optimizer = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    schedule: Literal["plateau", "cosine"] = "plateau"
    """``plateau``: halve the rate when the validation loss stops falling (the paper); ``cosine``: lower the rate to 0
    by the last epoch (Loshchilov & Hutter 2017), which gives better networks in short trainings."""
    patience_epochs: Annotated[int, Field(gt=0)] = 15
    """The rate is halved after this many epochs without a lower validation loss."""
    early_stopping_epochs: Annotated[int, Field(gt=0)] | None = None
    """Training ends after this many epochs without a lower validation loss. Default: no early stopping (the paper)."""
    precision: Precision = "auto"
    """``auto``: the network computes in bfloat16 on hardware that supports it; ``float32``: it never does. Weights,
    losses and sums are always float32."""
    devices: Annotated[int, Field(gt=0)] = 1
    """Processes per machine that train one network together (data parallel): one GPU each, or the CPU where there is no
    GPU. Each process takes a part of every batch. The batches do not change; the weights change by rounding only.
    For several machines see ``cluster.nodes``."""
    logger: LoggerName | None = None
    """Also logs the learning curves in the run's folder during training; changes no result."""
    rho: Annotated[float, Field(gt=0, lt=1), LATER] = 0.9
    """Decay of Adadelta's running averages. Default: that of PyTorch. TensorFlow 2.9 and Zeiler (2012): 0.95."""
    epsilon: Annotated[Annotated[float, Field(gt=0)] | None, LATER] = None
    """Keeps the steps of Adam and Adadelta finite. Default: those of PyTorch, 1e-8 and 1e-6. TensorFlow 2.9: 1e-7."""
    average: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, LATER] = None
    """Share of the average of the weights that each step keeps, such as 0.999: the average is validated and kept in
    place of the weights of the last step, which vary with every batch (Polyak & Juditsky 1992). Default: no average."""
    start_from: Annotated[Literal["packaged"] | Path | None, LATER] = None
    """Trained model whose weights are the first ones: the folder of a bundle, relative to the YAML file, or
    ``packaged``, the model in the package. Its network must be that of the study. Default: random weights."""
    runs_per_device: Literal["auto"] | Annotated[int, Field(gt=0)] = "auto"
    """Number of trainings that run in parallel on each GPU (or on the CPU), each in its own process; changes no result.
    ``auto``: on a GPU, as many as its memory and the number of processors allow; on the CPU, one."""

    @property
    def start_bundle(self) -> Path | None:
        """The folder of the model that the training starts from."""
        return PACKAGED_BUNDLE if isinstance(self.start_from, str) else self.start_from

    @property
    def portable(self) -> Self:
        """The same with the SHA-256 of the first weights in place of their folder.

        Raises:
            CordlesionError: There are no such weights.
        """
        folder = self.start_bundle
        return self if folder is None else self._starting(Path(file_hash(folder / "model.safetensors")))

    def below(self, folder: Path) -> Self:
        """Return a copy with a relative path resolved against ``folder``."""
        return self._starting(folder / self.start_from) if isinstance(self.start_from, Path) else self

    def _starting(self, start_from: Path) -> Self:
        return self.model_copy(update={"start_from": start_from})


class LossConfig(Section):
    """One loss of the study. A plain name means the loss with its published parameters."""

    name: str
    """A row of ``cordlesion.losses.LOSSES``, ``monai:ClassName``, or a function of your own by its import path,
    ``my_module:my_loss``, in a module next to the study file (see ``code``) or an installed package."""
    parameters: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies defaults
    """Keyword arguments of the loss that differ from its defaults."""
    label: PlainName | None = None
    """Name in tables and folders. Needed where one loss is listed twice."""
    optimizer: Optimizer | None = None
    """Default: that of ``training``; for ``combo``, Adadelta at a rate of 1, as in the paper."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Default: the published rate where the optimiser is the published one, otherwise that of ``training``."""

    @field_validator("name")
    @classmethod
    def _plain_or_import_path(cls, name: str) -> str:
        # Folders of runs are named by it.
        if ":" in name and not name.startswith("monai:") and not is_import_path(name):
            raise ValueError(f"an import path has the form my_module:my_loss, found {name!r}")
        return name

    @field_validator("parameters")
    @classmethod
    def _finite(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        if wrong := [name for name, value in parameters.items() if isinstance(value, float) and not isfinite(value)]:
            raise fault_at(f"a finite number is needed, found {parameters[wrong[0]]}", wrong[0])
        return parameters

    @property
    def is_imported(self) -> bool:
        """Whether it is a function of the user, named by an import path."""
        return is_import_path(self.name) and not self.name.startswith("monai:")

    @property
    def title(self) -> str:
        """The loss's name in tables and folders: its label, or the name of the user's function."""
        return self.label or (self.name.rpartition(":")[2] if self.is_imported else self.name.replace(":", "_"))
