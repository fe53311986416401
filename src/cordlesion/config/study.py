"""A whole study, and the trainings it consists of."""

from math import ceil
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from cordlesion.config.comparators import ComparatorConfig, ComparatorRun
from cordlesion.config.data import FilePatterns, PatchConfig, PreprocessConfig, SplitConfig
from cordlesion.config.ensembles import MIN_MEMBERS, EnsembleConfig, EnsembleRun, Ensembles, ensemble_of
from cordlesion.config.evaluation import EvaluationConfig, PostprocessConfig, PredictionConfig, ThresholdConfig
from cordlesion.config.execution import ClusterConfig, ReducedConfig
from cordlesion.config.names import names_on_disk
from cordlesion.config.optimization import as_hashed, explicit
from cordlesion.config.runs import RunConfig, imported_code
from cordlesion.config.section import LATER, Section, name_only
from cordlesion.config.training import BESIDE_TRAINING, LossConfig, NetworkConfig, TrainingConfig
from cordlesion.io.yaml import fault_at

Method: TypeAlias = RunConfig | EnsembleRun | ComparatorRun
"""What is evaluated: a training of this study, an ensemble of them or a comparator, in one fold."""


class StudyConfig(Section):
    """A whole study.

    Examples:
        >>> import cordlesion
        >>> from cordlesion.config import LossConfig, TrainingConfig
        >>> study = cordlesion.StudyConfig(
        ...     name="two losses",
        ...     dataset="cohort",
        ...     output="study",
        ...     training=TrainingConfig(epochs=50),
        ...     losses=(LossConfig(name="dice"), LossConfig(name="tversky")),
        ... )
        >>> study.training.epochs, study.seeds
        (50, (0,))
    """

    name: str
    dataset: Path
    """Folder of the scans and references, BIDS or with ``patterns``; relative to the YAML file."""
    output: Path
    """Study folder, relative to the YAML file."""
    patterns: FilePatterns = FilePatterns()
    split: SplitConfig = SplitConfig()
    preprocess: PreprocessConfig = PreprocessConfig()
    patches: PatchConfig = PatchConfig()
    network: Annotated[NetworkConfig, BeforeValidator(name_only)] = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    prediction: PredictionConfig = PredictionConfig()
    postprocess: PostprocessConfig = PostprocessConfig()
    losses: Annotated[tuple[Annotated[LossConfig, BeforeValidator(name_only)], ...], Field(min_length=1)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    ensembles: Annotated[Ensembles, LATER] = "per_loss"
    """Means of the maps of several trainings, evaluated as methods of their own: ``per_loss`` (one of each loss, of all
    its seeds, where there are several), ``none``, or a list of ``{name: ..., losses: [...]}``. Trainings do not depend
    on it."""
    comparators: tuple[ComparatorConfig, ...] = ()
    """Other methods, evaluated on the same scans."""
    threshold: ThresholdConfig = ThresholdConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    cluster: ClusterConfig = ClusterConfig()
    code: Annotated[Path | None, LATER] = None
    """Folder of the Python modules that the study names by import paths (``my_module:MyNet``), relative to the YAML
    file. Default: the folder of that file."""
    reduced: ReducedConfig | None = None
    """Set by ``study run --limit-scans`` and ``--epochs``, which run a part of the study."""

    @property
    def title(self) -> str:
        """The study's name as printed; that of a reduced run states what is reduced."""
        return f"{self.name} ({self.reduced.description})" if self.reduced else self.name

    @property
    def explicit(self) -> Self:
        """The study with published optimisers written as keys, so that it does not depend on the version's table."""
        return self.model_copy(update={"losses": tuple(explicit(self.training, loss) for loss in self.losses)})

    @property
    def folds(self) -> list[int | None]:
        """Numbers of the folds; one None where there is a single split."""
        return [None] if self.split.folds == 1 else list(range(1, self.split.folds + 1))

    @property
    def runs(self) -> list[RunConfig]:
        """The trainings of the study, one per loss, seed and fold."""
        sections = ("network", "preprocess", "patches", "prediction", "postprocess", "code")
        shared = {name: getattr(self, name) for name in sections}
        training = self.training
        if self.reduced and self.reduced.epochs:
            training = training.model_copy(update={"epochs": self.reduced.epochs})
        return [
            RunConfig(loss=loss, seed=seed, fold=fold, training=training, **shared)
            for loss in self.losses
            for seed in self.seeds
            for fold in self.folds
        ]

    @property
    def comparator_runs(self) -> list[ComparatorRun]:
        """The comparators of the study, each in every fold."""
        return [
            ComparatorRun(comparator=comparator, fold=fold, postprocess=self.postprocess)
            for comparator in self.comparators
            for fold in self.folds
        ]

    @property
    def ensemble_configs(self) -> tuple[EnsembleConfig, ...]:
        """The ensembles of the study; none where ``per_loss`` finds one seed only, or the name of another method."""
        if isinstance(self.ensembles, tuple):
            return self.ensembles
        if self.ensembles == "none" or len(self.seeds) < MIN_MEMBERS:
            return ()
        named = [(loss.title, self.seeds) for loss in self.losses] + [(one.name, (None,)) for one in self.comparators]
        taken = {name for title, seeds in named for name in names_on_disk(title, seeds, self.folds)}
        each = (ensemble_of(loss.title) for loss in self.losses)
        return tuple(one for one in each if taken.isdisjoint(names_on_disk(one.name, (None,), self.folds)))

    @property
    def ensemble_runs(self) -> list[EnsembleRun]:
        """The ensembles of the study, each in every fold."""
        if not (ensembles := self.ensemble_configs):
            return []
        trained = {(run.loss.title, run.seed, run.fold): run for run in self.runs}
        return [
            EnsembleRun(
                ensemble=ensemble,
                members=tuple(trained[title, seed, fold] for title in ensemble.losses for seed in self.seeds),
                fold=fold,
                postprocess=self.postprocess,
            )
            for ensemble in ensembles
            for fold in self.folds
        ]

    @property
    def own_methods(self) -> list[RunConfig | EnsembleRun]:
        """The methods that have a bundle in the study: trainings, then ensembles of them."""
        return [*self.runs, *self.ensemble_runs]

    @property
    def methods(self) -> list[Method]:
        """Everything that is evaluated: trainings, then ensembles of them, then comparators."""
        return [*self.own_methods, *self.comparator_runs]

    @property
    def decisive(self) -> dict[str, Any]:
        """What the study's results depend on, apart from its files, as JSON.

        Not included: names, folders, the cluster and the number of processes. Comparators are not included, because
        their files are hashed; nor ensembles, on which no training depends. The primary comparison and the margin of
        equivalence change no result, and further threshold rules only results of their own.
        """
        beside = ("name", "dataset", "output", "ensembles", "comparators", "cluster", "code")
        apart = dict.fromkeys(beside, True)
        losses = tuple(as_hashed(self.training, loss) for loss in self.losses)
        content = self.model_copy(update={"losses": losses, "training": self.training.portable}).hashed(
            exclude={
                **apart,
                "patterns": {"subjects"},  # the split, which is hashed, states them
                "training": BESIDE_TRAINING,
                "evaluation": {"primary", "equivalence_margin"},
                "threshold": {"rules"},
            }
        )
        own = imported_code(self._imported_beside_rules, self.code)
        return content | {"preprocess": self.preprocess.portable.hashed()} | own

    @property
    def imported(self) -> list[str]:
        """The import paths of the user's own code."""
        return [*self._imported_beside_rules, *self.threshold.imported_rules]

    @property
    def _imported_beside_rules(self) -> list[str]:
        network = [self.network.name] if self.network.is_imported else []
        return [*network, *(loss.name for loss in self.losses if loss.is_imported), *self.measures]

    @property
    def measures(self) -> list[str]:
        """The import paths of the user's own objective and metrics, on which no training depends."""
        return [*self.threshold.imported, *(metric.name for metric in self.evaluation.metrics)]

    @model_serializer(mode="wrap")
    def _without_unset_code(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Files of studies without code of their own stay as they are.
        content: dict[str, Any] = serialize(self)
        return {key: value for key, value in content.items() if key != "code" or value is not None}

    @model_validator(mode="after")
    def _halvable_patches(self) -> Self:
        divisor = self.network.multiple
        edges = {("patches", "size_voxels"): self.patches.size_voxels}
        if self.preprocess.region == "cord":
            edges = {("preprocess", "crop_voxels"): self.preprocess.crop_voxels} | edges
        for place, edge in edges.items():
            if edge % divisor:
                needed = f"which {len(self.network.filters)} levels of filters need"
                raise fault_at(f"{edge} is not a multiple of {divisor}, {needed}", *place)
        return self

    @model_validator(mode="after")
    def _radius_of_a_voxel(self) -> Self:
        radius, edge = self.prediction.radius_mm, self.preprocess.spacing_mm
        # The middle voxels of a crop with an even edge lie so far from its centre.
        least = ceil(100 * edge / 2**0.5) / 100
        if self.preprocess.region == "cord" and radius is not None and radius < least:
            reason = (
                f"{radius:g} mm around the centerline may hold no voxel of {edge:g} mm, so that none is lesion; "
                f"{least:g} mm or more are needed, such as 8"
            )
            raise fault_at(reason, "prediction", "radius_mm")
        return self

    @model_validator(mode="after")
    def _one_minimum_volume(self) -> Self:
        if self.threshold.minimum_volumes_mm3 and self.postprocess.minimum_volume_mm3:
            reason = "tunes what postprocess.minimum_volume_mm3 sets; remove one of the two"
            raise fault_at(reason, "threshold", "minimum_volumes_mm3")
        return self

    @model_validator(mode="after")
    def _devices_of_one_training(self) -> Self:
        """Refuse settings that contradict several devices for one training."""
        devices, nodes, gpus = self.training.devices, self.cluster.nodes, self.cluster.gpus
        if devices * nodes == 1:
            return self
        if self.training.runs_per_device not in ("auto", 1):
            reason = (
                "where `training.devices` or `cluster.nodes` gives a training several, none is shared; leave it out"
            )
            raise fault_at(reason, "training", "runs_per_device")
        if gpus and gpus != devices:
            reason = f"`training.devices` is {devices}, and each needs a GPU; ask for as many, or leave it out"
            raise fault_at(reason, "cluster", "gpus")
        return self

    @model_validator(mode="after")
    def _distinct_seeds(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise fault_at("one seed is listed twice", "seeds")
        return self

    @model_validator(mode="after")
    def _trained_members(self) -> Self:
        """Refuse ensembles of losses that the study does not train, of one training, or of a loss named twice."""
        titles = [loss.title for loss in self.losses]
        for k, ensemble in enumerate(self.ensemble_configs):
            place = ("ensembles", k, "losses")
            if unknown := [title for title in ensemble.losses if title not in titles]:
                raise fault_at(f"{unknown[0]} is no loss of this study; of {', '.join(titles)} some are needed", *place)
            if len(set(ensemble.losses)) < len(ensemble.losses):
                raise fault_at("one loss is listed twice", *place)
            if len(ensemble.losses) * len(self.seeds) < MIN_MEMBERS:
                raise fault_at("one loss with one seed is one training; list several losses, or `seeds`", *place)
        return self

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        """Refuse methods that would share folders or files, also on file systems that ignore case."""
        titles: list[tuple[tuple[str, int], str, tuple[int | None, ...], str]]
        titles = [(("losses", k), loss.title, self.seeds, "label") for k, loss in enumerate(self.losses)]
        titles += [(("ensembles", k), one.name, (None,), "name") for k, one in enumerate(self.ensemble_configs)]
        titles += [(("comparators", k), one.name, (None,), "name") for k, one in enumerate(self.comparators)]
        taken: dict[str, str] = {}
        for place, title, seeds, key in titles:
            names = names_on_disk(title, seeds, self.folds)
            if others := [taken[name] for name in sorted(names) if name in taken]:
                reason = f"{title} is taken by {others[0]}: file names ignore case and _; give it another {key}"
                raise fault_at(reason, *place, key)
            taken |= dict.fromkeys(names, f"{place[0]}.{place[1]} ({title})")
        return self

    @model_validator(mode="after")
    def _primary_of_the_study(self) -> Self:
        if primary := self.evaluation.primary:
            named = [loss.title for loss in self.losses] + [one.name for one in self.ensemble_configs]
            named += [one.name for one in self.comparators]
            for key in ("first", "second"):
                if (title := getattr(primary, key)) not in named:
                    reason = f"{title} is no method of this study; one of {', '.join(named)} is needed"
                    raise fault_at(reason, "evaluation", "primary", key)
        return self
