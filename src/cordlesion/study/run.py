"""A whole study: the only file that knows the order of the stages. What has not changed is not done again."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import pandas as pd

from cordlesion.config import Method, RunConfig, StudyConfig, study_yaml
from cordlesion.dataset.bids import find_scans
from cordlesion.dataset.scan import Scan
from cordlesion.dataset.subset import choose_subset
from cordlesion.errors import CordlesionError
from cordlesion.execution.jobs import await_earlier_jobs, jobs_folder
from cordlesion.execution.local import LOCAL, Executor, map_scans
from cordlesion.execution.slurm import SlurmExecutor, require_slurm
from cordlesion.io.mask_values import MaskValues
from cordlesion.io.progress import say
from cordlesion.io.tables import table_in_parts, write_table
from cordlesion.io.writing import folder_lock, remove_file, remove_partial_files, write_text
from cordlesion.metrics import RULES
from cordlesion.study.analysis import MappedScan, analyze_run, collect_analyses
from cordlesion.study.comparators.check import check_comparators
from cordlesion.study.comparators.maps import bring_files, list_comparators, match_comparators
from cordlesion.study.experience import record_experience
from cordlesion.study.inputs import require_unchanged
from cordlesion.study.models_aside import set_models_aside
from cordlesion.study.outdated import forget_outdated, forget_strangers, forget_thresholds
from cordlesion.study.predict import map_pair, mask_file, sweep_set, write_maps, write_masks
from cordlesion.study.sets import Cohort, OpenedTest, Study, close_test_sets, require_scans
from cordlesion.study.setup import faults_by_scan, inspect_for_study, network_hash, require_same_extent, split_for_study
from cordlesion.study.stacks import stack_cutter, stacks_to_cut
from cordlesion.study.train import Trainer, failure_file, pending_trainings, sharing
from cordlesion.study.tune import at_volume, choose_for
from cordlesion.study_folder.folder import StudyFolder, require_own_folder
from cordlesion.study_folder.manifest import record_opening, write_manifest
from cordlesion.study_folder.tables import EVALUATION, SWEEP, THRESHOLDS
from cordlesion.threshold import parse_objective

STAGES = ("split", "preprocess", "train", "tune", "evaluate", "analyze", "report")
"""In the order in which they must happen: the test set is opened only after the thresholds are written."""

EXECUTORS: Mapping[str, Callable[[StudyConfig, StudyFolder], Executor]] = {
    "local": lambda _config, _folder: LOCAL,
    "slurm": lambda config, folder: SlurmExecutor(jobs_folder(folder.root), config.cluster),
}
"""Where a study's work happens, by the name that ``study run --executor`` takes."""


def run_study(
    config: StudyConfig, until: str = "report", only: str | None = None, executor: str = "local"
) -> Mapping[str, str]:
    """Run a study up to and including a stage; what is done already is not done again.

    Args:
        config: The study.
        until: Last stage, one of :data:`STAGES`.
        only: Name of the one run that is to be trained, for ``until="train"``.
        executor: Where work happens, a row of :data:`EXECUTORS`.

    Returns:
        The scans that had to be left out, each with the reason.

    Raises:
        CordlesionError: The input cannot be used, or another process works in the folder.
    """
    if until not in STAGES:
        raise CordlesionError(f"{until!r} is no stage; one of {', '.join(STAGES)} is needed.")
    _check_names(config, only, executor)
    folder = StudyFolder(config.output)
    where = EXECUTORS[executor](config, folder)
    require_own_folder(folder.root)
    with folder_lock(folder.root) as remark:
        say(remark)
        await_earlier_jobs(folder.root)
        remove_partial_files(folder.root)
        require_same_extent(config, folder)
        cohort = open_study(config, folder)
        check_comparators(cohort)
        # Only now that nothing is refused any more: until here a finished study is as it was.
        write_manifest(folder, config, cohort.scans, cohort.hashes, cohort.excluded)
        write_text(folder.configuration, study_yaml(config))
        list_comparators(cohort)
        forget_strangers(config, folder)
        forget_outdated(cohort)
        if until == "split":
            return cohort.excluded
        study = preprocess(cohort, where)
        _write_manifest(cohort, study)
        steps: dict[str, Callable[[Study], Study]] = {
            "train": partial(train_runs, only=only, executor=where),
            "tune": partial(tune, executor=where),
            "evaluate": partial(evaluate_test, executor=where),
            "analyze": analyze,
            "report": report,
        }
        for stage in STAGES[2 : STAGES.index(until) + 1]:
            study = steps[stage](study)
            _write_manifest(cohort, study)
    return study.excluded


