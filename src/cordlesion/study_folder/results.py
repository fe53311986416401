"""What a finished study left on disk, read once and checked; every table and figure starts here."""

import itertools
import weakref
from collections import Counter
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cordlesion.config import SetName, StudyConfig, maps_name, method_name, read_study
from cordlesion.dataset.acquisition import Acquisition
from cordlesion.errors import CordlesionError
from cordlesion.pictures.style import loss_name
from cordlesion.study_folder.checked_tables import read_checked, required
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.manifest import read_manifest
from cordlesion.study_folder.pooling import pool_folds
from cordlesion.study_folder.primary import Primary, read_primary
from cordlesion.study_folder.stages import run_stage
from cordlesion.study_folder.tables import TABLES
from cordlesion.threshold import parse_objective

DEFAULT_THRESHOLD = 0.5
REPORTED_SETS: tuple[SetName, ...] = ("threshold", "test")

# By the identity of a table, for as long as it lives; tables are never changed in place once they are read.
_ROWS: dict[int, dict[tuple[str, int | None], npt.NDArray[np.intp]]] = {}
_ACQUISITION = tuple(field.name for field in fields(Acquisition))


@dataclass(frozen=True)
class Run:
    """One training (loss and seed), or a comparator, which has no seed."""

    loss: str
    seed: int | None
    fold: int | None = None
    """Of a single training; results are those of all folds together."""

    @property
    def name(self) -> str:
        """Its name in the study folder."""
        return method_name(self.loss, self.seed, self.fold)

    @property
    def maps_name(self) -> str:
        """Name under which its probability maps lie: those of a comparator are the same in every fold."""
        return maps_name(self.loss, self.seed, self.fold)


@dataclass(frozen=True)
class StudyResults:
    """Everything the report shows."""

    folder: StudyFolder
    name: str
    configuration: str
    """``study.yaml`` as it is."""
    manifest: dict[str, Any]
    splits: pd.DataFrame
    sweep: pd.DataFrame
    thresholds: pd.DataFrame
    """A row per run: of its folds together, where there are several."""
    written_thresholds: pd.DataFrame
    """As they were chosen: a row per run and fold."""
    evaluation: pd.DataFrame
    histories: dict[Run, pd.DataFrame]
    """Learning curves, those of each fold apart; comparators have none."""
    rules: pd.DataFrame
    """Lesion scores of the test scans under every lesion rule, tuned thresholds; like the following, of runs only."""
    strata: pd.DataFrame
    """Lesions found in the test scans, by size."""
    froc: pd.DataFrame
    calibration: pd.DataFrame
    reliability: pd.DataFrame

    @cached_property
    def config(self) -> StudyConfig:
        """The configuration, checked."""
        return read_study(self.folder.configuration)

    @cached_property
    def primary(self) -> Primary | None:
        """The comparison that the study declares as its primary one; None where all are exploratory."""
        return read_primary(self.config, self.manifest)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Runs and comparators in the order of the evaluation, those of one loss together."""
        found = _runs(self.evaluation)
        losses = list(dict.fromkeys(run.loss for run in found))
        return tuple(sorted(found, key=lambda run: losses.index(run.loss)))

    @cached_property
    def tuned(self) -> dict[Run, float]:
        """The tuned threshold of each run that has one."""
        return dict(zip(_runs(self.thresholds), self.thresholds["threshold"].astype(float).tolist(), strict=True))

    @cached_property
    def unlearned(self) -> tuple[Run, ...]:
        """Runs that learned nothing: in a fold or in the whole, no threshold scored above t = 0 (every voxel lesion).

        They are shown, but take no part in any ranking, test or recommendation.
        """
        return _runs(self.written_thresholds[~_has_learned(self.written_thresholds)])

    @cached_property
    def ranked(self) -> tuple[Run, ...]:
        """Runs that learned by their score on the threshold set, highest first; the first one listed among equals."""
        return tuple(run for run in self._by_score if run not in self.unlearned)

    @property
    def best(self) -> Run:
        """The run that is recommended: the one with the highest score on the threshold set among those that learned.

        Where none did, the highest of all: it is shown as an example, and nothing is recommended.
        """
        return (self.ranked or self._by_score)[0]

    @cached_property
    def _by_score(self) -> tuple[Run, ...]:
        return _runs(self.thresholds.sort_values("score", ascending=False, kind="stable"))

    @property
    def objective(self) -> str:
        """What the thresholds were chosen by, as printed."""
        return parse_objective(str(self.thresholds["objective"].iloc[0])).title

    def label(self, run: Run) -> str:
        """Return the printed name of a run; the seed is told only where a loss has several."""
        several = self._n_seeds[run.loss] > 1
        return f"{loss_name(run.loss)}, seed {run.seed}" if several else loss_name(run.loss)

    @cached_property
    def _n_seeds(self) -> Counter[str]:
        return Counter(run.loss for run in self.runs)

    def evaluated(self, run: Run, set_name: SetName, threshold: float | None) -> pd.DataFrame:
        """Return the evaluation of a run's scans in one set at a threshold, indexed by scan.

        ``n_false_lesions`` is added: predicted lesions that the reference does not confirm.
        A comparator that comes as masks has no threshold (n/a): its rows stand for every threshold.
        """
        rows = of_run(self.evaluation, run)
        rows = rows[rows["set"] == set_name]
        given = rows["threshold"].to_numpy(float)
        wanted = np.isnan(given) if threshold is None else np.isnan(given) | np.isclose(given, threshold, atol=1e-6)
        chosen: pd.DataFrame = rows[wanted].set_index("scan_id")
        return chosen.assign(n_false_lesions=false_lesions(chosen))

    def chosen(self, run: Run) -> dict[int | None, float]:
        """Return the tuned thresholds of a run as they were chosen: one of each fold, or the one that there is."""
        rows = of_run(self.written_thresholds, run)
        folds = [int(fold) for fold in rows["fold"]] if "fold" in rows else [None]
        return dict(zip(folds, rows["threshold"].astype(float).tolist(), strict=True))

    def threshold_text(self, run: Run) -> str:
        """Print the tuned threshold of a run, or those of its folds, equal ones once."""
        return ", ".join(dict.fromkeys(f"{t:.2f}" for t in self.chosen(run).values()))

    def tested_by(self, run: Run, scan_id: str) -> tuple[Run, pd.Series]:
        """Return the training that tested a scan, which is one fold's, and the row of its threshold."""
        if "fold" not in self.written_thresholds:
            return run, of_run(self.written_thresholds, run).iloc[0]
        fold = int(self.evaluated(run, "test", self.tuned[run])["fold"][scan_id])
        return replace(run, fold=fold), of_run(self.written_thresholds, run, fold=fold).iloc[0]


