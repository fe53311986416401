"""The contents of a finished study for the explorer: scans, models and thresholds."""

import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from cordlesion.config import PostprocessConfig, SetName, StudyConfig, read_study
from cordlesion.pictures.style import SET_NAMES
from cordlesion.report.pipeline import describe_rule
from cordlesion.study_folder.results import REPORTED_SETS, StudyResults
from cordlesion.study_folder.run_rows import LargeTable
from cordlesion.study_folder.runs import Run, of_run
from cordlesion.threshold import VOLUME

STEP = 0.01
"""Step of the threshold slider."""

# Thresholds from tables may differ from computed ones in the last digits.
_DIGITS = 9

Kind = Literal["tuned", "published", "mask"]


@dataclass(frozen=True)
class Model:
    """A run or comparator that the page can show."""

    run: Run
    kind: Kind
    """``tuned``: tuned in this study; ``published``: with a published threshold; ``mask``: masks without threshold."""


@dataclass(frozen=True)
class ShownScan:
    """A scan of the test set or the threshold set."""

    scan_id: str
    set_name: SetName


@dataclass(frozen=True)
class Application:
    """How a model is applied to one scan."""

    training: Run
    """With folds, the training without this scan."""
    threshold: float | None
    """None for a mask."""
    removal: PostprocessConfig


