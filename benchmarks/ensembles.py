"""Ensembles of a finished study: what a network more or less changes, and which uncertainty points best at errors.

For each ensemble of a study, its networks are left out one by one (jack-knife). The threshold of the remaining mean is
tuned on the threshold set by the study's objective, and its masks are scored on the test set, as the study does it. For
comparison, the same two numbers of each single network. Then the areas under the error-retention curves that the study
has measured. It reads maps and tables only and writes nothing into the study.

    python benchmarks/ensembles.py STUDY [--scans N]
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from cordlesion.config import EnsembleRun, StudyConfig, read_study
from cordlesion.dataset.matching import MapPair
from cordlesion.evaluation import METRIC_COLUMNS
from cordlesion.execution.local import stream_scans
from cordlesion.io.tables import read_table
from cordlesion.io.volume import read_mask, read_probability
from cordlesion.metrics import sweep
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.manifest import read_manifest
from cordlesion.study_folder.results import read_results
from cordlesion.threshold import GRIDS, choose_threshold
from cordlesion.threshold.postprocess import postprocess, read_cord


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of a study that has run up to `analyze`")
    parser.add_argument("--scans", type=int, default=None, help="at most so many scans of each set, for a first look")
    options = parser.parse_args()
    folder, config = StudyFolder(options.study), read_study(options.study / "study.yaml")
    if not config.ensemble_runs:
        raise SystemExit(f"{options.study}: has no ensembles; several seeds, or `ensembles` in study.yaml, are needed.")
    for table in (jackknife_table(folder, config, options.scans), uncertainty_table(options.study)):
        print(f"{_markdown(table)}\n")


def _markdown(table: pd.DataFrame) -> str:
    rows = [[f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in table.to_numpy(object)]
    lines = [list(map(str, table.columns)), ["---"] * len(table.columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def jackknife_table(folder: StudyFolder, config: StudyConfig, most: int | None) -> pd.DataFrame:
    """Return a row per ensemble: thresholds and test scores of all, all but one, and one network."""
    return pd.DataFrame([_jackknife(folder, config, run, most) for run in config.ensemble_runs])


def _jackknife(folder: StudyFolder, config: StudyConfig, run: EnsembleRun, most: int | None) -> dict[str, object]:
    n = len(run.members)
    every = tuple(range(n))
    subsets = [every, *(tuple(k for k in every if k != out) for out in every), *((k,) for k in every)]
    swept = {name: _sweep(folder, config, run, name, subsets, most) for name in ("threshold", "test")}
    tuned, scores = zip(*(_tune_and_test(config, swept, number) for number in range(len(subsets))), strict=True)
    without, single = slice(1, 1 + n), slice(1 + n, None)
    return {
        "ensemble": run.name,
        "networks": n,
        "t": tuned[0],
        "t without one": _span(tuned[without]),
        "t of one": _span(tuned[single]),
        "mean V-F1": scores[0],
        "without one": _span(scores[without]),
        "of one": _span(scores[single]),
        "jack-knife SE": np.sqrt((n - 1) / n * np.square(np.subtract(scores[without], np.mean(scores[without]))).sum()),
        "SD between networks": np.std(scores[single], ddof=1),
    }


def _tune_and_test(config: StudyConfig, swept: dict[str, pd.DataFrame], number: int) -> tuple[float, float]:
    """Return the tuned threshold of a subset of networks, and its mean voxel F1 over test scans with lesions."""
    tuning, test = (swept[name][swept[name]["subset"] == number] for name in ("threshold", "test"))
    t = choose_threshold(tuning, config.threshold.objective).value
    return t, float(test.loc[np.isclose(test["threshold"], t), "voxel_f1"].mean())


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}"


def _sweep(
    folder: StudyFolder,
    config: StudyConfig,
    run: EnsembleRun,
    set_name: str,
    subsets: Sequence[tuple[int, ...]],
    most: int | None,
) -> pd.DataFrame:
    pairs = list(_pairs(folder, config, run, set_name))[:most]
    work = partial(_sweep_scan, folder=folder, config=config, run=run, subsets=subsets)
    return pd.concat(stream_scans(work, pairs, f"{run.name} ({set_name})"), ignore_index=True)


def _sweep_scan(
    pair: MapPair, folder: StudyFolder, config: StudyConfig, run: EnsembleRun, subsets: Sequence[tuple[int, ...]]
) -> pd.DataFrame:
    """Measure the mean map of every subset of the networks at every threshold: each map is read once."""
    reference = read_mask(pair.reference, value=pair.lesion_value)
    volumes = [
        read_probability(folder.probability(pair.scan_id, member.maps_name), like=reference) for member in run.members
    ]
    thresholds, removal = GRIDS[config.threshold.grid], run.postprocess
    tables = []
    for number, subset in enumerate(subsets):
        mean = np.mean([volumes[k].data for k in subset], axis=0, dtype=np.float64).astype(np.float32)
        volume = type(reference)(mean, reference.affine, reference.header, reference.path)
        p = postprocess(volume, thresholds, removal, read_cord(pair.cord_mask, reference, removal))
        measured = sweep(reference.data, p, reference.spacing_mm, thresholds, config.evaluation.rule)
        columns = {name: [getattr(one, name) for one in measured] for name in METRIC_COLUMNS}
        names = {"scan_id": pair.scan_id, "subject": pair.subject, "session": pair.session}
        tables.append(pd.DataFrame({**names, "subset": number, "threshold": list(thresholds), **columns}))
    return pd.concat(tables, ignore_index=True)


def _pairs(folder: StudyFolder, config: StudyConfig, run: EnsembleRun, set_name: str) -> Iterator[MapPair]:
    files = read_manifest(folder.manifest, config.dataset)["scans"]
    splits = read_table(folder.splits)
    rows = splits[splits["set"] == set_name]
    rows = rows if run.fold is None else rows[rows["fold"] == run.fold]
    for row in rows.itertuples():
        mine = files[row.scan_id]
        cord = Path(mine["cord_mask"]) if mine.get("cord_mask") else None
        reference, own = Path(mine["reference"]), folder.probability(row.scan_id, run.maps_name)
        yield MapPair(row.scan_id, row.subject, row.session, reference, own, cord, config.patterns.lesion_value)


def uncertainty_table(study: Path) -> pd.DataFrame:
    """Return a row per method and level: the mean area under the error-retention curve of each measure."""
    from cordlesion.report.sections.uncertainty import MEASURES, summarize_uncertainty

    summary = summarize_uncertainty(read_results(study))
    wide = summary.pivot(index=["loss", "level"], columns="uncertainty", values="area")
    return wide[[name for name in MEASURES if name in wide]].reset_index()


if __name__ == "__main__":
    main()