def read_results(folder: Path) -> StudyResults:
    """Read the artifacts of a finished study.

    Raises:
        CordlesionError: The folder is no study, a stage has not run yet, or a table lacks columns or rows.
    """
    if not folder.is_dir():
        raise CordlesionError(f"{folder}: no such folder; a study folder is needed. Run `cordlesion study run` first.")
    study = StudyFolder(folder)
    tables = {name: read_checked(study.table(name)) for name in TABLES}
    written = tables["thresholds"]
    pooled = pool_folds({**tables, "splits": _with_acquisition(tables["splits"], study.splits)})
    config = read_study(required(study.configuration))
    results = StudyResults(
        folder=study,
        name=config.title,
        configuration=study.configuration.read_text(encoding="utf-8"),
        manifest=read_manifest(required(study.manifest), config.dataset),
        written_thresholds=written,
        histories={run: read_checked(study.run(run.name) / "history.tsv") for run in _trainings(written)},
        **pooled,
    )
    _require_complete(results)
    return results


def learned_runs(results: StudyResults) -> tuple[Run, ...]:
    """Return the runs and comparators that rankings, tests and verdicts are about, in the order of the evaluation.

    All but those that learned nothing. Masks of a comparator, which have no threshold, take part as they are.
    """
    return tuple(run for run in results.runs if run not in results.unlearned)


