"""Which loss is most stable? How much each loses when its threshold is moved a little."""

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd

from cordlesion.io.arrays import FloatArray
from cordlesion.io.formats import MISSING, format_fine, format_fine_interval, format_p
from cordlesion.pictures.style import loss_name
from cordlesion.report.losses import mean_over_seeds, several_seeds
from cordlesion.report.summary_tables import STABILITY
from cordlesion.report.table import SEEDS_AVERAGED, Cell, Group, Table
from cordlesion.statistics import holm, median_interval, wilcoxon
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import Run, lesion_bearing

SHIFT = 0.05
"""By how much Hussein et al. move a threshold (section 3)."""

_CURVE = ("subject", "scan_id", "fold", "threshold", "voxel_f1", "reference_volume_mm3")
_COLUMNS = (
    *("Loss", "Scans", "Change", "95 % interval", "More than the first", "95 % interval", "p", "p (all pairs)"),
    "Subjects",
)


def summarize_stability(results: StudyResults) -> pd.DataFrame:
    """Measure how much the score of each loss changes when its threshold is off by 0.05, on the test set.

    A scan's change is the mean of ``|F1(t - 0.05) - F1(t)|`` and ``|F1(t + 0.05) - F1(t)|``, t being the tuned
    threshold; where one of the two lies outside the grid, the other alone. t = 0 lies outside, as t > 1 does: there
    every voxel is lesion, whatever the map.

    Returns:
        A row per loss, the most stable first: ``loss n change low high`` (median over scans of the change and its
        interval), ``excess excess_low excess_high p_value`` (the same of the change less that of the most stable loss,
        and Wilcoxon's test of it; undefined for that loss itself), ``p_all_pairs``: that p-value after Holm's
        correction over all pairs of losses, and ``n_subjects``, the units of the test. The most stable loss is picked
        as the one with the smallest change, so only a correction over all the pairs that might have been picked is fair
        to it.
    """
    if not results.ranked:
        return pd.DataFrame(columns=list(STABILITY.names))
    changes = pd.concat([changes_when_moved(results, run) for run in results.ranked], ignore_index=True)
    scans = mean_over_seeds(changes, ["change"])
    wide = scans.pivot(index=["subject", "scan_id"], columns="loss", values="change")
    wide = wide[wide.median().sort_values(kind="stable").index]
    subjects = wide.index.get_level_values("subject")
    pairs = list(itertools.combinations(wide.columns, 2))
    p_values = [wilcoxon(wide[a], wide[b], subjects).p_value for a, b in pairs]
    p_holm = dict(zip(pairs, holm(p_values).tolist(), strict=True))
    rows = [_stability(wide, str(loss), subjects) for loss in wide]
    first = wide.columns[0]
    table = pd.DataFrame([{**row, "p_all_pairs": p_holm.get((first, row["loss"]), math.nan)} for row in rows])
    return table[list(STABILITY.names)].astype({"n_subjects": "Int64"})


def stability_table(results: StudyResults, stability: pd.DataFrame) -> Table:
    """Lay out how much the voxel F1 of each loss changes when its threshold is moved, the most stable loss first."""
    groups = tuple(Group(loss_name(str(row["loss"])), (_cells(row),)) for _, row in stability.iterrows())
    return Table(
        columns=_COLUMNS,
        groups=groups,
        lead=(
            f"Change of a scan’s V-F1, up or down, when the tuned threshold is moved by {SHIFT:g}: test set, the most "
            "stable loss first."
        ),
        note=(
            "Change: mean of both directions (one where the other ends at or below 0 or above 1), median over scans. "
            "More than the first: median of the differences within scans, Wilcoxon signed-rank test of the subjects’ "
            "mean differences. The first is picked because its change is the smallest; interval and p are not "
            "corrected for that, p (all pairs) is, by Holm’s method over all pairs of losses."
            f"{SEEDS_AVERAGED if several_seeds(results) else ''}"
        ),
    )


def changes_when_moved(results: StudyResults, run: Run) -> pd.DataFrame:
    """Return the change of each test scan with lesions: ``subject scan_id change loss``; see the table's note."""
    rows = lesion_bearing(results.rows("sweep", run, _CURVE, set="test"))
    parts = [
        _changes_around(rows if fold is None else rows[rows["fold"] == fold], t)
        for fold, t in results.chosen(run).items()
    ]
    return pd.concat(parts, ignore_index=True).assign(loss=run.loss)


def _changes_around(rows: pd.DataFrame, t: float) -> pd.DataFrame:
    rows = rows[rows["threshold"] > 0]
    wide = rows.pivot(index=["subject", "scan_id"], columns="threshold", values="voxel_f1")
    thresholds = wide.columns.to_numpy(dtype=float)
    moved = [_interpolate(wide.to_numpy(), thresholds, round(t + shift, 9)) for shift in (-SHIFT, SHIFT)]
    here = _interpolate(wide.to_numpy(), thresholds, t)
    change = np.nanmean([np.abs(there - here) for there in moved], axis=0)
    return wide.index.to_frame(index=False).assign(change=change)


def _interpolate(curves: FloatArray, thresholds: FloatArray, t: float) -> FloatArray:
    """Read each row's curve at ``t``; NaN outside the thresholds."""
    return np.array([np.interp(t, thresholds, curve, left=np.nan, right=np.nan) for curve in curves])


def _stability(wide: pd.DataFrame, loss: str, subjects: pd.Index) -> dict[str, Any]:
    low, high = median_interval(wide[loss], subjects)
    row = {"loss": loss, "n": int(wide[loss].notna().sum()), "change": wide[loss].median(), "low": low, "high": high}
    if loss == wide.columns[0]:
        return {**row, **dict.fromkeys(("excess", "excess_low", "excess_high", "p_value", "n_subjects"), math.nan)}
    excess = wide[loss] - wide.iloc[:, 0]
    test = wilcoxon(wide.iloc[:, 0], wide[loss], subjects)
    excess_low, excess_high = median_interval(excess, subjects)
    return {
        **row,
        "excess": test.median_difference,
        "excess_low": excess_low,
        "excess_high": excess_high,
        "p_value": test.p_value,
        "n_subjects": test.n_subjects,
    }


def _cells(row: pd.Series) -> tuple[Cell, ...]:
    first = pd.isna(row["excess"])
    return (
        Cell(str(row["n"])),
        Cell(format_fine(row["change"])),
        Cell(format_fine_interval(row["low"], row["high"])),
        Cell(format_fine(row["excess"], signed=True)),
        Cell(MISSING if first else format_fine_interval(row["excess_low"], row["excess_high"], signed=True)),
        Cell(format_p(row["p_value"])),
        Cell(format_p(row["p_all_pairs"])),
        Cell(MISSING if first else str(row["n_subjects"])),
    )
