"""Sections on maps and scores: prediction, post-processing, threshold, evaluation."""

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from cordlesion.config.names import PlainName
from cordlesion.config.section import LATER, Section, name_only
from cordlesion.config.training import Precision
from cordlesion.io.import_path import is_import_path
from cordlesion.io.yaml import fault_at
from cordlesion.metrics.further import FURTHER_METRICS
from cordlesion.metrics.own import METRICS_NEEDED
from cordlesion.metrics.rules import RULES, row_name
from cordlesion.metrics.table import METRICS

_BESIDE_METRICS = (
    *(
        "scan_id",
        "subject",
        "session",
        "site",
        "set",
        "loss",
        "seed",
        "fold",
        "threshold",
        "minimum_volume_mm3",
        "rule",
        "repeat",
    ),
    *("n_false_lesions", "score"),
)
TAKEN_COLUMNS = frozenset((*METRICS, *_BESIDE_METRICS))
"""Names of columns of tables, which no metric of a user can have."""
Blending = Literal["mean", "gaussian", "hann"]
LesionVolume: TypeAlias = Annotated[float, Field(ge=0, le=1e9)]
"""In mm3, at most a cubic metre."""


class PredictionConfig(Section):
    """From patches to a probability map (Hussein et al. 2023, section 2.5)."""

    blending: Blending = "mean"
    """Weight of overlapping patches along the stack: ``mean``: equal (the paper); ``gaussian``, ``hann``: higher in the
    middle of a patch than at its ends."""
    mirror: bool = False
    """Average over the eight mirrored copies of each patch; takes eight times as long."""
    radius_mm: Annotated[Annotated[float, Field(gt=0, le=1e4)] | None, LATER] = None
    """In the region ``cord``, the probability is 0 farther than this from the centerline, in the axial plane. Default:
    no restriction within the crop."""
    precision: Precision = "auto"
    """As ``training.precision``."""


class PostprocessConfig(Section):
    """What is never lesion, whatever its probability. Applied before maps are cut and scored, never to maps on disk."""

    minimum_volume_mm3: LesionVolume = 0.0
    """Predicted components (6-connected) count as lesions only if they are *larger* than this. 0 keeps all."""
    cord_margin_mm: Annotated[float, Field(ge=0, le=1e4)] | None = None
    """Voxels farther than this from the cord mask are not lesion; needs cord masks. Default: no restriction."""


def _grid_name(value: object) -> object:
    return row_name(value, ("paper",)) if isinstance(value, str) else value


def _rule_name(value: object) -> object:
    return row_name(value, RULES) if isinstance(value, str) else value


class PromisesConfig(Section):
    """What the operating points beside the tuned threshold promise, see docs/promises.md."""

    missed: Annotated[float, Field(gt=0, lt=1)] | None = 0.2
    """Of the point ``sensitive``: the share of a subject's lesions that is missed is at most this, in the mean over
    subjects. ``null``: there is no such point."""
    false_positives: Annotated[float, Field(gt=0, lt=1e4)] | None = 1.0
    """Of the point ``specific``: false positives per scan are at most this, in the mean over subjects."""
    certainty: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """That the promise of a point is kept in subjects like those of the threshold set."""

    @model_validator(mode="before")
    @classmethod
    def _known_names(cls, content: Any) -> Any:  # noqa: ANN401 - what YAML holds
        # Points are named otherwise than their limits.
        for name in content if isinstance(content, dict) else ():
            if name not in cls.model_fields:
                raise fault_at(f"is no limit of an operating point; {', '.join(cls.model_fields)} are", str(name))
        return content


