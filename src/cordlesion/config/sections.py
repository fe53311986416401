"""The sections of a study: frozen models with the paper's values as defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, TypeAlias, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from cordlesion.config.names import PlainName
from cordlesion.io.import_path import is_import_path
from cordlesion.io.yaml import fault_at

SetName = Literal["train", "validation", "threshold", "test"]
SETS: tuple[SetName, ...] = ("train", "validation", "threshold", "test")
Blending = Literal["mean", "gaussian", "hann"]
Precision = Literal["auto", "float32"]
Optimizer = Literal["adam", "adadelta"]
CenterlineSource = Literal["auto", "file", "cord_mask", "sct"]
DRAWN: Mapping[str, str] = MappingProxyType({"file": "centerline", "cord_mask": "cord_mask"})
"""Sources of centerlines that are files of each scan, and the kind of file."""
NETWORK = "centerline_network"
"""The kind of file that the Spinal Cord Toolbox's centerline network is: one for all scans."""
LoggerName = Literal["tensorboard", "mlflow", "wandb"]
BESIDE_TRAINING = {"logger", "devices", "runs_per_device"}
"""Keys of ``training`` on which no weight depends."""
LesionVolume: TypeAlias = Annotated[float, Field(ge=0, le=1e9)]
"""In mm3, at most a cubic metre."""
_TASKS = {"nodes", "ntasks", "ntasks-per-node"}
_ASKED_FOR = {"cpus-per-task": "cpus", "mem": "memory_gb", "partition": "partition", "time": "time_limit_hours"}
_BY_WHICH_JOBS_ARE_FOUND = {"array", "error", "open-mode", "output", "signal"}
"""Options of ``sbatch`` that are not for a study to say."""


@dataclass(frozen=True)
class _Later:
    """Marks a key, as an annotation of its field, that came after studies were finished without it."""


LATER = _Later()
"""``key: Annotated[int, LATER] = 0``: hashed only where it differs from its default, which changes no result.

Every key that is added carries it, outermost in its annotation, and its default is what was done before the key was
there: so the fingerprints of finished studies stay, and with them their trained models.
"""


class Section(BaseModel):
    """Frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    def hashed(self, exclude: Any = None) -> dict[str, Any]:  # noqa: ANN401 - what pydantic takes
        """Return what fingerprints are made of, as JSON.

        Args:
            exclude: Keys on which nothing depends, as ``model_dump`` takes them.

        Returns:
            All other keys, here and in sections below, but those marked with :data:`LATER` that have their default.
        """
        content: dict[str, Any] = _without_later(self, self.model_dump(mode="json", exclude=exclude))
        return content


def _without_later(value: object, content: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Take out of ``content``, which is ``value`` as JSON, the keys with :data:`LATER` that have their default."""
    if isinstance(value, tuple):
        return [_without_later(*pair) for pair in zip(value, content, strict=True)]
    if not isinstance(value, Section):
        return content
    return {
        name: _without_later(getattr(value, name), below)
        for name, below in content.items()
        if not _is_later_default(value, name)
    }


def _is_later_default(section: Section, name: str) -> bool:
    field = type(section).model_fields[name]
    return LATER in field.metadata and getattr(section, name) == field.get_default(call_default_factory=True)


def _is_source(value: object) -> object:
    if value in get_args(CenterlineSource) or str(value).casefold().endswith(".h5"):
        return value
    names = ", ".join(get_args(CenterlineSource))
    raise ValueError(f"one of {names} or the file of SCT's centerline network (t2_ctr.h5) is needed")


AnyCenterlineSource: TypeAlias = Annotated[CenterlineSource | Path, BeforeValidator(_is_source)]


