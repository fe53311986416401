"""The ensembles among the methods of a finished study."""

from collections.abc import Iterable

from cordlesion.config import EnsembleConfig, StudyConfig
from cordlesion.study_folder.runs import Run


def ensembles_among(config: StudyConfig, runs: Iterable[Run]) -> dict[str, EnsembleConfig]:
    """Return the ensembles of a study that are among the evaluated runs, by name; names are those of no loss."""
    evaluated = {run.loss for run in runs}
    return {one.name: one for one in config.ensemble_configs if one.name in evaluated}
