"""A whole study: the only file that knows the order of the stages. What has not changed is not done again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pandas as pd

from cordlesion.analysis import TABLES, MappedScan, analyze_run, collect_analyses
from cordlesion.artifacts import (
    StudyFolder,
    fingerprint,
    folder_lock,
    remove_partial_files,
    write_text,
)
from cordlesion.config import SETS, RunConfig, StudyConfig, read_study, study_yaml
from cordlesion.dataset.bids import find_scans
from cordlesion.dataset.scan import Scan
from cordlesion.dataset.split import COLUMNS
from cordlesion.derivatives import describe_dataset, describe_map, mask_path, write_mask
from cordlesion.errors import CordlesionError
from cordlesion.evaluation import MapPair, read_table, sweep_map, write_table
from cordlesion.execution.local import Outcome, map_scans
from cordlesion.intake import faults_by_scan, inspect_for_study, split_for_study
from cordlesion.manifest import write_manifest
from cordlesion.metrics import RULES
from cordlesion.postprocess import read_cord
from cordlesion.progress import say, track
from cordlesion.threshold import THRESHOLDS, ThresholdChoice, choose_threshold, parse_objective
from cordlesion.volume import read_grid

if TYPE_CHECKING:
    from cordlesion.training import TrainingSets

Item = TypeVar("Item")
Result = TypeVar("Result")

STAGES = ("split", "preprocess", "train", "tune", "evaluate", "analyze", "report")
"""In the order in which they must happen: the test set is opened only after the thresholds are written."""

MEASURED_SETS = ("threshold", "test")
"""The sets whose scans are predicted."""


@dataclass(frozen=True)
class Study:
    """A study's configuration, its folder, and the scans that take part."""

    config: StudyConfig
    folder: StudyFolder
    scans: Mapping[str, Scan]
    hashes: Mapping[str, Mapping[str, str]]
    """SHA-256 of each file of each scan."""
    splits: pd.DataFrame
    excluded: Mapping[str, str]
    """Why a scan takes no part."""

    def in_set(self, name: str) -> list[Scan]:
        """Return the scans of a set."""
        return [self.scans[scan] for scan in self.splits.loc[self.splits["set"] == name, "scan_id"]]


def run_study(config: StudyConfig, until: str = "report", only: str | None = None) -> Mapping[str, str]:
    """Run a study up to and including a stage; what is done already is not done again.

    Args:
        config: The study.
        until: Last stage, one of :data:`STAGES`.
        only: Name of the one run that is to be trained, for ``until="train"``.

    Returns:
        The scans that had to be left out, each with the reason.

    Raises:
        CordlesionError: The input cannot be used, or another process works in the folder.
    """
    if until not in STAGES:
        raise CordlesionError(f"{until!r} is no stage; one of {', '.join(STAGES)} is needed.")
    _check_names(config, only)
    folder = StudyFolder(config.output)
    with folder_lock(folder.root):
        remove_partial_files(folder.root)
        study = open_study(config, folder)
        write_text(folder.configuration, study_yaml(config))
        _forget_outdated(study)
        steps: dict[str, Callable[[Study], Study]] = {
            "preprocess": preprocess,
            "train": partial(train_runs, only=only),
            "tune": tune,
            "evaluate": evaluate_test,
            "analyze": analyze,
            "report": report,
        }
        for stage in STAGES[1 : STAGES.index(until) + 1]:
            study = steps[stage](study)
            write_manifest(study.folder, study.config, study.scans, study.hashes, study.excluded)
    return study.excluded


def open_study(config: StudyConfig, folder: StudyFolder) -> Study:
    """Find and check the scans and assign them to sets (written once, then read)."""
    scans, orphans = find_scans(config.dataset, config.patterns)
    outcomes = map_scans(lambda scan: inspect_for_study(scan, config, folder), scans, "read scans")
    excluded = faults_by_scan(outcomes, orphans)
    contents = {o.item.scan_id: o.result[0] for o in outcomes if o.result}
    hashes = {o.item.scan_id: o.result[1] for o in outcomes if o.result}
    usable = {scan.scan_id: scan for scan in scans if scan.scan_id in contents}
    splits = split_for_study(list(usable.values()), contents, excluded, config.split, folder)
    study = Study(config, folder, usable, hashes, splits, excluded)
    write_manifest(folder, config, usable, hashes, excluded)
    return study


