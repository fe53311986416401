"""A whole study: the only file that knows the order of the stages. Each stage is skipped when its inputs have not changed."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from cordlesion.artifacts import (
    StudyFolder,
    file_hash,
    fingerprint,
    folder_lock,
    remove_partial_files,
    write_json,
    write_text,
)
from cordlesion.config import SETS, RunConfig, SplitConfig, StudyConfig, builtin_study, read_study, study_yaml
from cordlesion.dataset.bids import find_scans
from cordlesion.dataset.scan import Scan, ScanContent, inspect_scan
from cordlesion.dataset.split import COLUMNS, check_split, split_scans
from cordlesion.derivatives import describe_dataset, describe_map, write_mask
from cordlesion.errors import CordlesionError
from cordlesion.evaluation import MapPair, read_table, sweep_map, write_table
from cordlesion.execution.local import Outcome, map_scans
from cordlesion.manifest import write_manifest
from cordlesion.progress import say, track
from cordlesion.threshold import THRESHOLDS, choose_threshold

Result = TypeVar("Result")

STAGES = ("split", "preprocess", "train", "tune", "evaluate", "report")
"""In the order in which they must happen: the test set is opened only after the thresholds are written."""


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


def run_study(config: StudyConfig, until: str = "report") -> Mapping[str, str]:
    """Run a study up to and including a stage; what is done already is not done again.

    Returns:
        The scans that had to be left out, each with the reason.

    Raises:
        CordlesionError: The input cannot be used, or another process works in the folder.
    """
    if until not in STAGES:
        raise CordlesionError(f"{until!r} is no stage; one of {', '.join(STAGES)} is needed.")
    folder = StudyFolder(config.output)
    with folder_lock(folder.root):
        remove_partial_files(folder.root)
        write_text(folder.configuration, study_yaml(config))
        study = open_study(config, folder)
        steps: dict[str, Callable[[Study], Study]] = {
            "preprocess": preprocess, "train": train_runs, "tune": tune, "evaluate": evaluate_test, "report": report,
        }  # fmt: skip
        for stage in STAGES[1 : STAGES.index(until) + 1]:
            study = steps[stage](study)
            write_manifest(study.folder, study.config, study.scans, study.hashes, study.excluded)
    return study.excluded


def open_study(config: StudyConfig, folder: StudyFolder) -> Study:
    """Find and check the scans and assign them to sets (written once, then read)."""
    scans, orphans = find_scans(config.dataset, config.patterns)
    outcomes = map_scans(lambda scan: _inspect(scan, config, folder), scans, "read scans")
    excluded = _faults(outcomes, orphans)
    contents = {o.item.scan_id: o.result[0] for o in outcomes if o.result}
    hashes = {o.item.scan_id: o.result[1] for o in outcomes if o.result}
    usable = {scan.scan_id: scan for scan in scans if scan.scan_id in contents}
    splits = _split(list(usable.values()), contents, config, folder)
    study = Study(config, folder, usable, hashes, splits, excluded)
    write_manifest(folder, config, usable, hashes, excluded)
    return study


def preprocess(study: Study) -> Study:
    """Cut the cord stack of every scan; a scan without a usable centerline is left out and listed."""
    from cordlesion.preprocess.stack_file import make_stack, write_stack

    def work(scan: Scan) -> None:
        mark = _stack_mark(study, scan.scan_id)
        if not study.folder.is_done(f"preprocess/{scan.scan_id}", mark):
            with study.folder.stage(f"preprocess/{scan.scan_id}", mark):
                write_stack(study.folder.stack(scan.scan_id), make_stack(scan, study.config.preprocess))

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
    return replace(study, scans=scans, splits=splits, excluded={**study.excluded, **faults})


def train_runs(study: Study, only: str | None = None) -> Study:
    """Train every run (loss x seed) that is not trained yet, or the one named ``only``."""
    names = [run.name for run in study.config.runs]
    if only not in (None, *names):
        raise CordlesionError(f"no run {only!r} in this study; one of {', '.join(names)} is needed.")
    marked = [(run, _train_mark(study, run)) for run in study.config.runs if only in (None, run.name)]
    pending = [(run, mark) for run, mark in marked if not study.folder.is_done(_train_key(run), mark)]
    if pending:
        from cordlesion.training import load_training_sets, train_run

        train, validation = ([study.folder.stack(s.scan_id) for s in study.in_set(n)] for n in ("train", "validation"))
        sets = load_training_sets(train, validation)
        for run, mark in pending:
            with study.folder.stage(_train_key(run), mark):
                train_run(run, study.config.preprocess, sets, study.folder.run(run.name), mark)
    return study


def tune(study: Study) -> Study:
    """Sweep the threshold set and choose each run's decision threshold (Hussein et al. 2023, section 2.5)."""
    from cordlesion.model.bundle import GlobalThreshold, set_threshold

    rows = []
    for run in study.config.runs:
        table = _sweep_set(study, run, "threshold")
        choice = choose_threshold(table, study.config.threshold.objective)
        low, high = choice.interval
        threshold = GlobalThreshold(
            value=choice.value, objective=study.config.threshold.objective, interval=(low, high)
        )
        set_threshold(study.folder.bundle(run.name), threshold)
        lesion_bearing = table[table["reference_volume_mm3"] > 0]
        rows.append(
            {
                "loss": run.loss.title, "seed": run.seed, "objective": threshold.objective, "threshold": choice.value, "score": choice.score,
                "interval_low": low, "interval_high": high, "plateau_low": choice.stability.plateau[0], "plateau_high": choice.stability.plateau[1],
                "n_scans": lesion_bearing["scan_id"].nunique(), "n_subjects": lesion_bearing["subject"].nunique(),
            }
        )  # fmt: skip
    write_table(study.folder.thresholds, pd.DataFrame(rows))
    return study


