"""The table of the threshold set, checked, as arrays from which scans and subjects can be drawn."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray, IndexArray, Mask
from cordlesion.io.formats import plural
from cordlesion.io.tables import REPEAT
from cordlesion.threshold.grid import SETTINGS, Grid
from cordlesion.threshold.objective import Objective
from cordlesion.threshold.repeatable import group_rows

Codes: TypeAlias = IndexArray

_SCAN = ["subject", "scan_id"]
_KEYS = ["scan_id", "subject", "threshold"]
# Bootstrap samples are summarised in blocks of about this many numbers (32 MB).
_BLOCK = 4_000_000


@dataclass(frozen=True, eq=False)
class ThresholdScans:
    """The scans that take part in the choice."""

    grid: Grid
    measures: FloatArray
    """What each scan contributes, shape (M, scans, S * T)."""
    subjects: Codes
    """The subject of each scan, numbered in the order of their names, shape (scans,)."""
    lesion_free: Mask
    """Shape (scans,)."""
    n_left_out: int
    """Scans of the table that take no part."""
    groups: Codes | None = None
    """Which scans repeat each other: the number of the group of each, -1 for none, shape (scans,). None where the
    objective does not compare them."""

    @property
    def n_groups(self) -> int:
        """Groups of scans that repeat each other, where these are compared."""
        return 0 if self.groups is None else len(np.unique(self.groups[self.groups >= 0]))

    @property
    def n_deciding(self) -> int:
        """Subjects on whom the score rests: those with scans that repeat each other, where these are compared."""
        deciding = self.subjects if self.groups is None else self.subjects[self.groups >= 0]
        return len(np.unique(deciding))

    def resampled_curves(
        self, goal: Objective, n_resamples: int, rng: np.random.Generator, *, n_subjects: int | None = None
    ) -> FloatArray:
        """Return the objective's curve of each bootstrap sample, shape (n_resamples, S * T).

        Subjects are drawn with all their scans; those with lesions only, without any, and with both kinds of scans are
        drawn apart, in their numbers, so that every sample has both kinds of scans if the threshold set has. So are
        those with scans that repeat each other, where the objective compares these. With ``n_subjects`` samples have
        about that size, and the kinds their shares.
        """
        return self.curves_of(goal, self.draw_subjects(n_resamples, rng, n_subjects))

    def resampled_thresholds(
        self, goal: Objective, n_resamples: int, rng: np.random.Generator, n_subjects: int | None = None
    ) -> FloatArray:
        """Return the threshold that each bootstrap sample chooses, shape (n_resamples,).

        It is 0, where every voxel is lesion, only where no other threshold meets the objective's condition.
        """
        curves = self.resampled_curves(goal, n_resamples, rng, n_subjects=n_subjects)
        grid, tolerance = self.grid, goal.tolerance
        cells = [grid.best_above_zero(one, tolerance) or grid.best(one, tolerance) for one in curves]
        return grid.thresholds[[threshold for _, threshold in cells]]

    def draw_subjects(self, n_resamples: int, rng: np.random.Generator, n_subjects: int | None = None) -> Codes:
        """Draw bootstrap samples as in :meth:`resampled_curves`, shape (n_resamples, subjects)."""
        padded, strata = self._by_subject()
        scale = 1.0 if n_subjects is None else n_subjects / padded.shape[1]
        sizes = [(n_resamples, max(1, round(scale * len(kind)))) for kind in strata]
        return np.concatenate(
            [kind[rng.integers(len(kind), size=size)] for kind, size in zip(strata, sizes, strict=True)], axis=1
        )

    def curves_of(self, goal: Objective, drawn: Codes) -> FloatArray:
        """Return the objective's curve of each sample of subjects, shape (n_resamples, S * T)."""
        padded, _ = self._by_subject()
        n_blocks = -(-len(drawn) * padded.size // _BLOCK)
        blocks = np.array_split(drawn, min(n_blocks, len(drawn)))
        return np.concatenate([goal.summarize(_flat(padded[:, block])) for block in blocks])

    def scores_left_out(self, goal: Objective, drawn: Codes, cells: IndexArray) -> FloatArray:
        """Return the objective at one cell per sample over the subjects that are not in the sample.

        Args:
            goal: The objective.
            drawn: Samples of subjects, shape (n_resamples, subjects).
            cells: A cell of the grid for each sample, shape (n_resamples,).

        Returns:
            Shape (n_resamples,); NaN where every subject, or every one with a score, is in the sample.
        """
        padded, _ = self._by_subject()
        seen = np.zeros((len(drawn), padded.shape[1]), dtype=bool)
        np.put_along_axis(seen, drawn, values=True, axis=1)
        # (M, subjects, scans of one, samples) -> (M, samples, subjects, scans of one, 1)
        there = np.moveaxis(padded[..., cells], -1, 1)[..., np.newaxis]
        kept = np.where(seen[:, :, np.newaxis, np.newaxis], np.nan, there)
        usable = ~np.isnan(kept).all(axis=(0, 2, 3, 4))
        scores = np.full(len(drawn), np.nan)
        if usable.any():
            scores[usable] = goal.summarize(_flat(kept[:, usable]))[:, 0]
        return scores

    def _by_subject(self) -> tuple[FloatArray, list[Codes]]:
        """Return measures of shape (M, subjects, most scans of one, S * T), and the subjects of each kind."""
        n_subjects = int(self.subjects.max()) + 1
        # Scans are sorted by subject; a scan's place is its number among those of its subject.
        place = np.arange(len(self.subjects)) - np.searchsorted(self.subjects, self.subjects)
        # Subjects with fewer scans than others are padded with NaN, which objectives leave out.
        padded = np.full((len(self.measures), n_subjects, place.max() + 1, self.measures.shape[-1]), np.nan)
        padded[:, self.subjects, place] = self.measures
        n_scans = np.bincount(self.subjects)
        n_free = np.bincount(self.subjects, weights=self.lesion_free)
        kind = (n_free > 0).astype(int) + (n_free == n_scans)
        if self.groups is not None:
            kind += 3 * (np.bincount(self.subjects, weights=self.groups >= 0) > 0)
        return padded, [np.flatnonzero(kind == which) for which in np.unique(kind)]


def arrange_scans(table: pd.DataFrame, goal: Objective) -> ThresholdScans:
    """Check the table of the threshold set and arrange it by scan.

    Raises:
        CordlesionError: The table lacks columns or rows, holds scans of another set or several runs, or the scans that
            the objective needs.
    """
    _check(table, goal)
    # Sorted by subject, then by scan: the order of the rows must not matter to the bootstrap.
    row = table.groupby(_SCAN).ngroup().to_numpy()
    names = table[_SCAN].drop_duplicates().sort_values(_SCAN)
    grid, cell = _cells(table)
    measured = goal.measure(table)
    measures = np.full((len(measured), len(names), math.prod(grid.shape)), np.nan)
    measures[:, row, cell] = measured
    free = np.zeros(len(names), dtype=bool)
    if goal.lesion_free != "left out":
        free[row] = table["reference_volume_mm3"] == 0
    _check_gaps(measures, names["scan_id"], grid, goal.columns[0])
    takes_part = ~np.isnan(measures[..., 0]).all(axis=0) if len(names) else free
    _check_kinds(free[takes_part], goal)
    subjects, _ = pd.factorize(names["subject"][takes_part])
    groups = None
    if goal.compares_repeats:
        groups = np.zeros(len(names), dtype=np.int64)
        groups[row] = group_rows(table).fillna(-1).to_numpy()
        groups = groups[takes_part]
    return ThresholdScans(grid, measures[:, takes_part], subjects, free[takes_part], int(np.sum(~takes_part)), groups)


def _cells(table: pd.DataFrame) -> tuple[Grid, Codes]:
    """Return the grid of a table, and the cell of each row."""
    thresholds, t = np.unique(table["threshold"].to_numpy(dtype=np.float64), return_inverse=True)
    settings, places = {}, []
    for name, preference in SETTINGS.items():
        if name in table:
            values, place = np.unique(table[name].to_numpy(dtype=np.float64), return_inverse=True)
            order = np.argsort(preference(values), kind="stable")
            settings[name] = values[order]
            places.append(np.argsort(order)[place])
    grid = Grid(thresholds, settings)
    return grid, np.ravel_multi_index((*places, t), grid.shape)


def _flat(drawn: FloatArray) -> FloatArray:
    """Join the scans of drawn subjects: (M, samples, subjects, scans, cells) -> (M, samples, scans, cells)."""
    return drawn.reshape(*drawn.shape[:2], -1, drawn.shape[-1])


def _check(table: pd.DataFrame, goal: Objective) -> None:
    keys = [*_KEYS, *(name for name in SETTINGS if name in table.columns)]
    needed = dict.fromkeys([*keys, *goal.columns])
    missing = [name for name in needed if name not in table.columns or (name in keys and table[name].hasnans)]
    if missing:
        raise CordlesionError(
            f"The table for choosing a threshold lacks {', '.join(missing)}; it needs a row per scan and threshold."
        )
    if goal.compares_repeats:
        _require_groups(table, goal)
    others = sorted(set(map(str, table["set"])) - {"threshold"}) if "set" in table.columns else []
    if others:
        raise CordlesionError(
            f"The table for choosing a threshold has scans of the set {', '.join(others)}; "
            "only the set 'threshold' may be used, or the evaluation would be biased. Remove the other rows."
        )
    repeated = table.duplicated([name for name in keys if name != "subject"])
    if repeated.any():
        row = table[repeated].iloc[0]
        raise CordlesionError(
            f"The table for choosing a threshold has several rows for scan {row['scan_id']} at {row['threshold']}; "
            "one run at a time is needed. Select the rows of one run."
        )


def _require_groups(table: pd.DataFrame, goal: Objective) -> None:
    n_groups = group_rows(table).nunique() if REPEAT in table else 0
    if n_groups < 2:
        raise CordlesionError(
            f"In the table for choosing a threshold {plural(n_groups, 'group')} of scans repeat each other; the "
            f"objective ({goal.title}) needs at least 2. Give scans of a subject without a change in between one name "
            f"in the column {REPEAT}, and n/a to all others."
        )


def _check_gaps(measures: FloatArray, names: pd.Series, grid: Grid, column: str) -> None:
    """Refuse scans that are measured at some thresholds only."""
    undefined = np.isnan(measures)
    gaps = np.argwhere(undefined & ~undefined.all(axis=-1, keepdims=True))
    if len(gaps):
        _, scan, cell = gaps[0]
        raise CordlesionError(
            f"Scan {names.iloc[scan]} has no {column} at {grid.name(int(cell))}; every scan needs a row at every "
            "threshold. Sweep all scans over the same thresholds."
        )


def _check_kinds(lesion_free: Mask, goal: Objective) -> None:
    if lesion_free.all():
        raise CordlesionError(
            "No scan of the threshold set has a lesion, so no threshold can be chosen. "
            "Put scans with lesions into the threshold set."
        )
    if goal.lesion_free == "needed" and not lesion_free.any():
        raise CordlesionError(
            "Every scan of the threshold set has a lesion, but this objective weighs what is found in lesion-free "
            "scans too. Put some into the threshold set (in a study: split.lesion_free: stratified), or choose another."
        )