def preprocess(study: Study) -> Study:
    """Cut the cord stack of every scan; a scan without a usable centerline is left out and listed."""
    from cordlesion.preprocess.stack_file import make_stack, write_stack

    def work(scan: Scan) -> None:
        if scan.scan_id in measured:
            read_cord(scan.cord_mask, read_grid(scan.image), study.config.postprocess)
        key, mark = f"preprocess/{scan.scan_id}", _stack_mark(study, scan.scan_id)
        path = study.folder.stack(scan.scan_id)
        if not study.folder.is_done(key, mark, path):
            with study.folder.stage(key, mark):
                write_stack(path, make_stack(scan, study.config.preprocess))

    measured = {scan.scan_id for name in ("threshold", "test") for scan in study.in_set(name)}
    outcomes = map_scans(work, list(study.scans.values()), "cut cord stacks")
    faults = {o.item.scan_id: o.fault for o in outcomes if o.fault}
    scans = {name: scan for name, scan in study.scans.items() if name not in faults}
    splits = study.splits[study.splits["scan_id"].isin(scans.keys())]
    if faults:
        for name in SETS:
            if not (splits.loc[splits["set"] == name, "reference_volume_mm3"] > 0).any():
                raise CordlesionError(
                    f"the set {name!r} has no usable scan with a lesion. First fault: {next(iter(faults.values()))}"
                )
    study = replace(study, scans=scans, splits=splits, excluded={**study.excluded, **faults})
    for run in study.config.runs:
        if not study.folder.is_done(_train_key(run), _train_mark(study, run)):
            study.folder.undo(_train_key(run))
    return study


def train_runs(study: Study, only: str | None = None) -> Study:
    """Train every run (loss x seed) that is not trained yet, or the one named ``only``."""
    from cordlesion.model.bundle import set_inference

    marked = [(run, _train_mark(study, run)) for run in study.config.runs if only in (None, run.name)]
    folder = study.folder
    pending = [(r, m) for r, m in marked if not folder.is_done(_train_key(r), m, folder.bundle(r.name) / "model.json")]
    if pending:
        from cordlesion.training import load_training_sets

        train, validation = ([folder.stack(s.scan_id) for s in study.in_set(n)] for n in ("train", "validation"))
        sets = load_training_sets(train, validation)
        faults = [fault for run, mark in pending if (fault := _train(study, run, sets, mark))]
        if faults:
            raise CordlesionError("\n".join(faults))
    for run, _ in marked:
        set_inference(folder.bundle(run.name), run.prediction, run.postprocess)
    return study


def tune(study: Study) -> Study:
    """Sweep the threshold set and choose each run's decision threshold (Hussein et al. 2023, section 2.5)."""
    from cordlesion.model.bundle import GlobalThreshold, set_threshold

    rows = []
    objective = study.config.threshold.objective
    for run in study.config.runs:
        table = _sweep_set(study, run, "threshold")
        choice = choose_threshold(table, objective)
        threshold = GlobalThreshold(value=choice.value, objective=objective, interval=choice.interval)
        set_threshold(study.folder.bundle(run.name), threshold)
        rows.append({"loss": run.loss.title, "seed": run.seed, "objective": objective, **_threshold_row(choice)})
    write_table(study.folder.thresholds, pd.DataFrame(rows))
    return study


def evaluate_test(study: Study) -> Study:
    """Open the test set, once the thresholds are fixed, and write the sweep and evaluation tables.

    Raises:
        CordlesionError: The thresholds have not been chosen.
    """
    if not study.folder.thresholds.is_file():
        raise CordlesionError(
            f"{study.folder.thresholds}: not written yet; the test set stays closed until every threshold is fixed. "
            "Run the stage `tune` first."
        )
    tuned = read_table(study.folder.thresholds, ("loss", "seed", "threshold"))
    tables = [_sweep_set(study, run, name) for run in study.config.runs for name in ("threshold", "test")]
    sweep = pd.concat(tables, ignore_index=True)
    write_table(study.folder.sweep, sweep)
    chosen = {(row.loss, row.seed): {0.5, row.threshold} for row in tuned.itertuples()}
    reported = [row.threshold in chosen[row.loss, row.seed] for row in sweep.itertuples()]
    write_table(study.folder.evaluation, sweep[reported])
    for run in study.config.runs:
        threshold = tuned.loc[(tuned["loss"] == run.loss.title) & (tuned["seed"] == run.seed), "threshold"].item()
        _write_masks(study, run, threshold)
    return study


def analyze(study: Study) -> Study:
    """Look closer at the test set at the tuned thresholds: other lesion rules, lesion sizes, FROC, calibration."""
    for run in study.config.runs:
        scans = {name: [_mapped(scan, study.folder, run) for scan in study.in_set(name)] for name in MEASURED_SETS}
        analyze_run(study.folder, run, study.config.evaluation.rule, scans)
    collect_analyses(study.folder, study.config.runs)
    return study