def evaluate_test(study: Study) -> Study:
    """Open the test set, once the thresholds are fixed, and write the sweep and evaluation tables.

    Raises:
        CordlesionError: The thresholds have not been chosen.
    """
    if not study.folder.thresholds.is_file():
        raise CordlesionError(
            f"{study.folder.thresholds}: not written yet; the test set stays closed until every threshold is fixed. Run the stage `tune` first."
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
        maps = [study.folder.probability(scan, run.name) for scan in sweep["scan_id"].unique()]
        _results(map_scans(partial(write_mask, threshold=threshold, run=run.name), maps, f"write masks {run.name}"))
    return study


def report(study: Study) -> Study:
    """Write tables, figures and ``report.html``."""
    from cordlesion.report.html import write_report

    write_manifest(study.folder, study.config, study.scans, study.hashes, study.excluded)
    say(f"report: {write_report(study.folder.root)}")
    return study


def split_dataset(dataset: Path, output: Path, config: SplitConfig) -> Mapping[str, str]:
    """Write the split of a BIDS dataset without a study; returns the scans that were left out, with the reason."""
    scans, orphans = find_scans(dataset)
    outcomes = map_scans(lambda scan: inspect_scan(scan, "study"), scans, "read scans")
    contents = {o.item.scan_id: o.result for o in outcomes if o.result}
    write_table(output, split_scans([s for s in scans if s.scan_id in contents], contents, config))
    return _faults(outcomes, orphans)


def initial_study(dataset: Path) -> str:
    """Return the paper's study for a BIDS dataset, as YAML to start from."""
    scans, _ = find_scans(dataset)
    with_reference = sum(scan.reference is not None for scan in scans)
    source = "file" if any(scan.centerline for scan in scans) else "cord_mask"
    text = builtin_study("isbi2023").read_text(encoding="utf-8")
    text = text.replace("dataset: ../cohort", f"dataset: {json.dumps(str(dataset.resolve()))}").replace(
        "../isbi2023", "study"
    )
    found = f"# {len(scans)} scans of {len({s.subject for s in scans})} subjects, {with_reference} with a reference.\n"
    return found + text.replace("centerline: file", f"centerline: {source}")


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
    for run in config.runs:
        rows.append(("train", run.name, "done" if folder.finished(_train_key(run)) else "left"))
    for stage, path in (
        ("tune", folder.thresholds),
        ("evaluate", folder.evaluation),
        ("report", folder.root / "report.html"),
    ):
        rows.append((stage, path.name, "done" if path.is_file() else "left"))
    return rows


def _results(outcomes: Sequence[Outcome[Any, Result]]) -> list[Result]:
    """Return every result, where none may be missing."""
    for outcome in outcomes:
        if outcome.fault:
            raise CordlesionError(outcome.fault)
    return [outcome.result for outcome in outcomes if outcome.result is not None]


def _faults(outcomes: Sequence[Outcome[Scan, Any]], orphans: Sequence[str]) -> dict[str, str]:
    by_scan = {outcome.item.scan_id: outcome.fault for outcome in outcomes if outcome.fault}
    return by_scan | {sentence.split(":")[0]: sentence for sentence in orphans}


def _inspect(scan: Scan, config: StudyConfig, folder: StudyFolder) -> tuple[ScanContent, dict[str, str]]:
    """Read a scan's content, or take it from the last time if no file has changed."""
    files = {
        "image": scan.image,
        "reference": scan.reference,
        "cord_mask": scan.cord_mask,
        "centerline": scan.centerline,
    }
    hashes = {kind: file_hash(path) for kind, path in files.items() if path is not None}
    key, mark = f"inspect/{scan.scan_id}", fingerprint(hashes, config.evaluation.rule)
    if not folder.is_done(key, mark):
        with folder.stage(key, mark) as record:
            record["content"] = asdict(inspect_scan(scan, config.evaluation.rule))
    return ScanContent(**folder.finished(key)["content"]), hashes


def _split(
    scans: Sequence[Scan], contents: Mapping[str, ScanContent], config: StudyConfig, folder: StudyFolder
) -> pd.DataFrame:
    mark = fingerprint(config.split.model_dump(mode="json"), {name: vars(c) for name, c in contents.items()})
    if folder.splits.is_file():
        return _existing_split(folder, mark, contents)
    with folder.stage("split", mark):
        write_table(folder.splits, split_scans(scans, contents, config.split))
    return read_table(folder.splits, COLUMNS)


def _existing_split(folder: StudyFolder, mark: str, contents: Mapping[str, ScanContent]) -> pd.DataFrame:
    """Read the split that was written (by us, or by the user), and refuse one that leaks or fits other scans."""
    table = read_table(folder.splits, COLUMNS)
    written_by_us = folder.finished("split")
    if set(table["scan_id"]) != contents.keys() or (written_by_us and written_by_us["fingerprint"] != mark):
        raise CordlesionError(
            f"{folder.splits}: was written for other scans or another `split` section. Choose another `output` folder to keep this study, "
            "or delete the file to split anew."
        )
    check_split(table, {name: content.image_hash for name, content in contents.items()})
    return table


def _sweep_set(study: Study, run: RunConfig, set_name: str) -> pd.DataFrame:
    """Predict the scans of a set and measure their maps at every threshold."""
    folder, path, rule = study.folder, study.folder.run_sweep(run.name, set_name), study.config.evaluation.rule
    scans = [scan for scan in study.in_set(set_name) if scan.reference is not None]
    key, mark = f"sweep/{run.name}_{set_name}", _sweep_mark(study, run, scans)
    if not (folder.is_done(key, mark) and path.is_file()):
        with folder.stage(key, mark):
            _predict(study, run, scans, set_name)
            pairs = [_map_pair(scan, folder, run) for scan in scans]
            outcomes = map_scans(
                lambda pair: sweep_map(pair, THRESHOLDS, rule), pairs, f"sweep {run.name} ({set_name})"
            )
            table = pd.concat(_results(outcomes), ignore_index=True)
            run_columns = pd.DataFrame({"set": set_name, "loss": run.loss.title, "seed": run.seed}, index=table.index)
            write_table(path, pd.concat([table.iloc[:, :3], run_columns, table.iloc[:, 3:]], axis="columns"))
    return read_table(path)


def _predict(study: Study, run: RunConfig, scans: Sequence[Scan], set_name: str) -> None:
    """Write the probability map of each scan that has none yet from this very network."""
    folder, trained = study.folder, _train_mark(study, run)
    marks = {scan: fingerprint(trained, _stack_mark(study, scan.scan_id)) for scan in scans}
    pending = [scan for scan in scans if not folder.is_done(_predict_key(scan, run), marks[scan])]
    if not pending:
        return
    from cordlesion.model.bundle import load_bundle
    from cordlesion.prediction import predict_to_file

    bundle = load_bundle(folder.bundle(run.name))
    describe_dataset(folder)
    for scan in track(pending, f"predict {run.name} ({set_name})", len(pending)):
        with folder.stage(_predict_key(scan, run), marks[scan]):
            path = folder.probability(scan.scan_id, run.name)
            predict_to_file(bundle, scan.image, folder.stack(scan.scan_id), path)
            describe_map(path, scan.image, run.name)


def _map_pair(scan: Scan, folder: StudyFolder, run: RunConfig) -> MapPair:
    assert scan.reference is not None
    return MapPair(scan.scan_id, scan.subject, scan.session, scan.reference, folder.probability(scan.scan_id, run.name))


def _stack_mark(study: Study, scan_id: str) -> str:
    return fingerprint(study.config.preprocess.model_dump(mode="json"), study.hashes[scan_id])


def _train_mark(study: Study, run: RunConfig) -> str:
    stacks = {name: [_stack_mark(study, s.scan_id) for s in study.in_set(name)] for name in ("train", "validation")}
    return fingerprint(run.model_dump(mode="json"), stacks)


def _sweep_mark(study: Study, run: RunConfig, scans: Sequence[Scan]) -> str:
    inputs = [_stack_mark(study, scan.scan_id) for scan in scans]
    return fingerprint(_train_mark(study, run), inputs, study.config.evaluation.rule, list(THRESHOLDS))


def _train_key(run: RunConfig) -> str:
    return f"train/{run.name}"


def _predict_key(scan: Scan, run: RunConfig) -> str:
    return f"predict/{run.name}/{scan.scan_id}"
