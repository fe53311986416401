"""Run a whole study, stage by stage. What has not changed is not done again."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cordlesion.config import StudyConfig
from cordlesion.config.runs import imported_code
from cordlesion.errors import CordlesionError
from cordlesion.execution.executors import EXECUTORS, ExecutorName
from cordlesion.execution.jobs import await_earlier_jobs
from cordlesion.io.progress import show_message
from cordlesion.io.writing import folder_lock, remove_partial_files
from cordlesion.metrics import RULES
from cordlesion.study.measures import require_same_measures, try_measures
from cordlesion.study.options import RunOptions, load_stage
from cordlesion.study.sets import Cohort, Study
from cordlesion.study.setup import keep_objective
from cordlesion.study_folder.folder import StudyFolder, require_own_folder
from cordlesion.study_folder.manifest import write_manifest
from cordlesion.study_folder.results import StudyResults, read_results
from cordlesion.study_folder.stages import STAGES, StageName, stages_until


@dataclass(frozen=True, eq=False)
class StudyOutcome(Mapping[str, str]):
    """What a run of a study leaves: a mapping of the excluded scans to the reasons, with the results at hand."""

    folder: Path
    """The study folder."""
    excluded: Mapping[str, str]
    """The excluded scans (or files that belong to no scan), each with the reason."""
    partial: Mapping[str, str] = field(default_factory=dict)
    """The scans that take part though the cord was lost at an end, each with a sentence that says where."""

    def __getitem__(self, scan_id: str) -> str:
        return self.excluded[scan_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.excluded)

    def __len__(self) -> int:
        return len(self.excluded)

    def results(self) -> StudyResults:
        """Read the tables of the study.

        Raises:
            CordlesionError: A stage up to ``analyze`` has not run yet.
        """
        return read_results(self.folder)


def run_study(
    config: StudyConfig,
    *positional: str | None,
    until: StageName = "report",
    only: str | None = None,
    executor: ExecutorName = "local",
) -> StudyOutcome:
    """Run a study up to and including a stage; what is done already is not done again.

    Args:
        config: The study.
        positional: Deprecated: ``until``, ``only`` and ``executor`` without their names.
        until: Last stage, a row of :data:`cordlesion.study_folder.stages.STAGES`.
        only: Name of the one run to train, for ``until="train"``; all by default.
        executor: Where the work happens, a row of :data:`cordlesion.execution.executors.EXECUTORS`.

    Returns:
        A mapping of the excluded scans to the reasons, with the folder and the results of the study.

    Raises:
        CordlesionError: The input cannot be used, or another process works in the folder.

    Examples:
        Here ``study.yaml`` describes a study of fourteen scans.

        >>> import cordlesion
        >>> study = cordlesion.read_study("study.yaml")
        >>> excluded = cordlesion.run_study(study, until="split")
        >>> dict(excluded), (study.output / "splits.tsv").is_file()
        ({}, True)
    """
    wanted: tuple[Any, ...] = (until, only, executor)
    if positional:
        warnings.warn("run_study: pass until, only and executor by name", DeprecationWarning, stacklevel=2)
        wanted = (*positional, *wanted[len(positional) :])
    return _run(config, *wanted)


def _run(config: StudyConfig, until: StageName, only: str | None, executor: ExecutorName) -> StudyOutcome:
    _check_names(config, until, only, executor)
    folder = StudyFolder(config.output)
    options = RunOptions(EXECUTORS[executor](folder.root, config.cluster), only)
    require_own_folder(folder.root)
    with folder_lock(folder.root) as remark:
        show_message(remark)
        config = keep_objective(config)
        await_earlier_jobs(folder.root)
        remove_partial_files(folder.root)
        last = _run_stages(config, until, options)
        return StudyOutcome(folder.root, last.excluded, last.partial)


def _run_stages(config: StudyConfig, until: StageName, options: RunOptions) -> Cohort | Study:
    """Run the stages, each on what the one before returned."""
    first, *others = [load_stage(stage) for stage in stages_until(until)]
    measures = imported_code(config.measures, config.code)
    opened: Cohort = first(config, options)
    latest: Cohort | Study = opened
    for run_stage in others:
        require_same_measures(config, measures)
        latest = run_stage(latest, options)
        scans = {name: opened.scans[name] for name in latest.hashes}
        write_manifest(latest.folder, config, scans, latest.hashes, latest.excluded, latest.partial)
    return latest


def _check_names(config: StudyConfig, until: str, only: str | None, executor: str) -> None:
    """Refuse names that would otherwise fail only after hours of training."""
    from cordlesion.losses import make_loss
    from cordlesion.model.networks import try_network
    from cordlesion.model.start import try_start

    stages = {stage.name: stage for stage in STAGES}
    if until not in stages:
        raise CordlesionError(f"{until!r} is no stage; one of {', '.join(stages)} is needed.")
    if config.training.logger:
        from cordlesion.training import require_logger

        require_logger(config.training.logger)
    for loss in config.losses:
        make_loss(loss.name, loss.parameters, config.code)
    try_network(config.network, config.patches.shape(config.preprocess), config.code)
    try_start(config.network, config.training, config.code)
    try_measures(config)
    runs = {run.name: run for run in config.runs}
    tables: tuple[tuple[str, Mapping[Any, Any], str, str], ...] = (
        (config.evaluation.rule, RULES, "rule", "`evaluation.rule` in the study"),
        (only or next(iter(runs)), runs, "run of this study", "the option --run"),
        (executor, EXECUTORS, "executor", "the option --executor"),
    )
    for name, table, kind, place in tables:
        if name not in table:
            raise CordlesionError(f"{name!r} is no {kind}; one of {', '.join(table)} is needed. Mend {place}.")