def rows_of_learned(results: StudyResults, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the runs that learned, of a table with the columns ``loss`` and ``seed``."""
    without = {(run.loss, run.seed) for run in results.unlearned}
    named = zip(table["loss"], table["seed"], strict=True)
    return table[[(str(loss), None if pd.isna(seed) else int(seed)) not in without for loss, seed in named]]


def learned_methods(results: StudyResults) -> list[str]:
    """Return the losses and comparators of which any run learned, in the order of the evaluation."""
    return list(dict.fromkeys(run.loss for run in learned_runs(results)))


def of_run(table: pd.DataFrame, run: Run, **where: object) -> pd.DataFrame:
    """Return the rows of one run, and of those the ones in which each named column has the given value."""
    rows = table.iloc[_rows_by_run(table).get((run.loss, run.seed), [])]
    chosen = np.ones(len(rows), bool)
    for column, value in where.items():
        chosen &= (rows[column] == value).to_numpy(bool)
    return rows[chosen]


def lesion_bearing(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the scans whose voxel metrics are defined: those with any lesion voxel in the reference."""
    return rows[rows["reference_volume_mm3"] > 0]


def lesion_free(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the scans without any lesion voxel in the reference."""
    return rows[rows["reference_volume_mm3"] == 0]


def false_lesions(rows: pd.DataFrame) -> "pd.Series[Any]":
    """Return how many predicted lesions of each scan the reference does not confirm."""
    return rows["n_predicted_lesions"] - rows["n_true_predicted_lesions"]


def _runs(table: pd.DataFrame) -> tuple[Run, ...]:
    pairs = table[["loss", "seed"]].drop_duplicates().itertuples(index=False)
    return tuple(Run(str(loss), None if pd.isna(seed) else int(seed)) for loss, seed in pairs)


def _rows_by_run(table: pd.DataFrame) -> dict[tuple[str, int | None], npt.NDArray[np.intp]]:
    """Return where the rows of each run are, looked up once per table: of many runs, each is asked for many times."""
    if id(table) not in _ROWS:
        numbers = table.groupby(["loss", "seed"], sort=False, dropna=False).ngroup().to_numpy()
        order = np.argsort(numbers, kind="stable")
        rows = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else []
        owners = table[["loss", "seed"]].iloc[[int(some[0]) for some in rows]].itertuples(index=False)
        named = [(str(loss), None if pd.isna(seed) else int(seed)) for loss, seed in owners]
        _ROWS[id(table)] = dict(zip(named, rows, strict=True))
        # Two threads may get here for one table: then the second finds its rows removed.
        weakref.finalize(table, _ROWS.pop, id(table), None)
    return _ROWS[id(table)]


def _has_learned(thresholds: pd.DataFrame) -> "pd.Series[bool]":
    if "learned" in thresholds:
        return thresholds["learned"].astype(bool)
    # A table from before there was this column: of such maps t = 0 was chosen, or no threshold scored at all.
    return (thresholds["threshold"] > 0) & (thresholds["score"] > 0)


def _trainings(thresholds: pd.DataFrame) -> list[Run]:
    trained = thresholds[thresholds["seed"].notna()]
    if "fold" not in trained:
        return list(_runs(trained))
    named = trained[["loss", "seed", "fold"]].itertuples(index=False)
    return [Run(str(loss), int(seed), int(fold)) for loss, seed, fold in named]


def _require_complete(results: StudyResults) -> None:
    """Check that every run was evaluated on scans with lesions, in both sets, at both thresholds."""
    wanted = itertools.product(results.runs, REPORTED_SETS, (False, True))
    in_set = {name: set(rows["scan_id"]) for name, rows in results.evaluation.groupby("set")}
    split = set(zip(results.splits["set"], results.splits["scan_id"], strict=True))
    if unknown := sorted({(str(name), scan) for name, scans in in_set.items() for scan in scans} - split):
        raise CordlesionError(
            f"{results.folder.evaluation}: has the scan {unknown[0][1]} in the set {unknown[0][0]}, which "
            f"{results.folder.splits} does not have there; tables of one study are needed. {run_stage('evaluate')}"
        )
    for run, set_name, tuned in wanted:
        threshold = results.tuned.get(run) if tuned else DEFAULT_THRESHOLD
        rows = results.evaluated(run, set_name, threshold)
        if missing := sorted(in_set.get(set_name, set()) - set(rows.index)):
            raise CordlesionError(
                f"{results.folder.evaluation}: lacks {missing[0]} of the set {set_name} for {run.name} at "
                f"{'its tuned threshold' if tuned else 't = 0.5'}; every method is needed on the same scans. "
                f"{run_stage('evaluate')}"
            )
        if lesion_bearing(rows).empty:
            raise CordlesionError(
                f"{results.folder.evaluation}: has no scan with lesions of the set {set_name} for {run.name} at "
                f"{'its tuned threshold' if tuned else 't = 0.5'}; the report needs some. {run_stage('evaluate')}"
            )


def _with_acquisition(splits: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Complete what splits.tsv says of the acquisition: a split of other origin need not say it."""
    facts = splits.reindex(columns=list(_ACQUISITION))
    words = {
        name: facts[name].astype(object).fillna("").astype(str) for name in _ACQUISITION if name != "slice_spacing_mm"
    }
    try:
        spacing = pd.to_numeric(facts["slice_spacing_mm"]).astype(float)
    except ValueError as error:
        raise CordlesionError(
            f"{path}: the column slice_spacing_mm holds text; millimetres or n/a are needed. Mend the table."
        ) from error
    return splits.assign(**words, slice_spacing_mm=spacing)