@dataclass(frozen=True, eq=False)
class Catalog:
    """The contents of a finished study."""

    results: StudyResults
    absolute_paths: bool = False
    """Whether commands on the page name files by absolute paths: on the machine of the study. An exported page, which
    can be copied, names them from the folder of the study."""

    @cached_property
    def config(self) -> StudyConfig:
        """The configuration of the study."""
        return read_study(self.results.folder.configuration)

    @cached_property
    def models(self) -> tuple[Model, ...]:
        """Models in the order of the page: by rank on the threshold set; those without a tuned threshold are last."""
        untuned = tuple(run for run in self.results.runs if run not in self.results.tuned)
        tuned = (*self.results.ranked, *self.results.unlearned)
        return tuple(Model(run, self._kind(run)) for run in (*tuned, *untuned))

    @cached_property
    def scans(self) -> tuple[ShownScan, ...]:
        """Scans of the test set, then those of the threshold set."""
        pairs = [(name, set_name) for set_name in ("test", "threshold") for name in self._names(set_name)]
        return tuple(ShownScan(name, _SETS[set_name]) for name, set_name in pairs)

    @cached_property
    def thresholds(self) -> tuple[float, ...]:
        """Increasing thresholds of the slider: every 0.01, and all others of the study."""
        fine = np.arange(0, 1 + STEP / 2, STEP).tolist()
        published = [one.threshold for one in self.config.comparators if one.threshold is not None]
        every = [*fine, *self.results.grid.tolist(), *published]
        return tuple(sorted({round(threshold, _DIGITS) for threshold in every}))

    def level(self, threshold: float) -> int:
        """Return the index of a threshold of the study on the slider."""
        return self.thresholds.index(round(threshold, _DIGITS))

    def apply(self, model: Model, scan: ShownScan) -> Application:
        """Return how a model is applied to a scan: training, threshold and post-processing."""
        training = replace(model.run, fold=self._fold(model.run, scan))
        if model.kind != "tuned":
            # Masks of comparators are not post-processed.
            return Application(training, self._published(model.run), PostprocessConfig())
        where = {} if training.fold is None else {"fold": training.fold}
        chosen = of_run(self.results.written_thresholds, model.run, **where).iloc[0]
        removal = self.config.postprocess
        if VOLUME in chosen:
            removal = removal.model_copy(update={VOLUME: float(chosen[VOLUME])})
        return Application(training, float(chosen["threshold"]), removal)

    def own_level(self, model: Model, scan: ShownScan) -> int:
        """Return the index of a model's own threshold on the slider; for a mask that of 1, which its voxels reach."""
        if model.kind == "tuned":
            return self.level(self._chosen[model.run][self._fold(model.run, scan)])
        published = self._published(model.run)
        return self.level(1.0 if published is None else published)

    def rows(self, model: Model, only: Collection[str] | None, set_name: str, **where: str) -> pd.DataFrame:
        """Return the rows of a model in a table of the study: one per scan and threshold; for a mask, one per scan."""
        table: LargeTable = "sweep" if model.kind == "tuned" else "evaluation"
        return self.results.rows(table, model.run, only, set=set_name, **where)

    def written_rows(self, model: Model, scan: ShownScan) -> pd.DataFrame:
        """Return the rows of a model and a scan: one per threshold, or one for a mask."""
        return self.rows(model, None, scan.set_name, scan_id=scan.scan_id)

    def describe(self) -> dict[str, Any]:
        """Return all data that the page needs before it shows the first scan."""
        return {
            "id": self._identity,
            "title": self.results.name,
            "version": self.results.manifest.get("cordlesion", ""),
            "objective": self.results.objective,
            "rule": describe_rule(self.config.evaluation.rule),
            "paths": "absolute" if self.absolute_paths else "study",
            "thresholds": list(self.thresholds),
            "models": [{"name": m.run.name, "label": self.results.label(m.run), "kind": m.kind} for m in self.models],
            "scans": [self._describe_scan(scan) for scan in self.scans],
        }

    def path_text(self, path: Path) -> str:
        """Return a path as commands on the page name it."""
        return str(path.absolute()) if self.absolute_paths else os.path.relpath(path, self.results.folder.root)

    @property
    def _identity(self) -> str:
        """What distinguishes this study from others in one browser: its title and its scans."""
        names = [self.results.name, *(f"{scan.set_name}/{scan.scan_id}" for scan in self.scans)]
        return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]

    def _describe_scan(self, scan: ShownScan) -> dict[str, Any]:
        splits = self.results.splits
        facts = splits[(splits["scan_id"] == scan.scan_id) & (splits["set"] == scan.set_name)].iloc[0]
        return {
            "name": scan.scan_id,
            "set": SET_NAMES[scan.set_name],
            "subject": facts["subject"],
            "session": facts["session"],
            "site": facts["site"],
            "volume_mm3": float(facts["reference_volume_mm3"]),
        }

    @cached_property
    def _chosen(self) -> dict[Run, dict[int | None, float]]:
        return {run: self.results.chosen(run) for run in self.results.tuned}

    @cached_property
    def _folds(self) -> dict[tuple[Run, str], dict[str, int]]:
        """The fold that each scan was tested by, by run and set."""
        return {(run, name): self._folds_of(run, name) for run in self.results.runs for name in REPORTED_SETS}

    def _folds_of(self, run: Run, set_name: SetName) -> dict[str, int]:
        only = ["scan_id", "threshold", "fold"]
        folds = self.results.evaluated(run, set_name, self.results.tuned.get(run), only)["fold"].astype(int)
        return {str(name): int(fold) for name, fold in folds.items()}

    def _kind(self, run: Run) -> Kind:
        if run in self.results.tuned:
            return "tuned"
        return "mask" if self._published(run) is None else "published"

    def _published(self, run: Run) -> float | None:
        return next((one.threshold for one in self.config.comparators if one.name == run.loss), None)

    def _fold(self, run: Run, scan: ShownScan) -> int | None:
        if not self._has_folds:
            return None
        return self._folds[run, scan.set_name][scan.scan_id]

    @property
    def _has_folds(self) -> bool:
        return "fold" in self.results.written_thresholds

    def _names(self, set_name: str) -> list[str]:
        # Every method has the same scans.
        rows = self.results.rows("evaluation", self.results.runs[0], ["scan_id"], set=set_name)
        return sorted(rows["scan_id"].unique())


_SETS: dict[str, SetName] = {name: name for name in REPORTED_SETS}
