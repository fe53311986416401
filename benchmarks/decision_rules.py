"""What does each threshold rule gain? Random halves of a finished study: tuned on one, scored on the other.

python benchmarks/decision_rules.py STUDY [--halves 200] [--methods bce_seed-0 ...]

The scans of the threshold and the test set of a study are divided at random by subject. Each rule is tuned on one half
by an objective of lesions and by one of voxels, and its masks of the other half are scored. It reads maps and writes
nothing into the study. Intervals are over the halves: 2.5 % and 97.5 % of the differences from the rule `global`.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from cordlesion.config import EnsembleRun, RunConfig, read_study
from cordlesion.dataset.matching import MapPair
from cordlesion.execution.local import stream_scans
from cordlesion.io.tables import read_table
from cordlesion.io.volume import read_mask, read_probability
from cordlesion.metrics import resolve_rule
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.manifest import read_manifest
from cordlesion.threshold import THRESHOLD_RULES, parse_objective
from cordlesion.threshold.adaptive import calibrate, ranked_rows
from cordlesion.threshold.components import PEAKS
from cordlesion.threshold.grid import PEAK, VOLUME
from cordlesion.threshold.rule import TuningScan
from cordlesion.threshold.scans import arrange_scans

OBJECTIVES = ("mean_lesion_f1", "mean_voxel_f1", "joint_f1_specificity")
RULES = {
    "global": ("global", {}),
    "global, volume": ("peak", {PEAK: PEAKS[0]}),
    "peak": ("peak", {VOLUME: 0.0}),
    "peak, volume": ("peak", {}),
    "top_components": ("top_components", {}),
    "volume_adaptive": ("volume_adaptive", {}),
    "rank_dice": ("rank_dice", {}),
}
"""The rule, and settings that are fixed."""
SCORES = ("lesion F1", "voxel F1", "false lesions", "specificity")


def main() -> None:
    """Print a table for each objective."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--halves", type=int, default=200)
    parser.add_argument("--methods", nargs="+", help="names of runs; by default the first seed of each loss")
    given = parser.parse_args()
    config, folder = read_study(given.study / "study.yaml"), StudyFolder(given.study)
    named = given.methods or [run.name for run in config.runs if run.seed == config.seeds[0]]
    results = []
    for method in (one for one in config.own_methods if one.name in named):
        tables = measure(folder, config.dataset, method, config.evaluation.rule)
        results += [row for objective in OBJECTIVES for row in halves(method.name, tables, objective, given.halves)]
    table = pd.DataFrame(results)
    for objective in OBJECTIVES:
        print(f"\n{objective}\n\n{_markdown(table[table['objective'] == objective])}")


def measure(folder: StudyFolder, dataset: Path, method: RunConfig | EnsembleRun, rule: str) -> dict[str, pd.DataFrame]:
    """Return the table of each threshold rule: all scans with a map, with everything that may be chosen."""
    pairs = list(_pairs(folder, dataset, method))
    measured = list(stream_scans(partial(_measure, rule=rule), pairs, method.name))
    return {name: pd.concat([one[name] for one in measured], ignore_index=True) for name in THRESHOLD_RULES}


def _measure(pair: MapPair, rule: str) -> dict[str, pd.DataFrame]:
    reference = read_mask(pair.reference, value=pair.lesion_value)
    p = read_probability(pair.prediction, like=reference).data.astype(np.float32, copy=False)
    scan = TuningScan(pair.scan_id, pair.subject, reference.data > 0, p, reference.spacing_mm)
    return {name: kind.measure(scan, resolve_rule(rule)) for name, kind in THRESHOLD_RULES.items()}


def _pairs(folder: StudyFolder, dataset: Path, method: RunConfig | EnsembleRun) -> Iterator[MapPair]:
    files = read_manifest(folder.manifest, dataset)["scans"]
    splits = read_table(folder.splits)
    for row in splits[splits["set"].isin(["threshold", "test"])].itertuples():
        own = folder.probability(row.scan_id, method.maps_name)
        yield MapPair(row.scan_id, row.subject, row.session, Path(files[row.scan_id]["reference"]), own)