class ThresholdConfig(Section):
    """How the decision threshold is chosen (Hussein et al. 2023, section 2.5)."""

    objective: str = "mean_voxel_f1"
    """What the threshold maximises: a row of ``cordlesion.threshold.OBJECTIVES``. Some take a number: ``f_beta:2``,
    ``lesion_sensitivity:1``, ``repeatability:0.3``. The paper's is ``median_voxel_f1``. A function of your own by its
    import path, ``my_module:my_objective``, or ``mean_`` or ``median_`` and the name of one of ``evaluation.metrics``.
    A study whose results were made with an earlier default keeps it."""
    grid: Annotated[Literal["paper", "fine"], BeforeValidator(_grid_name)] = "paper"
    """The thresholds to try: a row of ``cordlesion.threshold.GRIDS``. ``hussein2023`` is another name of ``paper``."""
    minimum_volumes_mm3: tuple[LesionVolume, ...] = ()
    """Candidate values of ``postprocess.minimum_volume_mm3``, of which one is chosen together with the threshold.
    Default: the minimum volume is not tuned."""
    promises: Annotated[PromisesConfig, LATER] = PromisesConfig()
    """Two more operating points of each method: the best thresholds that are shown to keep a promise. They change no
    other result."""
    rules: Annotated[tuple[str, ...] | None, LATER] = None
    """Further threshold rules, tuned on the threshold set beside the one threshold and measured on the test set beside
    it; the masks of the study stay those of the one threshold. Rows of ``cordlesion.threshold.THRESHOLD_RULES``, or
    classes of your own by their import path, ``my_module:MyRule``. Default: ``[peak]`` where the objective sees
    lesions, such as ``mean_lesion_f1``, and otherwise none."""

    @property
    def imported(self) -> tuple[str, ...]:
        """The import path of an objective of the user, without its number."""
        path = ":".join(self.objective.split(":")[:2])
        return (path,) if is_import_path(path) else ()

    @property
    def imported_rules(self) -> tuple[str, ...]:
        """The import paths of the user's threshold rules."""
        return tuple(name for name in self.rules or () if is_import_path(name))

    @model_serializer(mode="wrap")
    def _without_unset_rules(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Files of studies that name no rules stay as they are.
        content: dict[str, Any] = serialize(self)
        return {key: value for key, value in content.items() if key != "rules" or value is not None}

    @model_validator(mode="after")
    def _distinct_rules(self) -> Self:
        rules = self.rules or ()
        if len(set(rules)) < len(rules):
            raise fault_at("one rule is listed twice", "rules")
        if "global" in rules:
            raise fault_at("global is the one threshold, which every study tunes; list other rules", "rules")
        return self

    @model_validator(mode="after")
    def _distinct_volumes(self) -> Self:
        if len(set(self.minimum_volumes_mm3)) < len(self.minimum_volumes_mm3):
            raise fault_at("one volume is listed twice", "minimum_volumes_mm3")
        return self


class PrimaryConfig(Section):
    """The one comparison that the study is meant to judge, declared before the test set is opened."""

    metric: Literal["voxel_f1", "lesion_f1"]
    """The primary endpoint: the mean of this score over test subjects, at tuned thresholds."""
    first: str
    """A loss or comparator, by its name in tables."""
    second: str
    """The loss or comparator to compare it with; the difference is second - first."""

    @model_validator(mode="after")
    def _two_methods(self) -> Self:
        if self.first == self.second:
            raise fault_at("two different methods are needed, first and second are the same", "second")
        return self


class MetricConfig(Section):
    """One further metric: of the field by its name, or a function of your own. A plain name means its defaults."""

    name: str
    """A row of ``cordlesion.FURTHER_METRICS``, such as ``hd95_mm`` or ``nsd``. Or the import path of a function,
    ``my_module:my_metric``, in a module next to the study file (see ``code``) or an installed package:
    ``my_metric(reference, prediction, spacing_mm)`` returns a number, NaN where it is undefined."""
    parameters: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies defaults
    """Keyword arguments of the function that differ from its defaults."""
    label: PlainName | None = None
    """Name of its column in tables. Default: its name, or that of the function."""
    higher_is_better: bool = True
    """Whether a higher value is the better one. Known of the metrics of the field."""

    @field_validator("name")
    @classmethod
    def _known_or_import_path(cls, name: str) -> str:
        if not (is_import_path(name) or name in FURTHER_METRICS):
            raise ValueError(f"found {name!r}; {METRICS_NEEDED}")
        return name

    @model_validator(mode="before")
    @classmethod
    def _known_direction(cls, content: Any) -> Any:  # noqa: ANN401 - what YAML holds
        known = FURTHER_METRICS.get(str(content.get("name"))) if isinstance(content, dict) else None
        return content if known is None else {"higher_is_better": known.higher_is_better} | content

    @model_validator(mode="after")
    def _right_direction(self) -> Self:
        known = FURTHER_METRICS.get(self.name)
        if known is not None and known.higher_is_better != self.higher_is_better:
            better, found = "higher" if known.higher_is_better else "lower", str(self.higher_is_better).lower()
            raise fault_at(f"a {better} {self.name} is better, found {found}; remove the key", "higher_is_better")
        return self

    @property
    def title(self) -> str:
        """The name of its column."""
        return self.label or self.name.rpartition(":")[2]

    @property
    def printed(self) -> str:
        """Its name in reports."""
        known = None if self.label else FURTHER_METRICS.get(self.name)
        return self.title.replace("_", " ") if known is None else known.label


class EvaluationConfig(Section):
    """How lesions are compared."""

    rule: Annotated[str, BeforeValidator(_rule_name)] = "study"
    """The lesion rule: a row of ``cordlesion.metrics.RULES``. ``hussein2023`` is another name of ``study``."""
    primary: PrimaryConfig | None = None
    """The primary endpoint and comparison; all others are exploratory. It changes no result. ``manifest.json`` records
    whether it was declared before the test set was opened. Default: none, so all comparisons are exploratory."""
    equivalence_margin: Annotated[Annotated[float, Field(gt=0, lt=1)], LATER] = 0.05
    """Two methods are as good as each other if their mean voxel F1 is shown to differ by less than this. Choose it
    before the test set is opened. It changes no score, threshold or mask, only what the report recommends."""
    metrics: Annotated[tuple[Annotated[MetricConfig, BeforeValidator(name_only)], ...], LATER] = ()
    """Further metrics of the field and of your own, measured beside the others at every threshold."""

    @model_validator(mode="after")
    def _distinct_columns(self) -> Self:
        taken = set(TAKEN_COLUMNS)
        for k, metric in enumerate(self.metrics):
            if metric.title in taken:
                reason = f"{metric.title} is the name of another column of the tables; give it another label"
                raise fault_at(reason, "metrics", k, "label")
            taken.add(metric.title)
        return self