class FilePatterns(Section):
    """How files of a BIDS dataset are recognised; globs on the file name, the first that matches counts.

    A glob with a ``/`` is compared with the file's place in the dataset (``derivatives/rater1/*_seg.nii.gz``).
    """

    image: tuple[str, ...] = ("*_T2w.nii.gz", "*_T2w.nii")
    """Scans, inside ``sub-*`` folders."""
    reference: tuple[str, ...] = ("*_label-lesion_seg.nii*", "*_lesion-manual.nii*")
    """Manual lesion masks, anywhere in the dataset; matched to a scan by their BIDS entities."""
    cord_mask: tuple[str, ...] = (
        "*_label-cord_seg.nii*",
        "*_label-SC_seg.nii*",
        "*_seg-manual.nii*",
        "*_label-cord_mask.nii*",
    )
    """Cord masks."""
    centerline: tuple[str, ...] = (
        "*_label-centerline_seg.nii*",
        "*_centerline.nii*",
        "*_label-centerline_mask.nii*",
    )
    """Centerlines drawn on a NIfTI grid."""
    lesion_value: Annotated[Annotated[int, Field(gt=0)] | None, LATER] = None
    """The value that marks lesions in the references, where they hold others too, as where the cord is 1 and lesions
    are 2. By default all must mark by one value, whatever it is."""


class SplitConfig(Section):
    """Who goes into which set (Hussein et al. 2023, section 2.2)."""

    proportions: dict[SetName, Annotated[float, Field(gt=0)]] = {
        "train": 62,
        "validation": 13,
        "threshold": 14,
        "test": 26,
    }
    """Shares of the lesion-bearing scans, in any unit."""
    lesion_free: Literal["test", "stratified"] = "test"
    """Where lesion-free scans go: to the test set, with all scans of their subjects (the study), or, as ``stratified``,
    in the same proportions as the others."""
    folds: Annotated[int, Field(gt=0)] = 1
    """Cross-validation: every subject is in the test set of one fold; the others share the rest in the proportions."""
    seed: int = 0

    @property
    def decisive(self) -> dict[str, Any]:
        """What a split depends on, as JSON; a single split is the one that was made before there were folds."""
        return self.hashed(exclude={"folds"} if self.folds == 1 else None)

    @model_validator(mode="after")
    def _all_sets(self) -> Self:
        if missing := [name for name in SETS if name not in self.proportions]:
            raise fault_at(f"those of {', '.join(missing)} are missing", "proportions")
        return self


class PreprocessConfig(Section):
    """From a scan to its stack (Hussein et al. 2023, section 2.3)."""

    region: Literal["cord", "foreground"] = "cord"
    """What the stack holds: the surroundings of the cord, or all that is brighter than the image's background, for
    lesions elsewhere; the settings of the crop and of the centerline have no meaning there."""
    spacing_mm: Annotated[float, Field(gt=0, le=20)] = 0.5
    """Isotropic voxel size."""
    crop_voxels: Annotated[int, Field(ge=8, le=1024)] = 48
    """Edge of the axial crop around the centerline; the network halves it at every level but the first."""
    centerline: AnyCenterlineSource = "auto"
    """Where the centerline comes from: our own detector, a curve drawn beside each scan, the centre of mass of a cord
    mask, the Spinal Cord Toolbox (SCT), where it is installed, or SCT's centerline network: its file ``t2_ctr.h5``,
    relative to the YAML file."""
    centerline_smoothing_mm: Annotated[float, Field(ge=0, le=10_000)] = 60.0
    """Waves of the centerline shorter than this are damped by more than half; 0 takes the points as they are."""

    @property
    def decisive(self) -> dict[str, Any]:
        """What a stack depends on beside the scan's files, as JSON: not the settings of the other region."""
        others = {"cord": {"region"}, "foreground": {"crop_voxels", "centerline", "centerline_smoothing_mm"}}
        content = self.hashed(exclude=others[self.region])
        # What is in that file counts (see guide), not where it lies.
        return content | {"centerline": NETWORK} if self.guide == NETWORK else content

    @property
    def guide(self) -> str | None:
        """The kind of file, beside the image, that shows where the cord is or finds it; None where there is none."""
        if self.region != "cord":
            return None
        return NETWORK if isinstance(self.centerline, Path) else DRAWN.get(self.centerline)

    @property
    def portable(self) -> Self:
        """The same for another machine, which has no such folder."""
        return self._with_file(Path(self.centerline.name)) if isinstance(self.centerline, Path) else self

    def below(self, folder: Path) -> Self:
        """Return it with a relative path resolved against ``folder``."""
        return self._with_file(folder / self.centerline) if isinstance(self.centerline, Path) else self

    def _with_file(self, network: Path) -> Self:
        return self.model_copy(update={"centerline": network})