def open_study(config: StudyConfig, folder: StudyFolder) -> Cohort:
    """Find and check the scans, assign them to sets (written once, then read), and find the files of comparators."""
    network = network_hash(config.preprocess)
    scans, unusable = find_scans(config.dataset, config.patterns)
    references = MaskValues("references", config.patterns.lesion_value)
    outcomes = map_scans(lambda scan: inspect_for_study(scan, config, folder, references), scans, "read scans")
    references.require_one()
    excluded = faults_by_scan(outcomes, unusable)
    read = {o.item.scan_id: o.result for o in outcomes if o.result}
    usable = [scan for scan in scans if scan.scan_id in read]
    if config.reduced and config.reduced.scans:
        usable = choose_subset(
            usable, {n: content for n, (content, _) in read.items()}, config.reduced.scans, config.split
        )
    contents = {scan.scan_id: read[scan.scan_id][0] for scan in usable}
    hashes = {scan.scan_id: read[scan.scan_id][1] | network for scan in usable}
    splits = split_for_study(usable, contents, excluded, config.split, folder)
    require_scans(config, splits)
    cohort = Cohort(config, folder, {scan.scan_id: scan for scan in usable}, hashes, splits, excluded)
    by_name, measured = {scan.scan_id: scan for scan in scans}, cohort.names_in("threshold", "test")
    return replace(cohort, comparators=match_comparators(config, by_name, measured))


def preprocess(cohort: Cohort, executor: Executor = LOCAL) -> Study:
    """Cut the cord stack of every scan and close the test sets.

    A scan without a usable centerline is left out and listed. What comparators are given as files is brought in.
    """
    config, measured = cohort.config, cohort.names_in("threshold", "test")
    taking_part, cut = set(cohort.splits["scan_id"]), stack_cutter(cohort)
    wanted = stacks_to_cut(cohort, [scan for name, scan in cohort.scans.items() if name in taking_part])
    # Those that are there are only checked again, which is no work for a cluster.
    outcomes = []
    if done := [one for one in wanted if cut.is_done(one)]:
        outcomes += map_scans(cut, done, "check stacks")
    if pending := [one for one in wanted if not cut.is_done(one)]:
        outcomes += executor.each_scan(cut, pending, "cut stacks")
    faults = {o.item.unit: o.fault for o in outcomes if o.fault}
    splits = cohort.splits[~cohort.splits["scan_id"].isin(faults.keys())]
    if faults:
        require_scans(config, splits, f"First fault: {next(iter(faults.values()))}")
    hashes = {name: files for name, files in cohort.hashes.items() if name not in faults}
    study = close_test_sets(replace(cohort, hashes=hashes, splits=splits, excluded={**cohort.excluded, **faults}))
    set_models_aside(study)
    forget_thresholds(cohort)
    bring_files(study, [cohort.scans[name] for name in sorted(measured & hashes.keys())])
    return study


def train_runs(study: Study, only: str | None = None, executor: Executor = LOCAL) -> Study:
    """Train every run (loss x seed x fold) that is not trained yet, or the one named ``only``.

    Raises:
        CordlesionError: Trainings failed, a sentence for each; the others are done.
    """
    from cordlesion.model.bundle import set_inference

    runs = [run for run in study.config.runs if only in (None, run.name)]
    if pending := pending_trainings(study, runs):
        for training in pending:
            remove_file(failure_file(study.folder, training.run))
        outcomes = executor.each_training(Trainer(study.folder), pending, sharing(pending))
        failed = [outcome for outcome in outcomes if outcome.fault]
        for outcome in failed:
            write_text(failure_file(study.folder, outcome.item.run), f"{outcome.fault}\n")
        if failed:
            raise CordlesionError("\n".join(f"{outcome.item.unit}: {outcome.fault}" for outcome in failed))
    for run in runs:
        volumes = study.config.threshold.minimum_volumes_mm3
        set_inference(study.folder.bundle(run.name), run.prediction, run.postprocess, volumes)
    return study


def tune(study: Study, executor: Executor = LOCAL) -> Study:
    """Sweep the threshold sets and choose each method's decision threshold (Hussein et al. 2023, section 2.5)."""
    from cordlesion.model.bundle import GlobalThreshold, set_threshold

    rows = []
    config = study.config.threshold
    tuned = [(method, study.in_set("threshold", method.fold)) for method in study.config.methods if method.is_tuned]
    write_maps(study, tuned, executor)
    for method, scans in tuned:
        sweep = sweep_set(study, method, "threshold", scans, config.minimum_volumes_mm3)
        choice, row = choose_for(method, sweep, config.objective)
        if isinstance(method, RunConfig):
            threshold = GlobalThreshold(
                value=choice.value, objective=config.objective, interval=choice.interval, learned=choice.learned
            )
            set_threshold(study.folder.bundle(method.name), threshold, choice.minimum_volume_mm3)
        rows.append(row)
    # Comparators have no seed; those of runs stay whole numbers.
    write_table(study.folder.thresholds, pd.DataFrame(rows).astype({"seed": "Int64"}), THRESHOLDS)
    return study


