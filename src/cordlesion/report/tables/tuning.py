"""What tuning changed, and how much a threshold that is a little off would."""

import math

import pandas as pd

from cordlesion.io.formats import MISSING, format_fine, format_fine_interval, format_interval, format_number, format_p
from cordlesion.pictures.style import loss_name
from cordlesion.report.losses import several_seeds
from cordlesion.report.numbers import Numbers
from cordlesion.report.robustness import SHIFT
from cordlesion.report.tables.layout import (
    EMPTY_REFERENCE,
    METRIC_NAMES,
    SEEDS_AVERAGED,
    SIGNIFICANT,
    Cell,
    Group,
    Table,
)
from cordlesion.statistics import MIN_PAIRS
from cordlesion.study_folder.results import StudyResults

_TUNING_COLUMNS = (
    *("Loss", "Metric", "Scans", "t = 0.5", "Tuned t", "Difference", "95 % interval", "Effect", "p", "p (Holm)"),
    *("Tuning", "Subjects"),
)
_STABILITY_COLUMNS = (
    *("Loss", "Scans", "Change", "95 % interval", "More than the first", "95 % interval", "p", "p (all pairs)"),
    "Subjects",
)
# As format_number prints.
_PRINTED_DIGITS = 2


def tuning_table(results: StudyResults, numbers: Numbers) -> Table:
    """Lay out what the tuned threshold of each loss changed on the test set."""
    groups = tuple(
        Group(loss_name(str(loss)), tuple(_tuning_row(row) for _, row in rows.iterrows()))
        for loss, rows in numbers.tuning.groupby("loss", sort=False)
    )
    return Table(
        columns=_TUNING_COLUMNS,
        groups=groups,
        n_words=2,
        label="Table 4a.",
        note=(
            "Does tuning help? Test set, tuned threshold against t = 0.5: medians over scans, and the median of (tuned "
            "− 0.5) with its 95 % interval. Wilcoxon signed-rank test of the subjects’ mean differences, whose number "
            "stands at the end; Holm’s correction over the losses of each metric. Effect: matched-pairs rank-biserial "
            f"correlation, from −1 to 1. Tuning helps where p (Holm) is at most {SIGNIFICANT:g} and the interval lies "
            "above 0; negligible: the same, but the difference is printed as 0.00."
            f"{SEEDS_AVERAGED if several_seeds(results) else ''} {EMPTY_REFERENCE}"
        ),
        bold=f"p ≤ {SIGNIFICANT:g} after Holm’s correction",
    )


def stability_table(results: StudyResults, numbers: Numbers) -> Table:
    """Lay out how much the voxel F1 of each loss changes when its threshold is moved, the most stable loss first."""
    groups = tuple(
        Group(loss_name(str(row["loss"])), (_stability_row(row),)) for _, row in numbers.stability.iterrows()
    )
    return Table(
        columns=_STABILITY_COLUMNS,
        groups=groups,
        label="Table 4b.",
        note=(
            "Which loss is most stable? Test set: by how much a scan’s V-F1 changes, up or down, when the tuned "
            f"threshold is moved by {SHIFT:g} (mean of both directions, one of them where the other ends at or "
            "below 0 or above 1; median over scans, 95 % interval), the most stable loss first, and how much more that "
            "is than for the first (median of the differences within scans, Wilcoxon signed-rank test of the subjects’ "
            "mean differences, whose number stands at the end). The first is picked because its change is the "
            "smallest. The interval and p of a difference from it are not corrected for this choice; p (all pairs) is, "
            "by Holm’s method over all pairs of losses."
            f"{SEEDS_AVERAGED if several_seeds(results) else ''} {EMPTY_REFERENCE}"
        ),
    )


def tuning_verdict(row: pd.Series) -> str:
    """Say what a row of :func:`summarize_tuning` says: ``helps``, ``harms``, ``undecided`` and so on.

    Tuning helps where the corrected p-value, the direction of most changes and the interval of the median change agree,
    and where that median, as printed, is not 0: then the gain is ``negligible``.
    """
    if row["n_subjects"] < MIN_PAIRS:
        return "not tested"
    if math.isnan(row["p_value"]):
        return "no change"
    sign = 1 if row["effect"] > 0 else -1
    if not (row["p_holm"] <= SIGNIFICANT and min(sign * row["low"], sign * row["high"]) > 0):
        return "undecided"
    if not round(abs(row["difference"]), _PRINTED_DIGITS):
        return "negligible"
    return "helps" if sign > 0 else "harms"


def _tuning_row(row: pd.Series) -> tuple[Cell, ...]:
    return (
        Cell(METRIC_NAMES[row["metric"]]),
        Cell(str(row["n"])),
        Cell(format_number(row["default"])),
        Cell(format_number(row["tuned"])),
        Cell(format_number(row["difference"], signed=True)),
        Cell(format_interval(row["low"], row["high"], signed=True)),
        Cell(format_number(row["effect"], signed=True)),
        Cell(format_p(row["p_value"])),
        Cell(format_p(row["p_holm"]), bold=bool(row["p_holm"] <= SIGNIFICANT)),
        Cell(tuning_verdict(row)),
        Cell(str(row["n_subjects"])),
    )


def _stability_row(row: pd.Series) -> tuple[Cell, ...]:
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
