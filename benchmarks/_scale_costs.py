"""Costs per scan, training and map, fitted to measured studies; and the costs of a study of any size."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from bench_training_step import BATCH, SIZE, make_step
from scipy.optimize import nnls

from cordlesion.config import PatchConfig, PreprocessConfig, StudyConfig
from cordlesion.model.hardware import choose_hardware
from cordlesion.patches.grid import patch_grid
from cordlesion.preprocess.stack_file import read_stack

Study: TypeAlias = Any
"""``Measured`` of scale.py."""
PAPER = (PreprocessConfig(), PatchConfig())
EPOCHS = 300
_TABLES = ("tables of runs", "tables of the study")


def voxels_per_scan(config: StudyConfig, settings: tuple[PreprocessConfig, PatchConfig] | None = None) -> float:
    """Return the mean number of voxels in all patches of a scan, with the settings of the study or others."""
    preprocess, patches = settings or (config.preprocess, config.patches)
    shape = patches.shape(preprocess)
    scale = config.preprocess.spacing_mm / preprocess.spacing_mm
    voxels = []
    for path in sorted((Path(config.output) / "stacks").glob("*.safetensors")):
        length = round(read_stack(path).image.shape[2] * scale)
        grid = patch_grid((preprocess.crop_voxels, preprocess.crop_voxels, length), shape, patches.overlap_fraction)
        voxels.append(len(list(grid)) * np.prod(shape))
    return float(np.mean(voxels))


def fit(studies: Sequence[Study], value: Callable[[Study], float], *units: Callable[[Study], float]) -> list[float]:
    """Return the non-negative cost per unit and the constant: a least-squares fit.

    Each study weighs as much as its value, so that the small sizes are fitted as well as the large ones.
    """
    values = np.array([value(study) for study in studies])
    terms = np.array([[*(unit(study) for unit in units), 1.0] for study in studies])
    weights = 1 / np.maximum(values, 1e-9)
    costs, _ = nnls(terms * weights[:, np.newaxis], values * weights)
    return [float(cost) for cost in costs]


def training_step_seconds(steps: int = 4) -> float:
    """Return the fastest of some training steps of 8 patches at the settings of the paper: the least disturbed one."""
    hardware = choose_hardware()
    step = make_step(hardware.device, hardware.half_precision, channels_last=True)
    seconds = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def scans_of(study: Study) -> float:
    """Return the number of scans."""
    return float(study.scans)


def runs_of(study: Study) -> float:
    """Return the number of runs."""
    return float(study.runs)


def maps_of(study: Study) -> float:
    """Return the number of probability maps: a map per predicted scan and run."""
    return float(study.runs * study.measured_scans)


def seconds(*stages: str) -> Callable[[Study], float]:
    """Return a function that sums the seconds of a study over some stages."""
    return lambda study: sum(study.stages[stage]["seconds"] for stage in stages)


def mib(stage: str) -> Callable[[Study], float]:
    """Return a function for the peak memory of the process of a stage."""
    return lambda study: float(study.stages[stage]["mib"])


class Costs:
    """Costs of units, from studies of growing cohorts and studies of growing numbers of runs."""

    def __init__(self, of_scans: Sequence[Study], of_runs: Sequence[Study], step_s: float) -> None:
        """Fit them.

        Args:
            of_scans: Studies of one run and growing cohorts.
            of_runs: Studies of growing numbers of runs.
            step_s: Seconds of a training step, 8 patches at the paper's settings.
        """
        self.step_s = step_s
        last = of_scans[-1]
        self.measured_share = last.measured_scans / last.scans
        self.learning_share = last.learning_scans / last.scans
        self.paper_ratio = last.paper_voxels / last.voxels
        self.steps_per_scan = last.paper_voxels / (BATCH * SIZE**3)
        self.scan_s = fit(of_scans, seconds("open", "preprocess"), scans_of)
        self.epoch_s = fit(of_scans, seconds("train"), lambda study: study.learning_scans)
        self.map_s = fit(of_scans, seconds("tune", "evaluate", "analyze"), maps_of)
        self.again_s = fit(of_scans, lambda study: study.stages["again"]["all"], scans_of)
        self.tables_s = {
            stage: fit(of_runs, seconds(stage), maps_of, runs_of)
            for stage in ("tune", "evaluate", "analyze", "report", "view")
        }
        self.again_runs_s = fit(of_runs, lambda study: study.stages["tune"]["all"], maps_of, runs_of)
        # Runs are processed one after the other; only `view` keeps the scores of all. The report: scale_report.py.
        self.stage_mib = {
            stage: fit(of_scans, mib(stage), scans_of) for stage in ("train", "tune", "evaluate", "analyze")
        }
        self.view_mib = fit(of_runs, mib("view"), maps_of)
        self.bytes = self._disk(of_scans[-1], of_runs[-1])

    def _disk(self, scans: Study, runs: Study) -> dict[str, float]:
        """Return bytes per scan (stacks), run (models), map (maps, masks, ...) and, for tables, per map."""
        per = {"stacks": scans.scans, "models": runs.runs}
        per |= dict.fromkeys(("maps", "masks", "sidecars", *_TABLES), maps_of(runs))
        found = {
            kind: (scans if kind == "stacks" else runs).disk[kind]["bytes"] / number for kind, number in per.items()
        }
        markers = runs.disk["done-markers"]
        return {**found, "marker": markers["bytes"] / markers["files"]}

    def files(self, scans: int, runs: int) -> dict[str, float]:
        """Return the number of files of a study by their unit."""
        maps = scans * self.measured_share * runs
        return {"scans": 3 * scans, "runs": 14 * runs, "maps": 5 * maps}

    def disk(self, scans: int, runs: int, paper: bool = True) -> dict[str, float]:
        """Return the bytes of a study by kind; optionally with stacks as in the paper."""
        maps = scans * self.measured_share * runs
        stack = self.bytes["stacks"] * (_stack_ratio() if paper else 1)
        return {
            "stacks": stack * scans,
            "models": self.bytes["models"] * runs,
            "maps and masks": (self.bytes["maps"] + self.bytes["masks"]) * maps,
            "sidecars and markers": (self.bytes["sidecars"] + self.bytes["marker"]) * maps,
            "tables": sum(self.bytes[kind] for kind in _TABLES) * maps,
        }

    def hours(self, scans: int, runs: int) -> dict[str, float]:
        """Return the hours of a study with the settings of the paper, one run after the other on one such machine."""
        maps = scans * self.measured_share * runs
        train = self.step_s * self.steps_per_scan * scans * self.learning_share * EPOCHS * runs
        return {
            "scans": self.scan_s[0] * scans / 3600,
            "training": train / 3600,
            "maps": self.map_s[0] * self.paper_ratio * maps / 3600,
            "tables": sum(self._tables(stage, maps, runs) for stage in ("tune", "evaluate", "analyze")) / 3600,
            "report": self._tables("report", maps, runs) / 3600,
            "again": (self.again_s[0] * scans + _apply(self.again_runs_s, maps, runs)) / 3600,
        }

    def memory_mib(self, scans: int, runs: int) -> dict[str, float]:
        """Return the peak memory by stage."""
        found = {stage: _apply(costs, scans) for stage, costs in self.stage_mib.items()}
        return {**found, "view": _apply(self.view_mib, scans * self.measured_share * runs)}

    def _tables(self, stage: str, maps: float, runs: int) -> float:
        return _apply(self.tables_s[stage], maps, runs)


def _apply(costs: Sequence[float], *numbers: float) -> float:
    return sum(cost * number for cost, number in zip(costs, (*numbers, 1.0), strict=True))


def _stack_ratio() -> float:
    """Return the ratio of voxels in stacks of the paper to stacks of the demo."""
    return (48 / 20) ** 2 * 0.75 / 0.5
