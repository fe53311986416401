"""The ensembles among the methods of a finished study, and their printed names."""

from collections.abc import Iterable

from cordlesion.config import EnsembleConfig, StudyConfig
from cordlesion.config.ensembles import ensemble_of
from cordlesion.pictures.style import loss_name
from cordlesion.study_folder.runs import Run


def ensembles_among(config: StudyConfig, runs: Iterable[Run]) -> dict[str, EnsembleConfig]:
    """Return the ensembles of a study that are among the evaluated runs, by name; names are those of no loss."""
    evaluated = {run.loss for run in runs}
    return {one.name: one for one in config.ensemble_configs if one.name in evaluated}


def name_ensemble(ensemble: EnsembleConfig, n_seeds: int) -> str:
    """Return the printed name of an ensemble with the networks that it consists of: ``Dice, mean of 5 seeds``."""
    if ensemble == ensemble_of(ensemble.losses[0]):
        return f"{loss_name(ensemble.losses[0])}, mean of {n_seeds} seeds"
    return f"{ensemble.name}, mean of {len(ensemble.losses) * n_seeds} networks"
