"""Timing of several candidates alternately in one process, and a header with the versions."""

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def seconds(work: Callable[[], object]) -> float:
    """Return the duration of a call in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def alternate(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each candidate; they run alternately, so that a busy machine slows all equally."""
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for run in candidates.values():
        run()  # imports and caches
    for _ in range(rounds):
        for name, run in candidates.items():
            taken[name].append(seconds(run))
    return {name: statistics.median(times) for name, times in taken.items()}


def header(packages: Sequence[str]) -> str:
    """Return the versions of ``packages`` ("absent" where not installed), Python and the processor."""
    versions = ", ".join(f"{name} {version(name) or 'absent'}" for name in packages)
    return f"{versions}\nPython {platform.python_version()}, {processor()}, {os.cpu_count()} cores"


def version(package: str) -> str | None:
    """Return the installed version of a package, if there is one."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """Return the name of the processor."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
