"""A training step of the demo's size beside other programs: with threads that soon sleep, and with PyTorch's default.

The programs count in loops, one thread each. Their number is the same on every machine, so beside them the gain is
largest where processors are few.

python benchmarks/bench_busy.py [rounds]
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from unittest.mock import patch

from _apart import Apart
from _rows import Figure, Row, run
from _targets import TRAINING_ALONE, TRAINING_BESIDE
from _timing import alternate
from bench_training_step import BATCH, make_step

from cordlesion.model.hardware import choose_hardware

PROGRAMS = 4
SHAPE, FILTERS = (20, 20, 48), (8, 16, 32)
OURS = "cordlesion: a thread that waits turns 1 000 times, then sleeps"
PEER = "PyTorch's default: 300 000 times"
SETTINGS = {OURS: {"GOMP_SPINCOUNT": "1000"}, PEER: {"GOMP_SPINCOUNT": "300000"}}
"""The default as the manual of GCC states it (libgomp, GOMP_SPINCOUNT)."""
THREADS = "2"
SINGLE = "one thread instead of two"


@contextlib.contextmanager
def busy(programs: int) -> Iterator[None]:
    """Run programs that do nothing but count."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(programs)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def candidates() -> dict[str, Apart]:
    """Return the step in processes of their own, with the settings of each from their start on."""
    hardware = choose_hardware()
    found = {}
    for name, settings in {**SETTINGS, SINGLE: {**SETTINGS[OURS], "OMP_NUM_THREADS": "1"}}.items():
        with patch.dict(os.environ, {"OMP_NUM_THREADS": THREADS, **settings}):
            step = Apart(make_step, hardware.device, hardware.half_precision, True, SHAPE, FILTERS)
        found[name] = step
    return found


def measure(rounds: int) -> list[Row]:
    """Time both beside the programs and alone."""
    steps = candidates()
    alone = alternate(steps, rounds)
    with busy(PROGRAMS):
        beside = alternate(steps, rounds)
    size = " × ".join(map(str, SHAPE))
    note = f"{BATCH} patches of {size}, U-Net 8, 16, 32, {THREADS} threads, {choose_hardware().precision}."
    with_programs, without = (
        (Figure(OURS, times[OURS]), Figure(PEER, times[PEER]), (Figure(SINGLE, times[SINGLE]),))
        for times in (beside, alone)
    )
    ours, peer, others = with_programs
    single, default, rest = without
    return [
        Row(TRAINING_BESIDE, ours, (peer,), None, others, note),
        Row(TRAINING_ALONE, single, (), default, rest, f"The same, no program beside. {note}"),
    ]


if __name__ == "__main__":
    run(measure, 15, __doc__)