class PatchConfig(Section):
    """Patches along the cord, or along all three axes of the foreground."""

    size_voxels: Annotated[int, Field(ge=8, le=1024)] = 48
    """Length of a patch along the cord; edge of a cube in the foreground."""
    overlap_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.75
    """Shared part of consecutive patches, in training and in prediction."""

    def shape(self, preprocess: PreprocessConfig) -> tuple[int, int, int]:
        """Return a patch's edges in voxels: along the cord a patch is as wide as the crop."""
        width = preprocess.crop_voxels if preprocess.region == "cord" else self.size_voxels
        return width, width, self.size_voxels


Filters: TypeAlias = Annotated[int, Field(gt=0, le=4096)]
"""No machine holds a network of more."""


UNET3D = "unet3d"


class NetworkConfig(Section):
    """The 3-D U-Net (Cicek et al. 2016), or a network of the user by its import path."""

    name: Annotated[str, LATER] = UNET3D
    """``unet3d``, or ``my_module:MyNet``: a ``torch.nn.Module`` that maps patches (B, 1, X, Y, Z) to logits of the same
    shape, in a module next to the study file (see ``code``) or an installed package. The other keys but ``parameters``
    are those of the U-Net."""
    parameters: Annotated[dict[str, Any], LATER] = {}
    """Keyword arguments of the user's network."""
    filters: Annotated[tuple[Filters, ...], Field(min_length=1, max_length=8)] = (16, 32, 64)
    """Filters per level, finest first."""
    prior: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Lesion probability of the untrained network; a rare class is learned sooner from a low one (Lin et al. 2017)."""
    initialization: Annotated[Literal["pytorch", "glorot"], LATER] = "pytorch"
    """First weights: ``pytorch``, uniform up to 1 / sqrt(inputs), biases too; ``glorot``, uniform up to
    sqrt(6 / (inputs + outputs)), biases 0 (Glorot & Bengio 2010; TensorFlow 2.9)."""
    normalization_momentum: Annotated[float, Field(gt=0, le=1), LATER] = 0.1
    """Share of each batch in the running mean and variance of batch normalisation. TensorFlow 2.9: 0.01, which it calls
    a momentum of 0.99."""
    normalization_epsilon: Annotated[float, Field(gt=0), LATER] = 1e-5
    """Added to the variance in batch normalisation. TensorFlow 2.9: 1e-3."""

    @property
    def is_imported(self) -> bool:
        """Whether it is a network of the user, named by an import path."""
        return self.name != UNET3D

    @property
    def multiple(self) -> int:
        """The edges of a patch must be multiples of this; what a network of the user needs is found by trying it."""
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
    """``plateau``: halve the rate when the validation loss stops falling (the study); ``cosine``: lower it to 0 by the
    last epoch (Loshchilov & Hutter 2017), which gets more out of a short training."""
    patience_epochs: Annotated[int, Field(gt=0)] = 15
    """The rate is halved after this many epochs without a lower validation loss."""
    early_stopping_epochs: Annotated[int, Field(gt=0)] | None = None
    """Training ends after this many epochs without a lower validation loss; never by default (the study)."""
    precision: Precision = "auto"
    """``auto``: the network computes in bfloat16 where the processor does; ``float32``: nowhere. Weights, losses and
    sums are float32 in any case."""
    devices: Annotated[int, Field(gt=0)] = 1
    """Processes of a machine that train one network together, each with its part of every batch: on a GPU each, or on
    the CPU where there is none. The batches are the same; the weights too, but for rounding. Several machines:
    ``cluster.nodes``."""
    logger: LoggerName | None = None
    """Draws the learning curves in the run's folder too, while it trains; changes no result."""
    rho: Annotated[float, Field(gt=0, lt=1), LATER] = 0.9
    """Decay of Adadelta's running averages; PyTorch's by default. TensorFlow 2.9 and Zeiler (2012): 0.95."""
    epsilon: Annotated[Annotated[float, Field(gt=0)] | None, LATER] = None
    """Keeps the steps of Adam and Adadelta finite; by default PyTorch's, 1e-8 and 1e-6. TensorFlow 2.9: 1e-7."""
    runs_per_device: Literal["auto"] | Annotated[int, Field(gt=0)] = "auto"
    """Trainings side by side on each GPU (or on the processors), each in a process of its own; changes no result.
    ``auto``: on a GPU as many as its memory and the processors bear, on processors one."""


