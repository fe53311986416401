"""The scans of a study by set: the test set is an object that opens only after the thresholds are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pandas as pd

from cordlesion.config import SETS, Method, SetName, StudyConfig
from cordlesion.dataset.scan import Scan
from cordlesion.dataset.split import LEARNING_SETS
from cordlesion.errors import CordlesionError
from cordlesion.io.formats import plural
from cordlesion.io.tables import REPEAT, read_table
from cordlesion.study.comparators.match import Comparator
from cordlesion.study.stack_fingerprint import stack_fingerprint, stack_key
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.threshold import VOLUME, GlobalThreshold, group_rows, study_goal

Hashes = Mapping[str, Mapping[str, str]]
"""SHA-256 of each file of each scan."""


@dataclass(frozen=True)
class TunedThreshold:
    """The threshold of a run, chosen on its threshold set."""

    rule: GlobalThreshold
    minimum_volume_mm3: float | None = None
    """None where it is not tuned."""

    @classmethod
    def of_row(cls, row: Mapping[Any, Any]) -> Self:
        """Return what a row of ``thresholds.tsv`` records."""
        rule = GlobalThreshold(value=row["threshold"], objective=row.get("objective", ""), interval=None)
        return cls(rule, row.get(VOLUME))

    @property
    def value(self) -> float:
        """The threshold."""
        return self.rule.value

    def applied_to(self, run: Method) -> Method:
        """Return the run with the tuned post-processing."""
        if self.minimum_volume_mm3 is None:
            return run
        changed = {VOLUME: self.minimum_volume_mm3}
        return run.model_copy(update={"postprocess": run.postprocess.model_copy(update=changed)})


@dataclass(frozen=True)
class OpenedTest:
    """The test set of a fold, with the thresholds that were fixed before it was opened."""

    scans: tuple[Scan, ...]
    thresholds: Mapping[str, TunedThreshold]
    """By name of the run."""


class ClosedTest:
    """The test set of a fold: its scans and references are available only after the thresholds are written."""

    def __init__(self, scans: Sequence[Scan]) -> None:
        """Lock the scans in."""
        self._scans = tuple(scans)

    def open(self, thresholds: Path, runs: Sequence[Method]) -> OpenedTest:
        """Open the test set.

        Args:
            thresholds: The study's ``thresholds.tsv``.
            runs: All runs and comparators of the fold whose threshold is tuned.

        Raises:
            CordlesionError: The threshold of one of them has not been written.
        """
        closed = "the test set stays closed until every threshold is fixed. Run the stage `tune` first."
        if not thresholds.is_file():
            raise CordlesionError(f"{thresholds}: not written yet; {closed}")
        table = read_table(thresholds, ("loss", "seed", "threshold"))
        written = {_key(row): row for row in table.to_dict("records")}
        if missing := [run.name for run in runs if _key(run.columns) not in written]:
            raise CordlesionError(f"{thresholds}: has no threshold of {', '.join(missing)}; {closed}")
        rows = {run.name: written[_key(run.columns)] for run in runs}
        return OpenedTest(self._scans, {name: TunedThreshold.of_row(row) for name, row in rows.items()})


@dataclass(frozen=True)
class FoldSets:
    """The sets of one fold."""

    fold: int | None
    """None where the study has one split."""
    learning: Mapping[SetName, tuple[Scan, ...]]
    """Train, validation and threshold: what may be fitted on."""
    test: ClosedTest


@dataclass(frozen=True)
class Cohort:
    """A study before its test sets are closed: scans are checked and assigned to sets, and stacks may be cut."""

    config: StudyConfig
    folder: StudyFolder
    scans: Mapping[str, Scan]
    hashes: Hashes
    splits: pd.DataFrame
    excluded: Mapping[str, str]
    """The excluded scans, each with the reason."""
    comparators: Mapping[str, Comparator] = field(default_factory=dict)
    """By name."""
    partial: Mapping[str, str] = field(default_factory=dict)
    """The scans in which the cord was lost at an end, each with a sentence that says where."""
    repeats: Mapping[str, str] = field(default_factory=dict)
    """The scans that repeat others, each with the name of its group; empty where the dataset states none."""

    def names_in(self, *sets: SetName) -> set[str]:
        """Return the names of the scans that are in one of the sets, in any fold."""
        return set(self.splits.loc[self.splits["set"].isin(sets), "scan_id"])


@dataclass(frozen=True)
class Study:
    """A study whose scans are preprocessed, set by set; a reference can be reached only through its set."""

    config: StudyConfig
    folder: StudyFolder
    hashes: Hashes
    folds: Mapping[int | None, FoldSets]
    excluded: Mapping[str, str]
    """The excluded scans, each with the reason."""
    comparators: Mapping[str, Comparator]
    """By name."""
    partial: Mapping[str, str] = field(default_factory=dict)
    """The scans in which the cord was lost at an end, each with a sentence that says where."""
    repeats: Mapping[str, str] = field(default_factory=dict)
    """As of :class:`Cohort`."""

    def with_repeats(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table of scans with the column ``repeat``, where the dataset states which scans repeat others.

        Tables of runs lack it: nothing is measured again when the dataset states it later, or otherwise.
        """
        return with_repeats(table, self.repeats) if self.repeats else table

    @cached_property
    def stack_fingerprints(self) -> Mapping[str, str]:
        """The fingerprint of each scan's stack: computed once, because every run asks for all of them.

        A stack that was cut again with the same result keeps its first fingerprint, the one of the trained networks.
        """
        value = self.config.patterns.lesion_value
        config = self.config.preprocess
        found = {name: stack_fingerprint(config, hashes, value) for name, hashes in self.hashes.items()}
        return {name: self._unchanged_since(name, fingerprint) for name, fingerprint in found.items()}

    def _unchanged_since(self, scan_id: str, fingerprint: str) -> str:
        marker = self.folder.finished(stack_key(scan_id))
        is_current = marker.get("fingerprint") == fingerprint
        return str(marker.get("unchanged_since", fingerprint)) if is_current else fingerprint

    def in_set(self, name: SetName, fold: int | None = None) -> tuple[Scan, ...]:
        """Return the scans of a set.

        Raises:
            CordlesionError: The test set is asked for before the thresholds of its fold are written.
        """
        return self.open_test(fold).scans if name == "test" else self.folds[fold].learning[name]

    def open_test(self, fold: int | None = None) -> OpenedTest:
        """Open the test set of a fold.

        Raises:
            CordlesionError: The threshold of a run or comparator of the fold has not been written.
        """
        tuned = [method for method in self.config.methods if method.fold == fold and method.is_tuned]
        return self.folds[fold].test.open(self.folder.thresholds, tuned)


