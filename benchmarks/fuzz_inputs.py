"""Fuzzing of the public entry points: each input must end without error or with a clear message, in 10 s and 1.5 GiB.

    python benchmarks/fuzz_inputs.py --cases 10000 --seed 0

Modules of ``fuzzing/`` make the inputs. Every case runs in a process of its own, forked from one that has imported all
that commands need; the same seed makes the same inputs. What fails is kept, one input for each place.
"""

import argparse
import contextlib
import gc
import importlib
import io
import itertools
import json
import os
import pkgutil
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import fuzzing
from fuzzing.case import Case, Generator

CPU_SECONDS, WALL_SECONDS = 10, 120
MOST_BYTES = int(1.5 * 2**30)
_GUARD_BYTES = 4 * 2**30
_IMPORTS = (
    *("torch", "pandas", "nibabel", "scipy.ndimage", "scipy.sparse.csgraph", "h5py", "matplotlib.figure", "jinja2"),
    *(
        "ruamel.yaml",
        "safetensors.torch",
        "cordlesion.scan.segment",
        "cordlesion.maps.evaluate",
        "cordlesion.study.cohort",
        "cordlesion.maps.tune",
    ),
    *("cordlesion.report.page", "cordlesion.explorer.site", "cordlesion.study.status", "cordlesion.scan.centerline"),
    *(
        "cordlesion.sct.import_network",
        "cordlesion.sct.centerline_network",
        "cordlesion.cli.maps",
        "cordlesion.cli.export",
    ),
    *("cordlesion.cli.model", "cordlesion.study.run", "cordlesion.nnunet.softmax"),
)
_CLEAN, _SENTENCE, _TRACEBACK, _BROKEN_GENERATOR = 0, 2, 70, 71


@dataclass
class Tally:
    """Outcomes of the cases."""

    counts: Counter[str] = field(default_factory=Counter)
    places: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Number of each failure, and its first case, which is kept."""
    seconds: Counter[str] = field(default_factory=Counter)
    """Processor seconds by kind."""
    by_kind: Counter[tuple[str, str]] = field(default_factory=Counter)


_Running = dict[int, tuple[int, str, Path]]
"""Number, kind and folder of the case of each process."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kinds", nargs="*", help="only these kinds")
    parser.add_argument("--only", type=int, help="only the case of this number")
    parser.add_argument("--minutes", type=float, default=60, help="start no case after this time")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    given = parser.parse_args()
    start = time.perf_counter()
    numbers = range(given.cases) if given.only is None else [given.only]
    tally = fuzz(numbers, given.seed, given.jobs, given.keep, given.kinds, given.minutes)
    print(table(tally))
    print(f"{sum(tally.counts.values())} cases, seed {given.seed}, {time.perf_counter() - start:.0f} s")
    sys.exit(1 if tally.places else 0)


def fuzz(
    numbers: range | list[int],
    seed: int,
    jobs: int,
    keep: Path,
    kinds: list[str] | None = None,
    minutes: float = 60,
) -> Tally:
    """Run the cases of the given numbers, several in parallel."""
    _import_all()
    stop = time.monotonic() + 60 * minutes
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        common = Path(place, "common")
        common.mkdir()
        generators = find_generators(common)
        if kinds:
            generators = {name: made for name, made in generators.items() if name in kinds}
        names = sorted(generators)
        running: _Running = {}

        def start(number: int) -> None:
            kind = names[number % len(names)]
            folder = Path(place, f"{number:06d}")
            folder.mkdir()
            process = os.fork()
            if process == 0:
                _work(generators[kind], common, folder, [seed, number])
            running[process] = (number, kind, folder)

        slow: list[int] = []
        for number in itertools.takewhile(lambda _: time.monotonic() < stop, numbers):
            while len(running) >= jobs:
                _collect(running, tally, keep, slow)
            start(number)
        while running:
            _collect(running, tally, keep, slow)
        # Other programs may have slowed them down: what is slow alone as well is a hang.
        for number in slow:
            start(number)
            _collect(running, tally, keep)
    return tally


def find_generators(common: Path) -> dict[str, Generator]:
    """Import every module of ``fuzzing``, let each prepare its valid files, and return the generators by kind."""
    found: dict[str, Generator] = {}
    for module in sorted(pkgutil.iter_modules(fuzzing.__path__), key=lambda module: module.name):
        imported = importlib.import_module(f"fuzzing.{module.name}")
        if hasattr(imported, "GENERATORS"):
            if hasattr(imported, "prepare"):
                with _quiet():
                    imported.prepare(common)
            found |= imported.GENERATORS
    return found


def table(tally: Tally) -> str:
    """Return the outcomes by kind of input and in total, and each failure once."""
    outcomes = ["clean", "sentence", "traceback", "hang", "above 1.5 GiB", "not finite", "broken generator"]
    kinds = sorted({kind for kind, _ in tally.by_kind})
    lines = ["".join([f"{'kind':<22}", *(f"{name:>18}" for name in outcomes)])]
    lines += [f"{kind:<22}" + "".join(f"{tally.by_kind[kind, name]:>18}" for name in outcomes) for kind in kinds]
    lines.append("seconds: " + ", ".join(f"{kind} {seconds:.1f}" for kind, seconds in tally.seconds.most_common()))
    lines.append(f"{'all':<22}" + "".join(f"{tally.counts[name]:>18}" for name in outcomes))
    failures = sorted(tally.places.items(), key=lambda item: -item[1][0])
    return "\n".join([*lines, *(f"{count:>6} x {place}   e.g. {case}" for place, (count, case) in failures)])