class LossConfig(Section):
    """One loss of the study; a plain name stands for its published defaults."""

    name: str
    """A row of ``cordlesion.losses.LOSSES``, or ``monai:ClassName``."""
    parameters: dict[str, Any] = {}
    """Keyword arguments that differ from the defaults."""
    label: PlainName | None = None
    """Name in tables and folders; needed when one loss is listed twice."""
    optimizer: Optimizer | None = None
    """By default that of ``training``, but for ``combo``, which the study trained with Adadelta at a rate of 1."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """By default that of ``training``, or the published one, where the optimiser is the published one too."""

    @field_validator("parameters")
    @classmethod
    def _finite(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        if wrong := [name for name, value in parameters.items() if isinstance(value, float) and not isfinite(value)]:
            raise fault_at(f"a finite number is needed, found {parameters[wrong[0]]}", wrong[0])
        return parameters

    @property
    def title(self) -> str:
        """The loss's name in tables and folders."""
        return self.label or self.name.replace(":", "_")


class PredictionConfig(Section):
    """From patches to a probability map (Hussein et al. 2023, section 2.5)."""

    blending: Blending = "mean"
    """How overlapping patches weigh along the stack: all alike (the study), or their middle more than their ends."""
    mirror: bool = False
    """Average over the patch mirrored along every combination of axes, in eight times the time."""
    precision: Precision = "auto"
    """As in ``training``."""


class PostprocessConfig(Section):
    """What is no lesion however probable; applied before maps are cut and measured, never to the maps on disk."""

    minimum_volume_mm3: LesionVolume = 0.0
    """Predicted components (6-connected) are lesions when *larger* than this; 0 keeps all."""
    cord_margin_mm: Annotated[float, Field(ge=0, le=1e4)] | None = None
    """Nothing farther than this from the cord mask is lesion; needs cord masks. By default nothing is restricted."""


class ThresholdConfig(Section):
    """How the decision threshold is chosen (Hussein et al. 2023, section 2.5)."""

    objective: str = "median_voxel_f1"
    """A row of ``cordlesion.threshold.OBJECTIVES``, some with a number: ``f_beta:2``, ``lesion_sensitivity:1``."""
    grid: Literal["paper", "fine"] = "paper"
    """Thresholds that are tried, a row of ``cordlesion.threshold.GRIDS``."""
    minimum_volumes_mm3: tuple[LesionVolume, ...] = ()
    """Values of ``postprocess.minimum_volume_mm3`` among which one is chosen together with the threshold; by default it
    is not tuned."""

    @model_validator(mode="after")
    def _distinct_volumes(self) -> Self:
        if len(set(self.minimum_volumes_mm3)) < len(self.minimum_volumes_mm3):
            raise fault_at("one volume is listed twice", "minimum_volumes_mm3")
        return self