def close_test_sets(cohort: Cohort) -> Study:
    """Sort the scans of a cohort by set and fold, and close the test sets."""
    folds = {}
    for fold in cohort.config.folds:
        rows = _of_fold(cohort.splits, fold)
        sets = {name: tuple(cohort.scans[scan] for scan in rows.loc[rows["set"] == name, "scan_id"]) for name in SETS}
        folds[fold] = FoldSets(fold, {name: sets[name] for name in LEARNING_SETS}, ClosedTest(sets["test"]))
    listed = cohort.excluded, cohort.comparators, cohort.partial, cohort.repeats
    return Study(cohort.config, cohort.folder, cohort.hashes, folds, *listed)


def with_repeats(table: pd.DataFrame, repeats: Mapping[str, str]) -> pd.DataFrame:
    """Return a table of scans with the column ``repeat``: the name of each scan's group, undefined for none."""
    return table.assign(**{REPEAT: table["scan_id"].map(repeats)})


def require_scans(
    config: StudyConfig, splits: pd.DataFrame, reason: str = "", repeats: Mapping[str, str] | None = None
) -> None:
    """Refuse sets that lack the scans a study needs: before hours of training, not after.

    Args:
        config: The study.
        splits: The scans that are usable.
        reason: Why others are not, a sentence.
        repeats: The scans that repeat others, each with the name of its group.

    Raises:
        CordlesionError: A set has no scan with a lesion; or the threshold set has no lesion-free scan, or no scans that
            repeat each other, though the objective needs some.
    """
    goal, objective = study_goal(config), config.threshold.objective
    needs_free = goal.lesion_free == "needed"
    for fold in config.folds:
        rows = _of_fold(splits, fold)
        where = "the set" if fold is None else f"fold {fold}: the set"
        for name in SETS:
            if not (rows.loc[rows["set"] == name, "reference_volume_mm3"] > 0).any():
                raise CordlesionError(f"{where} {name!r} has no usable scan with a lesion. {reason}".rstrip())
        tuning = rows.loc[rows["set"] == "threshold", "reference_volume_mm3"]
        if needs_free and not (tuning == 0).any():
            raise CordlesionError(
                f"{where} 'threshold' has no usable scan without lesions, and the objective {objective!r} needs some. "
                f"Set `split.lesion_free: stratified`, or choose another `threshold.objective`. {reason}".rstrip()
            )
        if goal.compares_repeats:
            _require_repeats(rows[rows["set"] == "threshold"], repeats or {}, f"{where} 'threshold'", objective, reason)


def _require_repeats(tuning: pd.DataFrame, repeats: Mapping[str, str], where: str, objective: str, reason: str) -> None:
    n_groups = group_rows(with_repeats(tuning, repeats)).nunique()
    if n_groups < 2:
        raise CordlesionError(
            f"{where} has {plural(n_groups, 'group')} of usable scans that repeat each other, and the objective "
            f"{objective!r} needs at least 2. Name them in a column {REPEAT} of the dataset's sessions.tsv, scans.tsv "
            f"or participants.tsv, put their subjects into the threshold set, or choose another `threshold.objective`. "
            f"{reason}".rstrip()
        )


def _of_fold(table: pd.DataFrame, fold: int | None) -> pd.DataFrame:
    return table if fold is None else table[table["fold"] == fold]


def _key(row: Mapping[Any, object]) -> tuple[object, ...]:
    seed: Any = row["seed"]
    return row["loss"], None if pd.isna(seed) else seed, row.get("fold")