def _import_all() -> None:
    for name in _IMPORTS:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()  # memory that is shared with the processes of cases stays shared


def _work(generate: Generator, common: Path, folder: Path, seed: list[int]) -> None:
    """Run one case and exit this process."""
    status = _BROKEN_GENERATOR
    try:
        _redirect(folder.with_suffix(".log"))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
        resource.setrlimit(resource.RLIMIT_DATA, (_GUARD_BYTES, _GUARD_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(WALL_SECONDS)
        warnings.simplefilter("ignore")
        case = generate(np.random.default_rng(seed), common, folder)
        print(json.dumps([case.name[:200], case.function, *case.command]), flush=True)
        status = _run(case)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _run(case: Case) -> int:
    from cordlesion.cli.app import main as command_line
    from cordlesion.errors import CordlesionError

    try:
        if case.function:
            module, name = case.function.split(":")
            getattr(importlib.import_module(module), name)(*map(Path, case.command))
        else:
            command_line(list(case.command))
    except CordlesionError as error:
        print(f"cordlesion: {error}", file=sys.stderr)
        return _SENTENCE
    except SystemExit as ended:
        return _CLEAN if ended.code in (0, None) else _SENTENCE if ended.code == _SENTENCE else _TRACEBACK
    except BaseException:
        traceback.print_exc()
        return _TRACEBACK
    return _CLEAN


def _redirect(log: Path) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(target, stream)


def _collect(running: _Running, tally: Tally, keep: Path, slow: list[int] | None = None) -> None:
    """Wait for one of the processes, classify it, and remove its files, or keep them for a new failure.

    A process that was stopped because it was slow is not counted, but added to ``slow``, where that is given.
    """
    process, status, used = os.wait4(-1, 0)
    number, kind, folder = running.pop(process)
    log = folder.with_suffix(".log")
    text = log.read_text(errors="replace") if log.exists() else ""
    outcome = _judge(status, used.ru_maxrss * 1024, text, folder)
    if outcome == "hang" and slow is not None:
        slow.append(number)
        shutil.rmtree(folder, ignore_errors=True)
        log.unlink(missing_ok=True)
        return
    tally.counts[outcome] += 1
    tally.seconds[kind] += used.ru_utime + used.ru_stime
    tally.by_kind[kind, outcome] += 1
    if outcome not in ("clean", "sentence"):
        place = f"{outcome} ({kind}): {_place(text) if outcome != 'hang' else ''}"
        count, first = tally.places.get(place, (0, f"case {number}: {text.splitlines()[0][:160] if text else ''}"))
        tally.places[place] = count + 1, first
        if count == 0:
            keep.mkdir(parents=True, exist_ok=True)
            kept = keep / f"{kind.replace(' ', '-')}-{number:06d}"
            # Unlike shutil, cp copies named pipes as such.
            subprocess.run(["cp", "--archive", "--no-target-directory", folder, kept], check=False)
            shutil.copy(log, kept.with_suffix(".log"))
    shutil.rmtree(folder, ignore_errors=True)
    log.unlink(missing_ok=True)


def _judge(status: int, most_bytes: int, text: str, folder: Path) -> str:
    ended = os.waitstatus_to_exitcode(status)
    if ended == _BROKEN_GENERATOR:
        return "broken generator"
    if ended in (-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGALRM):
        return "hang"
    if most_bytes > MOST_BYTES or "MemoryError" in text or "bad_alloc" in text:
        return "above 1.5 GiB"
    if ended not in (_CLEAN, _SENTENCE) or re.search(r'File "[^"]+", line \d+', text):
        return "traceback"
    if ended == _SENTENCE and "cordlesion: " not in text and "Error" not in text:
        return "traceback"
    return (
        "clean"
        if ended == _CLEAN and all(map(_is_finite, _maps(folder)))
        else ("sentence" if ended == _SENTENCE else "not finite")
    )


def _maps(folder: Path) -> Iterator[Path]:
    return (folder / "out").rglob("*.nii.gz")


def _is_finite(path: Path) -> bool:
    import nibabel as nib

    return bool(np.isfinite(np.asarray(nib.load(path).dataobj)).all())


def _place(text: str) -> str:
    """Return the last line of our own code in a traceback, and the error."""
    frames = re.findall(r'File "[^"]*/src/(cordlesion/[^"]+)", line (\d+)', text)
    errors = re.findall(r"^\s*([A-Za-z_.]*(?:Error|Exception|Interrupt|Exit)\b.*)$", text, re.MULTILINE)
    where = ":".join(frames[-1]) if frames else "outside of cordlesion"
    return f"{where} {re.sub(r'[0-9]{3,}|/[^ ]*', '#', errors[-1])[:90] if errors else 'killed'}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


if __name__ == "__main__":
    main()
