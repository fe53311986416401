"""Check a BIDS folder: which files are recognised, which scans are in which set, and what has to be corrected.

python examples/03_own_data.py [BIDS folder]          (without a folder: a few simulated scans)
"""

import sys
from pathlib import Path

import cordlesion

OUTPUT = Path("demo/own_data")


def describe(dataset: Path) -> None:
    """Print how many scans there are and which files were found for them."""
    scans, orphans = cordlesion.find_scans(dataset)
    print(f"{dataset}: {len(scans)} scans of {len({scan.subject for scan in scans})} subjects")
    for kind in ("reference", "centerline", "cord_mask"):
        print(f"  with {kind}: {sum(getattr(scan, kind) is not None for scan in scans)}")
    for sentence in orphans:
        print(f"  {sentence}")


def main(dataset: Path | None = None, output: Path = OUTPUT) -> None:
    """Write study.yaml, split the scans and cut their cord stacks; training comes next."""
    if dataset is None:
        dataset = output / "cohort"
        cordlesion.simulate_cohort(dataset, scans=12, seed=1)
    describe(dataset)
    study_file = output / "study.yaml"
    output.mkdir(parents=True, exist_ok=True)
    study_file.write_text(cordlesion.initial_study(dataset), encoding="utf-8")
    study = cordlesion.read_study(study_file)
    excluded = cordlesion.run_study(study, until="preprocess")
    for scan, reason in excluded.items():
        print(f"excluded: {scan}: {reason}")
    splits = cordlesion.read_table(study.output / "splits.tsv")
    print(splits.groupby("set")[["n_reference_lesions", "reference_volume_mm3"]].agg(["count", "median"]))
    print(f"Edit {study_file}, then: cordlesion study run {study_file}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