class ReducedConfig(Section):
    """A run of a part of a study, to see that all of it works; its numbers are not those of the study."""

    scans: Annotated[int, Field(gt=0)] | None = None
    """At most so many scans take part, subjects with and without lesions."""
    epochs: Annotated[int, Field(gt=0)] | None = None
    """In place of ``training.epochs``."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.scans is None and self.epochs is None:
            raise ValueError("a number of scans or of epochs is needed; leave the section out to run the whole study")
        return self

    @property
    def description(self) -> str:
        """What is reduced, as printed."""
        parts = [f"at most {self.scans} scans"] if self.scans else []
        parts += [f"{self.epochs} epoch{'s' if self.epochs > 1 else ''}"] if self.epochs else []
        return f"reduced run: {', '.join(parts)}"


class PrimaryConfig(Section):
    """The one question that the study is to answer; declared before the test set is opened."""

    metric: Literal["voxel_f1", "lesion_f1"]
    """The primary endpoint: the mean over test subjects of this score, at tuned thresholds."""
    first: str
    """A loss or comparator, as it is named in tables."""
    second: str
    """The one that it is compared with: the difference is second - first."""

    @model_validator(mode="after")
    def _two_methods(self) -> Self:
        if self.first == self.second:
            raise fault_at("two different methods are needed, first and second are the same", "second")
        return self


class EvaluationConfig(Section):
    """How lesions are compared."""

    rule: str = "study"
    """A row of ``cordlesion.metrics.RULES``."""
    primary: PrimaryConfig | None = None
    """The primary endpoint and comparison: every other one is exploratory. It changes no result; ``manifest.json``
    records whether it was declared before the test set was opened. By default none is declared, and all are
    exploratory."""


class ClusterConfig(Section):
    """What jobs ask of SLURM, for ``study run --executor slurm``; changes no result."""

    partition: str | None = None
    """The site's default, if it has one."""
    cpu_partition: str | None = None
    """Of jobs that need no GPU, such as cutting stacks; ``partition`` by default."""
    nodes: Annotated[int, Field(gt=0)] = 1
    """Machines that train one network together, each with ``training.devices`` processes; all else a job asks for, it
    asks for on each of them."""
    gpus: Annotated[int, Field(ge=0)] | None = None
    """Per job of trainings, as many as ``training.devices`` by default; predictions take one. 0 where there are none,
    or where ``options`` name them (``gres``): then every job asks for them, so leave ``cpu_partition`` out."""
    cpus: Annotated[int, Field(gt=0)] = 4
    """Processors per job."""
    memory_gb: Annotated[float, Field(gt=0)] = 16
    """Memory per job."""
    time_limit_hours: Annotated[float, Field(gt=0)] = 4
    """A job that reaches it is queued again and goes on where it was."""
    requeues: Annotated[int, Field(ge=0)] = 20
    """How often that may happen to a job before it counts as failed."""
    parallel_jobs: Annotated[int, Field(gt=0)] = 100
    """At most so many jobs run at the same time."""
    scans_per_job: Annotated[int, Field(gt=0)] = 50
    """Stacks that one job cuts, or maps that it predicts."""
    options: dict[str, str | int | bool] = {}
    """Further options of ``sbatch``, such as ``account`` and ``qos``."""

    @model_validator(mode="after")
    def _other_options(self) -> Self:
        for option in self.options:
            name = option.replace("_", "-")
            if name in _TASKS:
                reason = "every task would do the work of the whole job; say `cluster.nodes`"
            elif name in _ASKED_FOR:
                reason = f"jobs ask for it twice; say `cluster.{_ASKED_FOR[name]}`"
            elif name in _BY_WHICH_JOBS_ARE_FOUND:
                reason = "`study run` would not find its jobs or their logs; remove it"
            else:
                continue
            raise fault_at(reason, "options", option)
        return self
