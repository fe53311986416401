"""Creates the folder of a study with many trained runs from a study with one run."""

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from cordlesion.config import RunConfig, StudyConfig
from cordlesion.dataset.scan import Scan
from cordlesion.io.fingerprints import fingerprint
from cordlesion.io.tables import read_table, write_table
from cordlesion.study.analysis import TABLES
from cordlesion.study.cohort import open_study
from cordlesion.study.fingerprints import map_fingerprints, predict_key, sweep_fingerprint, train_fingerprint, train_key
from cordlesion.study.preprocess import preprocess
from cordlesion.study.sets import Study
from cordlesion.study_folder.derivatives import mask_path
from cordlesion.study_folder.folder import StudyFolder

_SEEDS = 50
_OF_SCANS = ("stacks", ".done/inspect", ".done/preprocess", ".done/split.json", "splits.tsv")


def many_runs(config: StudyConfig, output: Path, runs: int) -> StudyConfig:
    """Return the study with ``runs`` runs: losses under other labels, with up to 50 seeds each."""
    seeds = min(_SEEDS, runs)
    losses = [{"name": "bce", "label": f"loss{number:02d}"} for number in range(runs // seeds)]
    return StudyConfig(**{**config.model_dump(), "output": output, "losses": losses, "seeds": tuple(range(seeds))})


def clone_trained(finished: StudyConfig, config: StudyConfig) -> Study:
    """Write the folder of a study with trained, predicted and swept runs, from a finished study with one run."""
    donor, folder = StudyFolder(finished.output), StudyFolder(config.output)
    for part in _OF_SCANS:
        _link(donor.root / part, folder.root / part)
    study = preprocess(open_study(config, folder))
    rng = np.random.default_rng(0)
    for run in config.runs:
        _clone_training(donor, study, finished.runs[0], run)
        for set_name in ("threshold", "test"):
            table = _jittered(read_table(donor.run_sweep(finished.runs[0].name, set_name)), run, rng)
            write_table(folder.run_sweep(run.name, set_name), table)
    return study


def clone_analyzed(finished: StudyConfig, study: Study) -> None:
    """Write the results after the choice of thresholds: masks and analyses of all runs."""
    donor, folder, original = StudyFolder(finished.output), study.folder, finished.runs[0]
    tested, rng = study.open_test(), np.random.default_rng(1)
    tuning = study.in_set("threshold")
    names = {"threshold": [s.scan_id for s in tuning], "test": [s.scan_id for s in tested.scans]}
    for run in study.config.runs:
        for scan in (*tuning, *tested.scans):
            _link_map(mask_path(donor.probability(scan.scan_id, original.name)), scan, folder, run)
        value = tested.thresholds[run.name].value
        mark = fingerprint("masks", sweep_fingerprint(study, run, (*tuning, *tested.scans)), value)
        _mark(folder, f"masks/{run.name}", mark)
        for name in TABLES:
            if (table := donor.run(original.name) / f"{name}.tsv").is_file():
                write_table(folder.run(run.name) / f"{name}.tsv", _jittered(read_table(table), run, rng))
        _mark(folder, f"analyze/{run.name}", fingerprint("analysis", mark, names))


def _clone_training(donor: StudyFolder, study: Study, original: RunConfig, run: RunConfig) -> None:
    folder = study.folder
    target = folder.run(run.name)
    _link(donor.bundle(original.name) / "model.safetensors", target / "bundle" / "model.safetensors")
    for name in ("bundle/model.json", "history.tsv"):
        shutil.copyfile(donor.run(original.name) / name, target / name)
    _mark(folder, train_key(run), train_fingerprint(study, run))
    # The test scans are taken from the table: they are locked until the thresholds are written.
    by_name = {scan.scan_id: scan for scan in _measured(study)}
    for scan, mark in map_fingerprints(study, run, list(by_name.values())).items():
        _link_map(donor.probability(scan.scan_id, original.name), scan, folder, run)
        _mark(folder, predict_key(scan, run), mark)
    for set_name in ("threshold", "test"):
        table = read_table(donor.run_sweep(original.name, set_name), ("scan_id",))
        scans = [by_name[name] for name in table["scan_id"].unique()]
        _mark(folder, f"sweep/{run.name}_{set_name}", sweep_fingerprint(study, run, scans))


def _measured(study: Study) -> Iterable[Scan]:
    return (*study.in_set("threshold"), *study.folds[None].test._scans)


def _jittered(table: pd.DataFrame, run: RunConfig, rng: np.random.Generator) -> pd.DataFrame:
    """Return the table of a run with the name of another run and slightly different scores."""
    scores = [name for name in table if name.endswith(("_f1", "_sensitivity", "_precision"))]
    factor = 1 - 0.1 * rng.random()
    return table.assign(loss=run.loss.title, seed=run.seed, **{name: table[name] * factor for name in scores})


def _link_map(path: Path, scan: Scan, folder: StudyFolder, run: RunConfig) -> None:
    probability = folder.probability(scan.scan_id, run.name)
    target = mask_path(probability) if path.name.endswith("_mask.nii.gz") else probability
    for ending in (".nii.gz", ".json"):
        _link(
            path.with_name(path.name.replace(".nii.gz", ending)),
            target.with_name(target.name.replace(".nii.gz", ending)),
        )


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=os.link)
    else:
        os.link(source, target)


def _mark(folder: StudyFolder, key: str, mark: str) -> None:
    path = folder.root / ".done" / f"{key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"fingerprint": mark, "seconds": 1.0}, indent=2) + "\n", encoding="utf-8")
