"""Ensembles: the mean of the probability maps of several trainings of the study, evaluated as a method of its own."""

from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, Field, TypeAdapter

from cordlesion.config.evaluation import PostprocessConfig
from cordlesion.config.names import ENSEMBLE, PlainName, method_name
from cordlesion.config.runs import RunConfig
from cordlesion.config.section import Section

MIN_MEMBERS = 2


class EnsembleConfig(Section):
    """One ensemble: the mean of all trainings of some losses, of every seed."""

    name: PlainName
    """Name in tables, figures and file names."""
    losses: Annotated[tuple[str, ...], Field(min_length=1)]
    """The losses whose trainings take part, by their names in tables. Every seed of each counts equally."""


_Named = Literal["per_loss", "none"]


def _named_or_listed(value: object) -> object:
    """Check a word as one of those that there are, and anything else as a list: a fault is then of one form only."""
    if isinstance(value, str):
        if value not in get_args(_Named):
            raise ValueError(f"{' or '.join(get_args(_Named))} or a list of ensembles is needed")
        return value
    return TypeAdapter(tuple[EnsembleConfig, ...]).validate_python(value)


Ensembles: TypeAlias = Annotated[_Named | tuple[EnsembleConfig, ...], BeforeValidator(_named_or_listed)]


def ensemble_of(title: str) -> EnsembleConfig:
    """Return the ensemble of one loss."""
    return EnsembleConfig(name=f"{title}{ENSEMBLE}", losses=(title,))


class EnsembleRun(Section):
    """An ensemble in one fold: its map of a scan is the mean of the maps of its members."""

    ensemble: EnsembleConfig
    members: Annotated[tuple[RunConfig, ...], Field(min_length=MIN_MEMBERS)]
    """Of the same fold, losses in the order of the ensemble and seeds in that of the study."""
    fold: int | None = None
    """From 1; None where the study has one split."""
    postprocess: PostprocessConfig = PostprocessConfig()
    """That of the study."""

    @property
    def name(self) -> str:
        """Name of its folder."""
        return method_name(self.ensemble.name, None, self.fold)

    @property
    def maps_name(self) -> str:
        """Its name in the file names of its maps: every fold has maps of its own, as its members have."""
        return self.name

    @property
    def columns(self) -> dict[str, Any]:
        """The columns that identify its rows in tables; the seed is None."""
        return {"loss": self.ensemble.name, "seed": None} | ({"fold": self.fold} if self.fold else {})

    @property
    def is_tuned(self) -> bool:
        """Whether its threshold is tuned: that of an ensemble always is."""
        return True
