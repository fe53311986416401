"""Simulated scans: seconds per scan, and what a cohort of the study's size takes (no peer).

python benchmarks/bench_simulate.py [scans]
"""

import os
import statistics
import sys
import time

from _timing import header

from cordlesion.dataset.simulate import ScanPlan, plan_cohort, simulate_scan

STUDY_SCANS = 161


def sample_plans(scans: int) -> list[ScanPlan]:
    """Return scans spread evenly over the cohort of the study's size, so that all protocols have their share."""
    plans = [plan for subject in plan_cohort(STUDY_SCANS, seed=0) for plan in subject.scans(seed=0)]
    return [plans[index * len(plans) // scans] for index in range(scans)]


def main() -> None:
    """Time scans one by one in this process, after one that warms the caches."""
    scans = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    plans = sample_plans(scans)
    simulate_scan(plans[0])
    seconds = []
    for plan in plans:
        start = time.perf_counter()
        simulate_scan(plan)
        seconds.append(time.perf_counter() - start)
    mean, processes = statistics.mean(seconds), os.cpu_count() or 1
    print(header(["cordlesion", "numpy", "scipy"]))
    print(f"{scans} scans, one process: {mean:.2f} s per scan ({min(seconds):.2f} to {max(seconds):.2f})")
    total = mean * STUDY_SCANS
    print(f"{STUDY_SCANS} scans, extrapolated, files not included: {total:.0f} s in one process,")
    print(f"{total / processes:.0f} s in {processes} processes if they do not slow each other")


if __name__ == "__main__":
    main()
