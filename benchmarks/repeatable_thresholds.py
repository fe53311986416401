"""What does a threshold cost that is chosen by repeatability? Simulated rescans, the demo's networks, random halves.

python benchmarks/repeatable_thresholds.py STUDY FOLDER [--scans 150] [--rescans 100] [--halves 200]

STUDY is a finished demo study, whose networks are applied; FOLDER gets a new cohort (another seed, so that no network
has seen its subjects) and a table of each network. In each half of the subjects a threshold is chosen by every
objective; the other half shows its voxel F1 and its repeatability.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import cordlesion
from cordlesion.dataset.bids import find_scans
from cordlesion.dataset.repeats import find_repeats
from cordlesion.io.tables import REPEAT, read_table, write_table
from cordlesion.statistics import repeatability
from cordlesion.threshold import group_rows
from cordlesion.threshold.choice import nearest_threshold
from cordlesion.threshold.sweeps import sweep_maps

SEED = 77
OBJECTIVES = ("mean_voxel_f1", "plateau_voxel_f1", "repeatability:0.2", "repeatability:0.25", "repeatability:0.3")
SHOWN = {"t": 2, "voxel F1": 3, "ICC": 3, "variation": 3, "detectable change, mm3": 0}


def main() -> None:
    """Print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scans", type=int, default=150)
    parser.add_argument("--rescans", type=int, default=100)
    parser.add_argument("--halves", type=int, default=200)
    given = parser.parse_args()
    cohort = given.folder / "cohort"
    cordlesion.simulate_cohort(cohort, scans=given.scans, seed=SEED, jobs=1, domain="reduced", rescans=given.rescans)
    for bundle in sorted(given.study.glob("runs/*/bundle")):
        table = measured(cohort, bundle, given.folder / f"{bundle.parent.name}.tsv")
        describe(bundle.parent.name, table)
        report(table, given.halves)


def measured(cohort: Path, bundle: Path, kept: Path) -> pd.DataFrame:
    """Return a row per scan and threshold, of all scans of a cohort; read where a run before has measured them."""
    if kept.is_file():
        return read_table(kept)
    model = cordlesion.load_bundle(bundle)
    scans, _ = find_scans(cohort)
    groups, tables = find_repeats(cohort, scans), []
    for scan in scans:
        found = cordlesion.segment(scan.image, model, centerline=scan.centerline, threshold=0.5, force=True)
        reference = cordlesion.read_mask(scan.reference)
        one = sweep_maps([reference.data], [found.probability.data], reference.spacing_mm, scan_ids=[scan.scan_id])
        tables.append(one.assign(subject=scan.subject, **{REPEAT: groups.get(scan.scan_id)}))
    table = pd.concat(tables, ignore_index=True)
    write_table(kept, table)
    return read_table(kept)


def describe(name: str, table: pd.DataFrame) -> None:
    """Print what a network was measured on, and its curve."""
    scans = table.drop_duplicates("scan_id")
    n_groups = group_rows(scans).nunique()
    print(f"\n{name}: {len(scans)} scans of {scans['subject'].nunique()} subjects; {n_groups} groups")
    rows = [shown(table, t) | {"t": t} for t in sorted(table["threshold"].unique())]
    print(pd.DataFrame(rows)[[*SHOWN]].round(3).to_string(index=False))


def report(table: pd.DataFrame, n_halves: int) -> None:
    """Print what the thresholds of each objective show on the other half, and the difference from the first."""
    rng, subjects = np.random.default_rng(0), table["subject"].unique()
    rows = []
    for _ in range(n_halves):
        half = table["subject"].isin(rng.permutation(subjects)[: len(subjects) // 2])
        for objective in OBJECTIVES:
            choice = nearest_threshold(table[half], objective, n_resamples=1)
            facts = {"objective": objective, "t": choice.value, "missed": choice.breaks_condition}
            rows.append(shown(table[~half], choice.value) | facts)
    halves = pd.DataFrame(rows)
    print("| objective | " + " | ".join(SHOWN) + " | floor not reached |")
    print("|---|" + "---|" * (len(SHOWN) + 1))
    first = halves[halves["objective"] == OBJECTIVES[0]].reset_index(drop=True)
    for objective, ours in halves.groupby("objective", sort=False):
        apart = ours[[*SHOWN]].reset_index(drop=True) - first[[*SHOWN]]
        low, high = apart.quantile(0.025), apart.quantile(0.975)
        cells = [f"{ours[k].mean():.{n}f} ({low[k]:+.{n}f} to {high[k]:+.{n}f})" for k, n in SHOWN.items()]
        print(f"| {objective} | " + " | ".join(cells) + f" | {ours['missed'].mean():.0%} |", flush=True)


def shown(table: pd.DataFrame, t: float) -> dict[str, float]:
    """Return what scans show at a threshold."""
    rows = table[np.isclose(table["threshold"], t)]
    again = rows[rows[REPEAT] != ""]
    found = repeatability(again["predicted_volume_mm3"], again[REPEAT])
    return {
        "voxel F1": float(rows["voxel_f1"].mean()),
        "ICC": found.icc,
        "variation": found.coefficient_of_variation,
        "detectable change, mm3": found.smallest_detectable_change,
    }


if __name__ == "__main__":
    main()
