"""Costs of studies by number of scans and runs: measured at three sizes each, extrapolated, for docs/scaling.md.

python benchmarks/scale.py [--scans 24 72 216] [--runs 10 100 500] [--folder FOLDER]

Scans: copies of simulated ones with noise, one run of one epoch at the demo's settings, nothing left out.
Runs: the finished folder of the smallest cohort as it would look with many runs; what does not need the network is run.
"""

import argparse
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from _scale_costs import PAPER, training_step_seconds, voxels_per_scan
from _scale_measure import disk_by_kind, measure_stages, measure_status, measure_view
from _scale_page import write_page
from _scale_runs import clone_analyzed, clone_trained, many_runs
from _scale_scans import simulate_base, small_study, write_cohort
from _timing import header

from cordlesion.config import StudyConfig

PAGE = Path(__file__).parent.parent / "docs" / "scaling.md"
_WITHOUT_NETWORK = ("evaluate", "analyze", "report")


@dataclass(frozen=True)
class Measured:
    """One study."""

    scans: int
    measured_scans: int
    """Scans of threshold and test set, which are predicted."""
    learning_scans: int
    """Scans of training and validation set."""
    runs: int
    voxels: float
    """Voxels of all patches of a scan, which the network processes per pass."""
    paper_voxels: float
    """The same with the settings of the paper."""
    stages: dict[str, dict[str, float]]
    disk: dict[str, dict[str, int]]


def measure_scans(base: Path, folder: Path, scans: int) -> tuple[Measured, StudyConfig]:
    """Run a study with one run on the given number of scans."""
    config = small_study(write_cohort(base, folder / f"cohort-{scans}", scans), folder / f"study-{scans}")
    stages = measure_stages(config)
    stages["again"] = measure_stages(config, ("tune",))["tune"]
    return _measured(config, scans, 1, stages), config


def measure_runs(finished: StudyConfig, scans: int, folder: Path, runs: int) -> Measured:
    """Measure the stages of a study with many runs that do not need the network."""
    config = many_runs(finished, folder / f"runs-{runs}-of-{scans}", runs)
    study = clone_trained(finished, config)
    stages = measure_stages(config, ("tune",))
    clone_analyzed(finished, study)
    stages |= measure_stages(config, _WITHOUT_NETWORK)
    stages |= {"status": measure_status(config.output), "view": measure_view(config.output)}
    measured = _measured(config, scans, runs, stages)
    shutil.rmtree(config.output)
    return measured


def _measured(config: StudyConfig, scans: int, runs: int, stages: dict[str, dict[str, float]]) -> Measured:
    from cordlesion.io.tables import read_table

    splits = read_table(Path(config.output) / "splits.tsv")
    predicted = int(splits["set"].isin(["threshold", "test"]).sum())
    voxels, paper = voxels_per_scan(config), voxels_per_scan(config, PAPER)
    return Measured(
        scans, predicted, len(splits) - predicted, runs, voxels, paper, stages, disk_by_kind(Path(config.output))
    )


def main() -> None:
    """Measure everything and write the page."""
    busy = os.getloadavg()[0]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, nargs=3, default=[24, 72, 216])
    parser.add_argument("--runs", type=int, nargs=3, default=[10, 100, 500])
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-", dir=arguments.folder) as name:
        folder = Path(name)
        base = simulate_base((arguments.folder or folder) / "base")
        of_scans, configs = [], []
        for scans in arguments.scans:
            measured, config = measure_scans(base, folder, scans)
            print(json.dumps(asdict(measured)), flush=True)
            of_scans.append(measured)
            configs.append(config)
        # The middle number of runs on the next cohort, too, to separate the costs of runs and scans.
        plan = [(0, runs) for runs in arguments.runs] + [(1, arguments.runs[1])]
        of_runs = []
        for cohort, runs in plan:
            of_runs.append(measure_runs(configs[cohort], arguments.scans[cohort], folder, runs))
            print(json.dumps(asdict(of_runs[-1])), flush=True)
    machine = header(["cordlesion", "torch", "pandas", "numpy"]) + f", load by others at the start {busy:.1f}"
    write_page(PAGE, of_scans, of_runs, training_step_seconds(), machine)
    print(f"{PAGE}: tables written")


if __name__ == "__main__":
    main()
