"""Seconds and peak memory of the stages of a study, each in a separate process; number of files by kind."""

import importlib
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cordlesion.config import StudyConfig, study_yaml
from cordlesion.study_folder.stages import STAGES as TABLE

STAGES = {"open" if stage.name == "split" else stage.name: stage for stage in TABLE}
"""What is timed, by its name in the results."""
_IMPORTED_LATE = ("cordlesion.training", "cordlesion.prediction", "cordlesion.model.bundle")
_KINDS = (
    ("_probseg.nii.gz", "maps"),
    ("_mask.nii.gz", "masks"),
    ("_probseg.json", "sidecars"),
    ("_mask.json", "sidecars"),
)


def measure_stages(config: StudyConfig, stages: tuple[str, ...] = tuple(STAGES)) -> dict[str, dict[str, float]]:
    """Run a study up to and including each of some stages, each in a new process.

    Returns:
        By stage: its own ``seconds``, those of ``all`` that the process did, and the process's peak memory in ``mib``.
    """
    file = Path(config.output).with_suffix(".yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(study_yaml(config), encoding="utf-8")
    return {stage: _in_process("stage", stage, file) for stage in stages}


def measure_status(study: Path) -> dict[str, float]:
    """Time `study status`."""
    return _in_process("status", "", study)


def measure_view(study: Path) -> dict[str, float]:
    """Time the start of `view`, before it can show a scan."""
    return _in_process("view", "", study)


def disk_by_kind(folder: Path) -> dict[str, dict[str, int]]:
    """Return number and bytes of the files of a study by kind; a file needs at least one disk block."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: {"files": 0, "bytes": 0})
    for path in folder.rglob("*"):
        if path.is_file():
            kind = found[_kind(path.relative_to(folder))]
            kind["files"] += 1
            kind["bytes"] += path.stat().st_blocks * 512
    return dict(found)


def _kind(path: Path) -> str:
    for ending, kind in _KINDS:
        if path.name.endswith(ending):
            return kind
    if path.parts[0] == "runs":
        return "tables of runs" if path.suffix == ".tsv" else "models"
    named = {"stacks": "stacks", ".done": "done-markers", "gallery": "report", "figures": "report", "tables": "report"}
    if path.parts[0] in named:
        return named[path.parts[0]]
    return "report" if path.name == "report.html" else "tables of the study"


def _in_process(kind: str, stage: str, place: Path) -> dict[str, float]:
    command = [sys.executable, __file__, kind, stage, str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _timed(function: Callable[..., Any], spent: dict[str, float], name: str) -> Callable[..., Any]:
    def run(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - arguments and result of the stage
        start = time.perf_counter()
        result = function(*arguments, **named)
        spent[name] = time.perf_counter() - start
        return result

    return run


def _run_stage(stage: str, file: Path) -> Mapping[str, float]:
    from cordlesion.config import read_study
    from cordlesion.study import run as study

    spent: dict[str, float] = {}
    # Imports take constant seconds, which would hide what depends on the size.
    for module in (*_IMPORTED_LATE, *(("cordlesion.report.html",) if stage == "report" else ())):
        importlib.import_module(module)
    load = study.load_stage
    study.load_stage = lambda row: _timed(load(row), spent, row.name)  # type: ignore[attr-defined]
    start = time.perf_counter()
    study.run_study(read_study(file), until=STAGES[stage].name)
    return {"seconds": spent[STAGES[stage].name], "all": time.perf_counter() - start}


def _show_status(study: Path) -> Mapping[str, float]:
    from cordlesion.study.status import study_status

    start = time.perf_counter()
    study_status(study)
    return {"seconds": time.perf_counter() - start}


def _show_view(study: Path) -> Mapping[str, float]:
    from cordlesion.explorer.site import Site

    start = time.perf_counter()
    size = len(Site(study).read("data/study.js") or b"")
    return {"seconds": time.perf_counter() - start, "bytes": size}


def _peak_mib() -> float:
    """Return the peak memory of this program; the value of getrusage would include that of the parent process."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _main(kind: str, stage: str, place: Path) -> None:
    measured = {"stage": lambda: _run_stage(stage, place), "status": lambda: _show_status(place)}
    measured["view"] = lambda: _show_view(place)
    result = measured[kind]()
    print(json.dumps({**result, "mib": _peak_mib()}))


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
