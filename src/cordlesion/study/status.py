"""What of a study is done and what is left, from its folder alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from cordlesion.config import RunConfig, StudyConfig, read_study
from cordlesion.dataset.columns import SPLITS
from cordlesion.errors import CordlesionError
from cordlesion.execution.jobs import queue, submissions, summarize_states
from cordlesion.io.fingerprints import METHOD_VERSION, file_hash
from cordlesion.io.tables import read_table
from cordlesion.study.fingerprints import train_key
from cordlesion.study.models_aside import first_weights, models_aside
from cordlesion.study.outdated import kept_models
from cordlesion.study.train import failure_file
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.manifest import read_manifest
from cordlesion.study_folder.stages import STAGES, Stage

Row: TypeAlias = tuple[str, str, str]
"""Stage, unit, state."""


def study_status(root: Path) -> list[Row]:
    """List what is done and what is left: (stage, unit, state), without reading any scan.

    Raises:
        CordlesionError: The folder holds no study, or may not be read.
    """
    try:
        return _rows(StudyFolder(root))
    except PermissionError as error:
        raise CordlesionError(f"{error.filename or root}: may not be read. Check who may read the study.") from error


@dataclass(frozen=True)
class _Progress:
    """What the rows are made from."""

    folder: StudyFolder
    config: StudyConfig
    splits: pd.DataFrame | None
    """None before the split."""
    on_cluster: Mapping[tuple[str, str], str]
    """The state of each unit, with its stage, whose job on a cluster is not collected yet."""


def _rows(folder: StudyFolder) -> list[Row]:
    if not folder.configuration.is_file():
        raise CordlesionError(f"{folder.root}: no study here; a folder with study.yaml is needed. Check the path.")
    config = read_study(folder.configuration)
    splits = read_table(folder.splits, SPLITS) if folder.splits.is_file() else None
    progress = _Progress(folder, config, splits, _on_cluster(folder))
    rows = [row for stage in STAGES for row in _BY_UNIT.get(stage.name, _by_file)(progress, stage)]
    states = progress.on_cluster
    stages = dict.fromkeys(stage for stage, _ in states)
    return rows + [
        ("cluster", stage, summarize_states(s for (of, _), s in states.items() if of == stage)) for stage in stages
    ]


def _split(progress: _Progress, stage: Stage) -> list[Row]:
    splits = progress.splits
    if splits is None:
        return [(stage.name, "all scans", "left")]
    return [(stage.name, f"{splits['fold'].nunique()} folds" if "fold" in splits else "all scans", "done")]


def _stacks(progress: _Progress, stage: Stage) -> list[Row]:
    splits = progress.splits
    if splits is None:
        return []
    count, state = _counted(progress.folder, "preprocess", set(splits["scan_id"]))
    lost = _listed(progress.folder, "partial")
    return [(stage.name, f"{count}, cord lost in {len(lost)}" if lost else count, state)]


def _trainings(progress: _Progress, stage: Stage) -> list[Row]:
    """Return a row for each training, and one for each comparator, whose maps are imported."""
    folder, config, states = progress.folder, progress.config, progress.on_cluster
    rows = [(stage.name, run.name, _training(folder, run, states.get((stage.name, run.name)))) for run in config.runs]
    rows += [(stage.name, name, "kept, not in the study") for name in kept_models(config, folder)]
    rows += [(stage.name, name, "set aside: of other settings or scans") for name in models_aside(folder)]
    return rows + [("comparator", *_imported(progress, one.name)) for one in config.comparators]


def _by_file(progress: _Progress, stage: Stage) -> list[Row]:
    """Return a row for the first file of a stage."""
    return [(stage.name, name, _result(progress.folder, progress.folder.root / name)) for name in stage.files[:1]]


_BY_UNIT: Mapping[str, Callable[[_Progress, Stage], list[Row]]] = {
    "split": _split,
    "preprocess": _stacks,
    "train": _trainings,
}
"""Stages whose units are counted; all others are done when their first file is there."""


def _imported(progress: _Progress, comparator: str) -> tuple[str, str]:
    """Count the scans whose map or mask by a comparator is in the study folder."""
    splits = progress.splits
    if splits is None:
        return comparator, "left"
    scans = set(splits.loc[splits["set"].isin(["threshold", "test"]), "scan_id"])
    count, state = _counted(progress.folder, f"predict/{comparator}", scans)
    return f"{comparator}: {count}", state


def _counted(folder: StudyFolder, stage: str, scans: set[str]) -> tuple[str, str]:
    """Count the scans of which a stage is done; scans that the study excluded are not needed."""
    left_out = scans.intersection(_listed(folder, "excluded"))
    done = sum(bool(folder.finished(f"{stage}/{name}")) for name in scans - left_out)
    count = f"{done} of {len(scans - left_out)} scans" + (f", {len(left_out)} left out" if left_out else "")
    return count, _state(done == len(scans - left_out))


def _listed(folder: StudyFolder, key: str) -> Mapping[str, str]:
    """Return the scans that the manifest lists under a key, each with the reason."""
    listed: Mapping[str, str] = (
        read_manifest(folder.manifest, folder.root).get(key, {}) if folder.manifest.is_file() else {}
    )
    return listed


def _on_cluster(folder: StudyFolder) -> dict[tuple[str, str], str]:
    if not (arrays := submissions(folder.root)):
        return {}
    queued = queue()
    return {(array.stage, unit): state for array in arrays for unit, state in array.states(queued).items()}


def _training(folder: StudyFolder, run: RunConfig, on_cluster: str | None) -> str:
    if folder.finished(train_key(run)):
        return "done" + _changed_start(folder, run)
    failure = failure_file(folder, run)
    left = f"failed: {failure.read_text(encoding='utf-8').strip()}" if failure.is_file() else "left"
    return on_cluster or left + _changed_start(folder, run)


def _changed_start(folder: StudyFolder, run: RunConfig) -> str:
    """Return what prevents that a training is kept or made, as its state goes on: the weights that it starts from."""
    start = run.training.start_bundle
    if start is None:
        return ""
    weights = start / "model.safetensors"
    if not weights.is_file():
        return f", but {start}, where it starts from, has no model: `study run` needs it there"
    trained = first_weights(folder, run)
    if trained in ("", file_hash(weights)):
        return ""
    return f", but from other weights than those in {start}: `study run` trains it again"


def _result(folder: StudyFolder, path: Path) -> str:
    """Return the state of a table or page; a change of the method makes it invalid."""
    made = folder.finished("results")
    if path.is_file() and made and made.get("method") != METHOD_VERSION:
        return "left: there is one made by an earlier version"
    return _state(path.is_file())


def _state(done: bool) -> str:
    return "done" if done else "left"