def halves(method: str, tables: dict[str, pd.DataFrame], objective: str, n: int) -> Iterator[dict[str, object]]:
    """Tune each rule on random halves of the subjects, and score it on the others."""
    subjects = tables["global"]["subject"].unique()
    for rule, (kind, fixed) in RULES.items():
        rows = tables[kind]
        for name, value in fixed.items():
            rows = rows[rows[name] == value]
        rng, arranged = np.random.default_rng(0), None if kind == "rank_dice" else _arranged(rows, objective)
        for number in range(n):
            tuned_on = rng.permutation(subjects)[: len(subjects) // 2]
            if arranged is None:
                if number >= n // 8:  # calibrated again in each half, which takes long
                    break
                scaling = calibrate(rows[rows["subject"].isin(tuned_on)])
                ranked = pd.concat([ranked_rows(scan, scaling) for _, scan in rows.groupby("scan_id")])
                scored = _score(_arranged(ranked, objective), tuned_on)
            else:
                scored = _score(arranged, tuned_on)
            yield {"method": method, "objective": objective, "rule": rule, "half": number, **scored}


def _arranged(rows: pd.DataFrame, objective: str) -> tuple:
    """Return the grid, the measures of the objective, and the scores, of every scan and cell."""
    goal = parse_objective(objective)
    # Every scan is a subject of its own here, so that scans are in the order of their names.
    table = rows.assign(subject=rows["scan_id"])
    names = np.sort(rows["scan_id"].unique())
    person = rows.drop_duplicates("scan_id").set_index("scan_id").loc[names, "subject"].to_numpy()
    scans = arrange_scans(table, _Everything(goal))
    return goal, scans.grid, scans.measures, person


class _Everything:
    """Reads what the objective and the scores need, of every scan."""

    lesion_free = "counted"
    columns = ("voxel_f1", "lesion_f1", "n_predicted_lesions", "n_true_predicted_lesions", "reference_volume_mm3")

    def __init__(self, goal: object) -> None:
        self.goal = goal

    def measure(self, table: pd.DataFrame) -> np.ndarray:
        """Return the measures of the objective, then the scores."""
        free = table["reference_volume_mm3"] == 0
        scores = [
            table["lesion_f1"],
            table["voxel_f1"],
            table["n_predicted_lesions"] - table["n_true_predicted_lesions"],
            np.where(free, table["n_predicted_lesions"] == 0, np.nan),
        ]
        return np.concatenate([self.goal.measure(table), np.stack([np.asarray(one, dtype=float) for one in scores])])


def _score(arranged: tuple, tuned_on: np.ndarray) -> dict[str, float]:
    goal, grid, measures, person = arranged
    tuning = np.isin(person, tuned_on)
    curve = np.nan_to_num(goal.summarize(measures[:-4, tuning]), nan=-1.0)
    settings, t = grid.best(curve, goal.tolerance)
    cell = settings * len(grid.thresholds) + t
    scores = np.nanmean(measures[-4:, ~tuning, cell], axis=1)
    return dict(zip(SCORES, scores.tolist(), strict=True))


def _markdown(table: pd.DataFrame) -> str:
    """Return a row per rule: means over methods and halves, and the difference of the first score from `global`."""
    key = ["method", "half"]
    base = table[table["rule"] == "global"].set_index(key)
    lines = [f"| rule | {' | '.join(SCORES)} | difference in lesion F1 | in voxel F1 |", "|---" * 7 + "|"]
    for rule, rows in table.groupby("rule", sort=False):
        mine = rows.set_index(key)
        means = " | ".join(f"{mine[name].mean():.3f}" for name in SCORES)
        gains = []
        for name in SCORES[:2]:
            # The mean over methods of each half, so that the interval is that of a choice of scans.
            gain = (mine[name] - base[name]).dropna().groupby("half").mean()
            low, high = np.quantile(gain, [0.025, 0.975])
            gains.append(f"{gain.mean():+.3f} ({low:+.3f} to {high:+.3f})")
        lines.append(f"| {rule} | {means} | {' | '.join(gains)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
