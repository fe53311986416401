"""Peak memory of a function, in a separate process (Linux)."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_growth_mib(work: Callable[[], object]) -> float:
    """Return the peak memory of ``work`` minus the memory that this process used before."""
    _RESET.write_text("5")  # resets the peak
    before = status_mib("VmRSS")
    work()
    return status_mib("VmHWM") - before


def in_own_process(script: str, call: str) -> float:
    """Return the number that a function of a benchmark returns in a new process.

    Args:
        script: Name of the benchmark's file.
        call: A function of it with its arguments, as Python code.
    """
    module = Path(script).stem
    code = f"import {module}; print({module}.{call})"
    # Freed arrays are returned to the system, so that memory of an earlier run is not reused unnoticed.
    quiet = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", code]
    folder = Path(__file__).parent
    done = subprocess.run(command, cwd=folder, env=quiet, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1])


def status_mib(name: str) -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024
