"""What one run of the benchmarks found on one kind of processor: measured, saved and read again."""

import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from _rows import Row, parse, read
from _targets import STAGES
from _timing import header

HERE = Path(__file__).parent
PACKAGES = (
    *("cordlesion", "torch", "lightning", "numpy", "scipy", "nibabel", "pandas"),
    *("monai", "torchio", "SimpleITK", "panoptica", "playwright"),
)
UP_TO_AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
"""Settings of oneDNN, PyTorch and MKL by which they use no newer instructions, as on a processor that has none."""
_PRECISION = "from cordlesion.model.hardware import choose_hardware; print(choose_hardware().precision)"


@dataclass(frozen=True)
class Results:
    """The rows of one kind of processor."""

    label: str
    """Its name in the columns of the page: by what it computes in, ``bfloat16`` or ``float32``."""
    facts: tuple[str, ...]
    """Date, machine and versions, one line each."""
    rows: tuple[Row, ...]
    """In the order of the page; not necessarily all."""


def measure(scripts: Mapping[str, int], *, quick: bool, instructions: Mapping[str, str] | None = None) -> Results:
    """Run benchmarks, each in a process of its own.

    Args:
        scripts: Names of benchmarks, and the number of rounds of a quick run.
        quick: With few rounds.
        instructions: Settings that switch off instructions of this processor; none by default.
    """
    started, clock, load = datetime.datetime.now(), time.perf_counter(), os.getloadavg()[0]
    settings = os.environ | (instructions or {})
    rows: list[Row] = []
    for script, rounds in scripts.items():
        print(f"=== {script}", flush=True)
        rows += _run(script, [str(rounds)] if quick else [], settings)
    order = [stage.name for stage in STAGES]
    rows.sort(key=lambda row: order.index(row.stage.name))
    half = _is_half_precision(settings)
    facts = _facts(started, load, (time.perf_counter() - clock) / 60, quick, half, instructions or {})
    return Results("bfloat16" if half else "float32", tuple(facts), tuple(rows))


def save(results: Results, path: Path) -> None:
    """Write results to a file, which another run may put on its page."""
    path.write_text(json.dumps(asdict(results), indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> Results:
    """Read results that :func:`save` wrote."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return Results(found["label"], tuple(found["facts"]), tuple(map(parse, found["rows"])))


def _run(script: str, rounds: Sequence[str], settings: Mapping[str, str]) -> list[Row]:
    """Run one benchmark with the same output streams."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        command = [sys.executable, str(HERE / f"bench_{script}.py"), "--json", str(rows)]
        subprocess.run([*command, *rounds], check=True, env=settings)
        return read(rows)


def _is_half_precision(settings: Mapping[str, str]) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", _PRECISION], stdout=subprocess.PIPE, text=True, check=True, env=settings
    )
    return "bf16" in done.stdout


def _facts(
    started: datetime.datetime, load: float, minutes: float, quick: bool, half: bool, instructions: Mapping[str, str]
) -> list[str]:
    """Return the date, the machine and its load for the page."""
    versions, machine = header(PACKAGES).splitlines()
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    few = ["**Few rounds, to try the benchmarks: no figure here is to be quoted.**"] if quick else []
    kind = "networks compute in bfloat16" if half else "networks compute in float32"
    if instructions:
        named = ", ".join(f"{name}={value}" for name, value in instructions.items())
        kind += f", because instructions newer than AVX2 are switched off ({named}), as on most computers"
    return [
        *few,
        f"{started:%Y-%m-%d %H:%M}, {minutes:.0f} minutes, load average of the machine before: {load:.2f}",
        f"{machine}, {threads} threads; {kind}",
        versions,
    ]
