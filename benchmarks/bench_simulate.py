"""Simulated scans: a part of a cohort of the size in the paper, as written by `cordlesion simulate`.

python benchmarks/bench_simulate.py [scans]
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from _rows import Figure, Row, run
from _targets import SIMULATION
from _timing import seconds

from cordlesion.execution.local import map_scans
from cordlesion.io.processors import available_processors
from cordlesion.io.volume import Volume, read_volume, write_volume
from cordlesion.simulate import ScanPlan, plan_cohort
from cordlesion.simulate.cohort import simulate_all

PAPER_SCANS = 161


def sample_plans(scans: int) -> list[ScanPlan]:
    """Return evenly spaced scans of a cohort of the size in the paper, so that all protocols are included."""
    plans = [plan for subject in plan_cohort(PAPER_SCANS, seed=0) for plan in subject.scans(seed=0)]
    return [plans[index * len(plans) // scans] for index in range(scans)]


def writing_again(folder: Path) -> Callable[[], object]:
    """Return a function that writes all images of a folder again, with as many threads, from memory."""
    images = [(path, read_volume(path)) for path in folder.rglob("*.nii.gz")]

    def write(image: tuple[Path, Volume]) -> None:
        write_volume(image[0], image[1].data, image[1])

    return lambda: map_scans(write, images, "")


def measure(scans: int) -> list[Row]:
    """Time a part of the cohort in all processes, including their start, and extrapolate."""
    plans, processes = sample_plans(scans), available_processors()
    with tempfile.TemporaryDirectory() as name:
        ours = seconds(lambda: list(simulate_all(Path(name), plans, processes)))
        writing = seconds(writing_again(Path(name)))
    each = PAPER_SCANS / scans
    note = f"Extrapolated from {scans} of them, spread evenly; {processes} processes, files included. There is no peer."
    floor = Figure("merely writing the images", writing * each)
    return [Row(SIMULATION, Figure("cordlesion", ours * each), (), floor, note=note)]


if __name__ == "__main__":
    run(measure, 20, __doc__)
