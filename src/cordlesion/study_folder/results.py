"""What a finished study left on disk, read once and checked; every table and figure starts here."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cordlesion.config import EnsembleConfig, SetName, StudyConfig, maps_name, read_study
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray
from cordlesion.io.html import html_rows
from cordlesion.pictures.style import loss_name
from cordlesion.study_folder import checked_tables as checked
from cordlesion.study_folder.completeness import require_complete
from cordlesion.study_folder.ensembles import ensembles_among
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.large_tables import LargeTables, TableField
from cordlesion.study_folder.manifest import read_manifest
from cordlesion.study_folder.pooling import pool_folds
from cordlesion.study_folder.primary import Primary, read_primary
from cordlesion.study_folder.recommendation import equivalent_methods, rank_runs, simplest
from cordlesion.study_folder.run_rows import LARGE_TABLES, read_run_rows
from cordlesion.study_folder.runs import DEFAULT_THRESHOLD as DEFAULT_THRESHOLD
from cordlesion.study_folder.runs import REPORTED_SETS as REPORTED_SETS
from cordlesion.study_folder.runs import (
    Run,
    false_lesions,
    has_learned,
    list_runs,
    list_trainings,
    of_run,
)
from cordlesion.study_folder.small_tables import SmallTables
from cordlesion.study_folder.tables import TABLES
from cordlesion.threshold import Objective, printed_objective, study_goal

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class StudyResults(LargeTables, SmallTables):
    """Everything the report shows.

    Examples:
        >>> import cordlesion
        >>> results = cordlesion.read_results("finished_study")
        >>> scans = results.evaluated(results.best, "test", results.tuned[results.best])
        >>> len(scans), bool(scans["voxel_f1"].median() > 0.4)
        (15, True)
    """

    folder: StudyFolder
    name: str
    configuration: str
    """``study.yaml`` as it is."""
    manifest: dict[str, Any]
    splits: pd.DataFrame
    sweep: TableField = TableField()  # noqa: RUF009 - a descriptor
    """With ``evaluation``, ``rules`` and ``strata``, a table with rows for every scan and run, which is read as a whole
    each time that it is large and asked for: :meth:`rows` and :meth:`evaluated` give what concerns one run."""
    thresholds: pd.DataFrame
    """A row per run: of its folds together, where there are several."""
    written_thresholds: pd.DataFrame
    """As they were chosen: a row per run and fold."""
    evaluation: TableField = TableField()  # noqa: RUF009 - a descriptor
    histories: dict[Run, pd.DataFrame]
    """Learning curves, those of each fold apart; comparators have none."""
    rules: TableField = TableField()  # noqa: RUF009 - a descriptor
    """Lesion scores of the test scans under every lesion rule, tuned thresholds; like the following, of runs only."""
    strata: TableField = TableField()  # noqa: RUF009 - a descriptor
    """Lesions found in the test scans, by size."""

    def plot(self, figure: str = "thresholds") -> "Figure":
        """Draw one of the figures of the report: :func:`cordlesion.plot_study`."""
        import cordlesion

        return cordlesion.plot_study(self, figure)

    def __repr__(self) -> str:
        return (
            f"StudyResults({self.name!r}, {self.splits['scan_id'].nunique()} scans, folder={str(self.folder.root)!r})"
        )

    def _repr_html_(self) -> str:
        recommended = self.label(self.best) if self.ranked else "none: no method learned anything"
        rows = {
            "folder": self.folder.root,
            "scans": self.splits["scan_id"].nunique(),
            "methods": ", ".join(self.label(run) for run in self.runs),
            "recommended": recommended,
        }
        if self.ranked:
            rows["its threshold"] = self.threshold_text(self.best)
        return html_rows(self.name, rows)

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
        found = self.runs_in("evaluation")
        losses = list(dict.fromkeys(run.loss for run in found))
        return tuple(sorted(found, key=lambda run: losses.index(run.loss)))

    @cached_property
    def tuned(self) -> dict[Run, float]:
        """The tuned threshold of each run that has one."""
        return dict(zip(list_runs(self.thresholds), self.thresholds["threshold"].astype(float).tolist(), strict=True))

    @cached_property
    def unlearned(self) -> tuple[Run, ...]:
        """Runs that learned nothing: in a fold or in the whole, no threshold scored above t = 0 (every voxel lesion).

        They are shown, but take no part in any ranking, test or recommendation.
        """
        return list_runs(self.written_thresholds[~has_learned(self.written_thresholds)])

    @cached_property
    def ranked(self) -> tuple[Run, ...]:
        """Runs that learned, as they compete on the threshold set (:func:`rank_runs`), the best first."""
        return rank_runs(self.thresholds, left_out=self.unlearned)

    @cached_property
    def leader(self) -> Run:
        """The run that was chosen on the threshold set: the first of :attr:`ranked`; where none learned, of all."""
        return (self.ranked or rank_runs(self.thresholds))[0]

    @cached_property
    def equivalent(self) -> tuple[str, ...]:
        """Losses and other methods that the test set shows to be as good as the leader's, within the margin."""
        return equivalent_methods(self) if self.ranked else ()

    @cached_property
    def best(self) -> Run:
        """The run that is recommended: the leader, or the best run of a simpler loss that is as good.

        Where no run learned anything, it is shown as an example, and nothing is recommended.
        """
        loss = simplest((self.leader.loss, *self.equivalent), self.config)
        return next((run for run in self.ranked if run.loss == loss), self.leader)

    @property
    def goal(self) -> Objective:
        """What the thresholds were chosen by; the code of a user's own objective is run."""
        return study_goal(self._as_chosen)

    @property
    def objective(self) -> str:
        """What the thresholds were chosen by, as printed."""
        return printed_objective(self._as_chosen)

    @property
    def _as_chosen(self) -> StudyConfig:
        """The configuration with the objective that the table of thresholds records."""
        objective = str(self.thresholds["objective"].iloc[0])
        threshold = self.config.threshold.model_copy(update={"objective": objective})
        return self.config.model_copy(update={"threshold": threshold})

    @cached_property
    def ensembles(self) -> dict[str, EnsembleConfig]:
        """The ensembles that were evaluated, by the name that stands in place of a loss."""
        return ensembles_among(self.config, self.runs)

    def maps_name(self, run: Run) -> str:
        """Return the name under which probability maps lie: those of a comparator are the same in every fold."""
        return run.name if run.loss in self.ensembles else maps_name(run.loss, run.seed, run.fold)

    def label(self, run: Run) -> str:
        """Return the printed name of a run; with the seed only where a loss has several."""
        several = self._n_seeds[run.loss] > 1
        return f"{loss_name(run.loss)}, seed {run.seed}" if several else loss_name(run.loss)

    @cached_property
    def _n_seeds(self) -> Counter[str]:
        return Counter(run.loss for run in self.runs)

    @cached_property
    def grid(self) -> FloatArray:
        """All thresholds that were tried, increasing."""
        tried = [self.rows("sweep", run, ["threshold"])["threshold"].dropna().unique() for run in self.tuned]
        return np.unique(np.concatenate(tried))

    def evaluated(
        self, run: Run, set_name: SetName, threshold: float | None, only: Collection[str] | None = None
    ) -> pd.DataFrame:
        """Return the evaluation of a run's scans in one set at a threshold, indexed by scan.

        ``n_false_lesions`` is added, unless ``only`` some columns are wanted: predicted lesions that the reference does
        not confirm.
        A comparator that comes as masks has no threshold (n/a): its rows stand for every threshold.
        """
        rows = self.rows("evaluation", run, only, set=set_name)
        given = rows["threshold"].to_numpy(float)
        wanted = np.isnan(given) if threshold is None else np.isnan(given) | np.isclose(given, threshold, atol=1e-6)
        chosen: pd.DataFrame = rows[wanted].set_index("scan_id")
        return chosen.assign(n_false_lesions=false_lesions(chosen)) if only is None else chosen

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


