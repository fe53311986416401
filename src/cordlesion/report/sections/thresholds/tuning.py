"""Does tuning help? The tuned threshold of each loss against t = 0.5 on the test set."""

import math
from typing import Any

import pandas as pd

from cordlesion.io.formats import format_interval, format_number, format_p
from cordlesion.pictures.style import METRIC_NAMES, loss_name
from cordlesion.report.losses import COMPARED, mean_over_seeds, run_scores, several_seeds
from cordlesion.report.summary_tables import TUNING
from cordlesion.report.table import SEEDS_AVERAGED, SIGNIFICANT, Cell, Group, Table
from cordlesion.statistics import MIN_PAIRS, holm, median_interval, wilcoxon
from cordlesion.study_folder.results import StudyResults

_COLUMNS = (
    *("Loss", "Metric", "Scans", "t = 0.5", "Tuned t", "Difference", "95 % interval", "Effect", "p", "p (Holm)"),
    *("Tuning", "Subjects"),
)
# As format_number prints.
_PRINTED_DIGITS = 2


def summarize_tuning(results: StudyResults) -> pd.DataFrame:
    """Compare the tuned threshold of every loss that learned one with t = 0.5 on the test set, scan by scan.

    Returns:
        A row per loss and metric (voxel and lesion F1): ``loss metric n default tuned difference low high effect
        p_value p_holm n_subjects``: medians at both thresholds, the median of (tuned - default) with its interval, and
        Wilcoxon's test of ``n_subjects`` subjects, corrected over the losses of a metric.
    """
    scores = (run_scores(results, "test", tuned=tuned) for tuned in (False, True))
    with_maps = {run.loss for run in results.ranked}
    default, tuned = (
        mean_over_seeds(rows[rows["loss"].isin(with_maps)], COMPARED).set_index(["loss", "scan_id"]) for rows in scores
    )
    rows = [
        {"loss": loss, "metric": metric, **_change(scans[metric], tuned.loc[scans.index, metric], scans["subject"])}
        for metric in COMPARED
        for loss, scans in default.groupby("loss", sort=False)
    ]
    table = pd.DataFrame(rows, columns=list(TUNING.names))
    return table.assign(p_holm=table.groupby("metric", sort=False)["p_value"].transform(holm))


def tuning_table(results: StudyResults, tuning: pd.DataFrame) -> Table:
    """Lay out what the tuned threshold of each loss changed on the test set, from :func:`summarize_tuning`."""
    groups = tuple(
        Group(loss_name(str(loss)), tuple(_cells(row) for _, row in rows.iterrows()))
        for loss, rows in tuning.groupby("loss", sort=False)
    )
    return Table(
        columns=_COLUMNS,
        groups=groups,
        n_words=2,
        lead=(
            "Tuned threshold against 0.5, test set: medians over scans, and the median difference within a scan with "
            "its 95 % interval."
        ),
        note=(
            "Wilcoxon signed-rank test of the subjects’ mean differences; Holm’s correction over the losses of a "
            "metric. Effect: matched-pairs rank-biserial correlation, from −1 to 1. Tuning helps where p (Holm) is at "
            f"most {SIGNIFICANT:g} and the interval lies above 0; negligible: the same, but the difference is printed "
            f"as 0.00.{SEEDS_AVERAGED if several_seeds(results) else ''}"
        ),
        bold=f"p ≤ {SIGNIFICANT:g} after Holm’s correction",
    )


def tuning_verdict(row: pd.Series) -> str:
    """Classify a row of :func:`summarize_tuning`: ``helps``, ``harms``, ``undecided`` and so on.

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


def _change(default: pd.Series, tuned: pd.Series, subjects: pd.Series) -> dict[str, Any]:
    test = wilcoxon(default, tuned, subjects)
    low, high = median_interval(tuned - default, subjects)
    return {
        "n": test.n_pairs,
        "default": default.median(),
        "tuned": tuned.median(),
        "difference": test.median_difference,
        "low": low,
        "high": high,
        "effect": test.rank_biserial,
        # Where nothing was moved there is nothing to test.
        "p_value": test.p_value if test.n_nonzero else math.nan,
        "n_subjects": test.n_subjects,
    }


def _cells(row: pd.Series) -> tuple[Cell, ...]:
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
