"""Simulated scans: a share of a cohort of the study's size, as `cordlesion simulate` makes it, files included.

python benchmarks/bench_simulate.py [scans]
"""

import tempfile
import time
from pathlib import Path

from _rows import Figure, Row, run
from _targets import SIMULATION

from cordlesion.dataset.simulate import ScanPlan, plan_cohort
from cordlesion.dataset.simulate.cohort import simulate_all
from cordlesion.processors import available_processors

STUDY_SCANS = 161


def sample_plans(scans: int) -> list[ScanPlan]:
    """Return scans spread evenly over the cohort of the study's size, so that all protocols have their share."""
    plans = [plan for subject in plan_cohort(STUDY_SCANS, seed=0) for plan in subject.scans(seed=0)]
    return [plans[index * len(plans) // scans] for index in range(scans)]


def measure(scans: int) -> list[Row]:
    """Time a share of the cohort in all processes, their start included, and extrapolate."""
    plans, processes = sample_plans(scans), available_processors()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        for _ in simulate_all(Path(folder), plans, processes):
            pass
        seconds = time.perf_counter() - start
    note = f"Extrapolated from {scans} of them, spread evenly; {processes} processes, files included. There is no peer."
    return [Row(SIMULATION, Figure("cordlesion", seconds / scans * STUDY_SCANS), note=note)]


if __name__ == "__main__":
    run(measure, 20, __doc__)