def read_results(folder: Path | str) -> StudyResults:
    """Read the artifacts of a finished study.

    Raises:
        CordlesionError: The folder is no study, a stage has not run yet, or a table lacks columns or rows.

    Examples:
        Here ``finished_study`` is the folder of a study that has run.

        >>> import cordlesion
        >>> results = cordlesion.read_results("finished_study")
        >>> [run.name for run in results.runs]
        ['bce_seed-0', 'dice_seed-0', 'tversky_seed-0', 'sct']
        >>> results.best.loss, results.tuned[results.best]
        ('tversky', 0.45)
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CordlesionError(f"{folder}: no such folder; a study folder is needed. Run `cordlesion study run` first.")
    study = StudyFolder(folder)
    tables = {name: checked.read_checked(study.table(name)) for name in TABLES if name not in LARGE_TABLES}
    tables |= checked.read_rare_tables(study)
    written = tables["thresholds"]
    pooled = pool_folds({**tables, "splits": checked.with_acquisition(tables["splits"], study.splits)})
    large: dict[str, Any] = {name: read_run_rows(study.table(name), written) for name in LARGE_TABLES}
    config = read_study(checked.required(study.configuration))
    results = StudyResults(
        folder=study,
        name=config.title,
        configuration=study.configuration.read_text(encoding="utf-8"),
        manifest=read_manifest(checked.required(study.manifest), config.dataset),
        written_thresholds=written,
        histories={run: checked.read_checked(study.run(run.name) / "history.tsv") for run in list_trainings(written)},
        **large,
        **pooled,
    )
    require_complete(results)
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
