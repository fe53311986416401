"""A whole study, and the trainings it consists of."""

from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from cordlesion.config.comparators import ComparatorConfig, ComparatorRun
from cordlesion.config.sections import (
    EvaluationConfig,
    FilePatterns,
    LossConfig,
    NetworkConfig,
    PatchConfig,
    PostprocessConfig,
    PredictionConfig,
    PreprocessConfig,
    ReducedConfig,
    Section,
    SplitConfig,
    ThresholdConfig,
    TrainingConfig,
)


def _name_only(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class RunConfig(Section):
    """Everything that makes one training (loss x seed x fold) and its masks what they are."""

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

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return f"{self.loss.title}_seed-{self.seed}" + (f"_fold-{self.fold}" if self.fold else "")

    @property
    def maps_name(self) -> str:
        """Name under which its probability maps lie."""
        return self.name

    @property
    def is_tuned(self) -> bool:
        """A training's threshold is always tuned."""
        return True

    @property
    def columns(self) -> dict[str, Any]:
        """What tells the run's rows from others in tables."""
        return {"loss": self.loss.title, "seed": self.seed} | ({"fold": self.fold} if self.fold else {})

    @property
    def optimization(self) -> TrainingConfig:
        """The training configuration with the loss's own optimiser and rate, where it has them."""
        own = {key: value for key in ("optimizer", "learning_rate") if (value := getattr(self.loss, key)) is not None}
        return self.training.model_copy(update=own)

    @property
    def learned_from(self) -> dict[str, Any]:
        """What the weights depend on, as JSON; not where curves are drawn, nor what is done with the weights.

        Nor the fold and the preprocessing: the stacks of its sets tell what is learned from.
        """
        apart = dict.fromkeys(("fold", "preprocess", "prediction", "postprocess"), True)
        return self.model_dump(mode="json", exclude={**apart, "training": {"logger"}})


Method: TypeAlias = RunConfig | ComparatorRun
"""What is measured: a training of this study, or a comparator, in one fold."""


def _as_file(name: str) -> str:
    """Return a name as file names have it, without separators; some file systems know no capitals either."""
    return name.replace("_", "").replace("-", "").casefold()


class StudyConfig(Section):
    """A whole study."""

    name: str
    dataset: Path
    """BIDS folder, relative to the YAML file."""
    output: Path
    """Study folder, relative to the YAML file."""
    patterns: FilePatterns = FilePatterns()
    split: SplitConfig = SplitConfig()
    preprocess: PreprocessConfig = PreprocessConfig()
    patches: PatchConfig = PatchConfig()
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    prediction: PredictionConfig = PredictionConfig()
    postprocess: PostprocessConfig = PostprocessConfig()
    losses: Annotated[tuple[Annotated[LossConfig, BeforeValidator(_name_only)], ...], Field(min_length=1)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    comparators: tuple[ComparatorConfig, ...] = ()
    """Other methods, measured on the same scans."""
    threshold: ThresholdConfig = ThresholdConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    reduced: ReducedConfig | None = None
    """Set by ``study run --limit-scans`` and ``--epochs``: only a part of the study is run."""

    @property
    def title(self) -> str:
        """The study's name as printed; nobody may take a reduced run for the study."""
        return f"{self.name} ({self.reduced.description})" if self.reduced else self.name

    @property
    def folds(self) -> list[int | None]:
        """Numbers of the folds, or None for the only split."""
        return [None] if self.split.folds == 1 else list(range(1, self.split.folds + 1))

    @property
    def runs(self) -> list[RunConfig]:
        """The trainings of the study, one per loss, seed and fold."""
        sections = ("network", "preprocess", "patches", "prediction", "postprocess")
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
    def methods(self) -> list[Method]:
        """All that is measured: trainings, then comparators."""
        return [*self.runs, *self.comparator_runs]

    @property
    def decisive(self) -> dict[str, Any]:
        """What the study's results depend on beside its files, as JSON: neither names, places nor where curves go.

        Nor comparators: what they are is told by their files.
        """
        places = dict.fromkeys(("name", "dataset", "output", "comparators"), True)
        return self.model_dump(mode="json", exclude={**places, "training": {"logger"}})

    @model_validator(mode="after")
    def _halvable_patches(self) -> Self:
        divisor = 2 ** (len(self.network.filters) - 1)
        edges = {"patches.size_voxels": self.patches.size_voxels}
        if self.preprocess.region == "cord":
            edges = {"preprocess.crop_voxels": self.preprocess.crop_voxels} | edges
        for name, edge in edges.items():
            if edge % divisor:
                levels = len(self.network.filters)
                raise ValueError(f"{name} is {edge}; a multiple of {divisor} is needed for {levels} levels of filters")
        return self

    @model_validator(mode="after")
    def _one_minimum_volume(self) -> Self:
        if self.threshold.minimum_volumes_mm3 and self.postprocess.minimum_volume_mm3:
            raise ValueError(
                "postprocess.minimum_volume_mm3 is set and threshold.minimum_volumes_mm3 tunes it; remove one of them"
            )
        return self

    @model_validator(mode="after")
    def _distinct_runs(self) -> Self:
        titles = [loss.title.replace("_", "") for loss in self.losses]
        if twice := sorted({t for t in titles if titles.count(t) > 1}):
            raise ValueError(
                f"losses: {', '.join(twice)} listed twice (underscores do not count); give each a label of its own"
            )
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: one seed is listed twice")
        return self

    @model_validator(mode="after")
    def _distinct_comparators(self) -> Self:
        # As file names have them: without separators.
        names = [_as_file(method.name) for method in self.methods]
        losses = {_as_file(loss.title) for loss in self.losses}
        for method in self.comparator_runs:
            if names.count(_as_file(method.name)) > 1 or _as_file(method.comparator.name) in losses:
                raise ValueError(
                    f"comparators: the name {method.comparator.name} is taken (capitals and _ do not count); "
                    "give each comparator a name of its own"
                )
        return self