def evaluate_test(study: Study, executor: Executor = LOCAL) -> Study:
    """Open the test sets, once the thresholds are fixed, and write the sweep and evaluation tables.

    Raises:
        CordlesionError: The thresholds have not been chosen.
    """
    opened = {fold: study.open_test(fold) for fold in study.folds}
    record_opening(study.folder, study.config)
    measured = [
        (method, (*study.in_set("threshold", method.fold), *opened[method.fold].scans))
        for method in study.config.methods
    ]
    write_maps(study, measured, executor)
    with (
        table_in_parts(study.folder.sweep, SWEEP) as sweep,
        table_in_parts(study.folder.evaluation, EVALUATION) as evaluation,
    ):
        for method in study.config.methods:
            swept, evaluated = _measure(study, method, opened[method.fold])
            for part in swept:
                sweep(part)
            for part in evaluated:
                evaluation(part.assign(rule=study.config.evaluation.rule))
    for method in study.config.methods:
        test = opened[method.fold]
        scans = (*study.in_set("threshold", method.fold), *test.scans)
        tuned = test.thresholds.get(method.name)
        write_masks(study, tuned.applied_to(method) if tuned else method, tuned.value if tuned else None, scans)
    record_experience(study)
    return study


def analyze(study: Study) -> Study:
    """Look closer at the test set at the tuned thresholds: other lesion rules, lesion sizes, FROC, calibration."""
    for method in study.config.methods:
        scans = {
            name: [_mapped(scan, study.folder, method) for scan in study.in_set(name, method.fold)]
            for name in ("threshold", "test")
        }
        check = partial(_require_references, study, method)
        analyze_run(study.folder, method, study.config.evaluation.rule, scans, check)
    collect_analyses(study.folder, study.config.methods)
    return study


def report(study: Study) -> Study:
    """Write tables, figures and ``report.html``."""
    from cordlesion.report.html import write_report

    say(f"report: {write_report(study.folder.root)}")
    return study


def _check_names(config: StudyConfig, only: str | None, executor: str) -> None:
    """Refuse names that would fail only after hours of training."""
    from cordlesion.losses import make_loss

    if config.training.logger:
        from cordlesion.training import require_logger

        require_logger(config.training.logger)
    for loss in config.losses:
        make_loss(loss.name, loss.parameters)
    parse_objective(config.threshold.objective)
    runs = {run.name: run for run in config.runs}
    for name, table, kind, place in (
        (config.evaluation.rule, RULES, "rule", "`evaluation.rule` in the study"),
        (only or next(iter(runs)), runs, "run of this study", "the option --run"),
        (executor, EXECUTORS, "executor", "the option --executor"),
    ):
        if name not in table:
            raise CordlesionError(f"{name!r} is no {kind}; one of {', '.join(table)} is needed. Mend {place}.")
    if executor == "slurm":
        require_slurm()


def _write_manifest(cohort: Cohort, study: Study) -> None:
    scans = {name: cohort.scans[name] for name in study.hashes}
    write_manifest(study.folder, study.config, scans, study.hashes, study.excluded)


def _measure(study: Study, method: Method, test: OpenedTest) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """Return a method's rows of the sweep, and of the evaluation, on the threshold and the test set."""
    tuning, tuned = study.in_set("threshold", method.fold), test.thresholds.get(method.name)
    if tuned is None:
        # Masks are what they are at any threshold.
        return [], [sweep_set(study, method, "threshold", tuning), sweep_set(study, method, "test", test.scans)]
    volume = () if tuned.minimum_volume_mm3 is None else (tuned.minimum_volume_mm3,)
    volumes = study.config.threshold.minimum_volumes_mm3
    tables = [
        at_volume(sweep_set(study, method, "threshold", tuning, volumes), tuned),
        sweep_set(study, method, "test", test.scans, volume),
    ]
    return tables, [table[table["threshold"].isin({0.5, tuned.value})] for table in tables]


def _require_references(study: Study, method: Method) -> None:
    for name in ("threshold", "test"):
        for scan in study.in_set(name, method.fold):
            require_unchanged(scan, study.hashes[scan.scan_id], ["reference"])


def _mapped(scan: Scan, folder: StudyFolder, method: Method) -> MappedScan:
    mask = mask_file(scan.scan_id, folder, method)
    return MappedScan(map_pair(scan, folder, method), mask, folder.stack(scan.scan_id))