def report(study: Study) -> Study:
    """Write tables, figures and ``report.html``."""
    from cordlesion.report.html import write_report

    say(f"report: {write_report(study.folder.root)}")
    return study


def study_status(root: Path) -> list[tuple[str, str, str]]:
    """List what is done and what is left: (stage, unit, state), without reading any scan.

    Raises:
        CordlesionError: The folder holds no study.
    """
    folder = StudyFolder(root)
    if not folder.configuration.is_file():
        raise CordlesionError(f"{root}: no study here; a folder with study.yaml is needed. Check the path.")
    config = read_study(folder.configuration)
    splits = read_table(folder.splits, COLUMNS) if folder.splits.is_file() else None
    rows = [("split", "all scans", "done" if splits is not None else "left")]
    if splits is not None:
        done = sum(bool(folder.finished(f"preprocess/{name}")) for name in splits["scan_id"])
        rows.append(("preprocess", f"{done} of {len(splits)} scans", "done" if done == len(splits) else "left"))
    trained = [(run.name, bool(folder.finished(_train_key(run)))) for run in config.runs]
    rows += [("train", name, "done" if done else "left") for name, done in trained]
    for stage, path in (
        ("tune", folder.thresholds),
        ("evaluate", folder.evaluation),
        ("analyze", folder.table("calibration")),
        ("report", folder.root / "report.html"),
    ):
        rows.append((stage, path.name, "done" if path.is_file() else "left"))
    return rows


def _check_names(config: StudyConfig, only: str | None) -> None:
    """Refuse names that would fail only after hours of training."""
    from cordlesion.losses import make_loss

    if config.training.logger:
        from cordlesion.training import require_logger

        require_logger(config.training.logger)
    for loss in config.losses:
        make_loss(loss.name, loss.parameters)
    parse_objective(config.threshold.objective)
    runs = {run.name: run for run in config.runs}
    for name, table, kind in (
        (config.evaluation.rule, RULES, "rule"),
        (only or next(iter(runs)), runs, "run of this study"),
    ):
        if name not in table:
            raise CordlesionError(f"{name!r} is no {kind}; one of {', '.join(table)} is needed. Mend the study.")


def _results(outcomes: Sequence[Outcome[Item, Result]]) -> list[Result]:
    """Return every result, where none may be missing."""
    for outcome in outcomes:
        if outcome.fault:
            raise CordlesionError(outcome.fault)
    return [outcome.result for outcome in outcomes if outcome.result is not None]


def _train(study: Study, run: RunConfig, sets: "TrainingSets", mark: str) -> str:
    """Train one run; returns why it failed, so that the others are still trained."""
    from cordlesion.model.hardware import choose_hardware
    from cordlesion.training import remove_checkpoints, train_run

    folder = study.folder.run(run.name)
    try:
        with study.folder.stage(_train_key(run), mark) as record:
            record["hardware"] = choose_hardware().describe()
            train_run(run, sets, folder, mark)
    except CordlesionError as error:
        return str(error)
    # After the marker: a process killed in between takes the checkpoint up and is done at once.
    remove_checkpoints(folder)
    return ""


def _sweep_set(study: Study, run: RunConfig, set_name: str) -> pd.DataFrame:
    """Predict the scans of a set and measure their maps at every threshold."""
    folder, path, rule = study.folder, study.folder.run_sweep(run.name, set_name), study.config.evaluation.rule
    scans = study.in_set(set_name)
    key, mark = f"sweep/{run.name}_{set_name}", _sweep_mark(study, run, scans)
    _predict(study, run, scans, set_name)
    if not folder.is_done(key, mark, path):
        with folder.stage(key, mark):
            pairs = [_map_pair(scan, folder, run) for scan in scans]
            measure = partial(sweep_map, thresholds=THRESHOLDS, rule=rule, removal=run.postprocess)
            tables = _results(map_scans(measure, pairs, f"sweep {run.name} ({set_name})"))
            table = pd.concat(tables, ignore_index=True)
            run_columns = pd.DataFrame({"set": set_name, "loss": run.loss.title, "seed": run.seed}, index=table.index)
            write_table(path, pd.concat([table.iloc[:, :3], run_columns, table.iloc[:, 3:]], axis="columns"))
    return read_table(path)


