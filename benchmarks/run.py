"""Run every benchmark of the page, each in a separate process, and write `docs/benchmarks.md`.

python benchmarks/run.py [--quick] [--only NAME ...]
"""

import argparse
import datetime
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _page import page
from _rows import Row, read
from _targets import STAGES
from _timing import header

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
SCRIPTS = {
    "stack": 2,
    "training_step": 1,
    "prediction": 1,
    "sweep": 2,
    "simulate": 4,
    "segment": 1,
    "evaluate": 2,
    "explorer": 10,
}
"""Benchmarks with the number of rounds of a quick run; the default numbers give more reliable figures."""
PACKAGES = (
    *("cordlesion", "torch", "lightning", "numpy", "scipy", "nibabel", "pandas"),
    *("monai", "torchio", "SimpleITK", "panoptica", "playwright"),
)


def measure(script: str, *rounds: str) -> list[Row]:
    """Run one benchmark with the same output streams."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        command = [sys.executable, str(HERE / f"bench_{script}.py"), "--json", str(rows)]
        subprocess.run([*command, *rounds], check=True)
        return read(rows)


def facts(started: datetime.datetime, load: float, minutes: float, quick: bool) -> list[str]:
    """Return the date, the machine and its load for the page."""
    versions, machine = header(PACKAGES).splitlines()
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    few = ["**Few rounds, to try the benchmarks: no figure here is to be quoted.**"] if quick else []
    return [
        *few,
        f"{started:%Y-%m-%d %H:%M}, {minutes:.0f} minutes, load average of the machine before: {load:.2f}",
        f"{machine}, {threads} threads",
        versions,
    ]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=list(SCRIPTS), help="print these, no page")
    parser.add_argument("--quick", action="store_true", help="few rounds: to try it, not for figures to quote")
    given = parser.parse_args()
    started, clock, load = datetime.datetime.now(), time.perf_counter(), os.getloadavg()[0]
    rows: list[Row] = []
    for script in given.only:
        print(f"=== {script}", flush=True)
        rows += measure(script, *([str(SCRIPTS[script])] if given.quick else []))
    if set(given.only) == set(SCRIPTS):
        order = [stage.name for stage in STAGES]
        rows.sort(key=lambda row: order.index(row.stage.name))
        text = facts(started, load, (time.perf_counter() - clock) / 60, given.quick)
        PAGE.write_text(page(rows, text), encoding="utf-8")
        print(f"{PAGE}: written")


if __name__ == "__main__":
    main()