def _predict(study: Study, run: RunConfig, scans: Sequence[Scan], set_name: str) -> None:
    """Write the probability map of each scan that has none yet from this very network."""
    folder = study.folder
    marks = {scan: fingerprint(_map_mark(study, run), _stack_mark(study, scan.scan_id)) for scan in scans}
    maps = {scan: folder.probability(scan.scan_id, run.name) for scan in scans}
    pending = [scan for scan in scans if not folder.is_done(_predict_key(scan, run), marks[scan], maps[scan])]
    if not pending:
        return
    from cordlesion.model.bundle import load_bundle
    from cordlesion.prediction import predict_to_file

    bundle = load_bundle(folder.bundle(run.name))
    describe_dataset(folder, study.config.dataset)
    for scan in track(pending, f"predict {run.name} ({set_name})", len(pending)):
        with folder.stage(_predict_key(scan, run), marks[scan]):
            predict_to_file(bundle, scan.image, folder.stack(scan.scan_id), maps[scan])
            describe_map(maps[scan], scan.image, study.config.dataset, run.name)


def _write_masks(study: Study, run: RunConfig, threshold: float) -> None:
    """Cut the run's probability maps at its threshold, unless the masks are there already."""
    folder, scans = study.folder, study.in_set("threshold") + study.in_set("test")
    pairs = [_map_pair(scan, folder, run) for scan in scans]
    key, mark = f"masks/{run.name}", fingerprint(_sweep_mark(study, run, scans), threshold)
    if folder.is_done(key, mark, *(mask_path(pair.prediction) for pair in pairs)):
        return

    def cut(pair: MapPair) -> Path:
        return write_mask(pair.prediction, folder.derivatives, threshold, run, pair.cord_mask)

    with folder.stage(key, mark):
        _results(map_scans(cut, pairs, f"write masks {run.name}"))


def _threshold_row(choice: ThresholdChoice) -> dict[str, float | str]:
    return {
        "threshold": choice.value,
        "score": choice.score,
        "interval_low": choice.interval[0],
        "interval_high": choice.interval[1],
        "plateau_low": choice.stability.plateau[0],
        "plateau_high": choice.stability.plateau[1],
        "loss_below": choice.stability.loss_below,
        "loss_above": choice.stability.loss_above,
        "area": choice.stability.area,
        "n_scans": choice.n_scans,
        "n_subjects": choice.n_subjects,
        "basis": choice.basis,
    }


def _map_pair(scan: Scan, folder: StudyFolder, run: RunConfig) -> MapPair:
    assert scan.reference is not None
    probability = folder.probability(scan.scan_id, run.name)
    return MapPair(scan.scan_id, scan.subject, scan.session, scan.reference, probability, scan.cord_mask)


def _mapped(scan: Scan, folder: StudyFolder, run: RunConfig) -> MappedScan:
    pair = _map_pair(scan, folder, run)
    return MappedScan(pair, mask_path(pair.prediction), folder.stack(scan.scan_id))


def _forget_outdated(study: Study) -> None:
    """Remove the results of another configuration or of other files: none may be taken for those of this one."""
    mark = fingerprint(study.config.decisive, study.hashes)
    if not study.folder.is_done("results", mark):
        folder = study.folder
        analyses = [folder.table(name) for name in TABLES]
        for path in (folder.thresholds, folder.sweep, folder.evaluation, *analyses, folder.root / "report.html"):
            path.unlink(missing_ok=True)
        with folder.stage("results", mark):
            pass


def _stack_mark(study: Study, scan_id: str) -> str:
    used = {
        kind: study.hashes[scan_id].get(kind) for kind in ("image", "reference", study.config.preprocess.centerline)
    }
    return fingerprint(study.config.preprocess.model_dump(mode="json"), used)


def _train_mark(study: Study, run: RunConfig) -> str:
    stacks = {name: [_stack_mark(study, s.scan_id) for s in study.in_set(name)] for name in ("train", "validation")}
    return fingerprint(run.learned_from, stacks)


def _map_mark(study: Study, run: RunConfig) -> str:
    return fingerprint(_train_mark(study, run), run.prediction.model_dump(mode="json"))


def _sweep_mark(study: Study, run: RunConfig, scans: Sequence[Scan]) -> str:
    inputs = [_stack_mark(study, scan.scan_id) for scan in scans]
    removal = run.postprocess
    cords = [study.hashes[scan.scan_id].get("cord_mask") for scan in scans if removal.cord_margin_mm is not None]
    measured = (study.config.evaluation.rule, list(THRESHOLDS), removal.model_dump(mode="json"), cords)
    return fingerprint(_map_mark(study, run), inputs, *measured)


def _train_key(run: RunConfig) -> str:
    return f"train/{run.name}"


def _predict_key(scan: Scan, run: RunConfig) -> str:
    return f"predict/{run.name}/{scan.scan_id}"
