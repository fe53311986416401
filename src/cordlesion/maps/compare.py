"""Compare two tables of metrics scan by scan, with subjects as units (no torch)."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.evaluation import METRICS
from cordlesion.io.columns import Column, TableSpec, count
from cordlesion.io.html import html_notes
from cordlesion.io.outputs import check_output_file, optional_path
from cordlesion.io.progress import show_message
from cordlesion.io.tables import read_table, write_table
from cordlesion.metrics.columns import METRIC_COLUMNS, SCORE_COLUMNS
from cordlesion.statistics import MIN_PAIRS, holm, median_interval, wilcoxon


def _number(name: str, meaning: str) -> Column:
    return Column(name, meaning, may_be_missing=True)


COMPARISON_NOTE = (
    "n_undefined: scans left out because a table has no score for them, as a rule those without lesions. "
    f"The test compares n_subjects people, each by the mean difference of their scans; fewer than {MIN_PAIRS} are not "
    "tested (NaN)."
)
"""What a reader of the table of :func:`compare_files` must know."""

COMPARISON = TableSpec(
    "comparison.tsv",
    "A row per metric: the output of `compare`, under the name that you give. Subjects are the units of interval and "
    f"test: with fewer than {MIN_PAIRS} there is no p-value, with fewer than five no interval.",
    (
        Column("metric", "Metric", "text"),
        count("n_pairs", "Scans that are compared"),
        count("n_undefined", "Scans for which the metric is undefined in one of the tables"),
        count("n_unmatched", "Scans that only one of the tables has"),
        _number("median_first", "Median of the first table"),
        _number("median_second", "Median of the second table"),
        _number("median_difference", "Median of the differences, second - first"),
        _number("interval_low", "95 % interval of the median difference"),
        _number("interval_high", "Its upper end"),
        _number("rank_biserial", "Effect size: rank-biserial correlation"),
        _number("p_value", "Wilcoxon signed-rank test of the subjects' mean differences"),
        _number("p_holm", "The p-value after Holm's correction over the metrics"),
        count("n_subjects", "Subjects"),
    ),
    key=("metric",),
)
_RUN_COLUMNS = ("set", "loss", "seed", "fold", "threshold")
_VOLUME = "reference_volume_mm3"
_REFERENCE_LESIONS = "n_reference_lesions"
# Equal values show that two tables describe the same masks; the counts depend on the lesion rule, too.
_OF_MASKS = ("voxel_sensitivity", "voxel_precision", "predicted_volume_mm3")
_OF_RULE = ("n_detected_lesions", "n_predicted_lesions", "n_true_predicted_lesions")
_SAME_VOLUME = 1e-3
"""Volumes with a smaller relative difference are equal up to rounding."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two tables of metrics compared scan by scan, with subjects as units.

    Examples:
        >>> import cordlesion
        >>> comparison = cordlesion.compare_files("metrics.tsv", "other_metrics.tsv")
        >>> comparison.table["metric"].tolist()[:3]
        ['voxel_sensitivity', 'voxel_precision', 'voxel_f1']
    """

    table: pd.DataFrame
    """A row per metric: numbers of scans, both medians, the median difference (second - first) with its 95 % interval,
    the effect size (rank-biserial correlation), the p-value of the Wilcoxon signed-rank test of the subjects' mean
    differences, that value after Holm's correction over the metrics, and the number of subjects."""

    def __repr__(self) -> str:
        pairs = self.table["n_pairs"].max() if len(self.table) else 0
        return f"Comparison({len(self.table)} metrics of {pairs} pairs of scans)"

    def _repr_html_(self) -> str:
        return self.table.to_html(index=False, float_format="{:.3g}".format) + html_notes([COMPARISON_NOTE])


def compare_files(
    first: Path | str,
    second: Path | str,
    *,
    first_run: str = "",
    second_run: str = "",
    output: Path | str | None = None,
    metrics: Sequence[str] = (),
) -> Comparison:
    """Compare two tables of metrics scan by scan, with subjects as units.

    Args:
        first: A ``metrics.tsv``, or a study's ``evaluation.tsv``.
        second: Another, or the same.
        first_run: Which rows of the first are meant where it has several runs, as in
            ``set=test,loss=dice,seed=0,threshold=0.5``.
        second_run: Likewise of the second.
        output: Where to write the comparison (.tsv).
        metrics: Columns of metrics of your own, which are compared, too.

    Returns:
        The comparison, a row per metric.

    Raises:
        CordlesionError: A table cannot be read, has several runs or values that are no scores, the two have no scan
            in common, other references or another lesion rule, or the output cannot be written.

    Examples:
        Two tools on the same ten scans, each evaluated with :func:`cordlesion.evaluate_files`:

        >>> import cordlesion
        >>> comparison = cordlesion.compare_files("metrics.tsv", "other_metrics.tsv")
        >>> f1 = comparison.table.set_index("metric").loc["voxel_f1"]
        >>> int(f1["n_subjects"]), bool(f1["median_difference"] < 0 < f1["p_holm"])
        (10, True)
    """
    first, second, output = Path(first), Path(second), optional_path(output)
    if output is not None:
        check_output_file(output, first, second)
    tables = [_one_run(first, first_run, "--first-run"), _one_run(second, second_run, "--second-run")]
    for path, table in zip((first, second), tables, strict=True):
        _require_further(path, table, metrics)
    tables = [table if "rule" in table else table.assign(rule="") for table in tables]
    merged = tables[0].merge(tables[1], on=["scan_id", "subject"], suffixes=("_first", "_second"))
    if merged.empty:
        raise CordlesionError(
            f"{second}: has no scan in common with {first}; equal scan_id and subject are needed. Check both tables."
        )
    _require_same_references(first, second, merged)
    _require_same_rule(first, second, merged)
    compared = _compare_scores(merged, [*SCORE_COLUMNS, *metrics], sum(map(len, tables)) - 2 * len(merged))
    if output is not None:
        write_table(output, compared, COMPARISON)
    return Comparison(compared)


def _require_further(path: Path, table: pd.DataFrame, metrics: Sequence[str]) -> None:
    """Refuse names that are no further metrics of a table, or are given twice."""
    known = (*METRIC_COLUMNS, *_RUN_COLUMNS)
    there = [str(name) for name in table if name not in known and pd.api.types.is_numeric_dtype(table[name])]
    for name in metrics:
        if name in SCORE_COLUMNS or list(metrics).count(name) > 1:
            fault = "is compared in any case" if name in SCORE_COLUMNS else "is given twice"
            raise CordlesionError(f"--metric {name} {fault}; each metric is compared once. Leave it out.")
        if name not in there:
            has = f"its further metrics are {', '.join(there)}" if there else "it has no further metric"
            raise CordlesionError(
                f"{path}: has no further metric {name} for --metric, and {has}; a column of numbers is needed. Measure "
                "it with `cordlesion evaluate --metric`, or name another."
            )


def _compare_scores(merged: pd.DataFrame, metrics: Sequence[str], n_unmatched: int) -> pd.DataFrame:
    result = pd.DataFrame([_comparison(merged, metric) for metric in metrics])
    return result.assign(n_unmatched=n_unmatched, p_holm=holm(result["p_value"]))[list(COMPARISON.names)]


def _one_run(path: Path, run: str, option: str) -> pd.DataFrame:
    """Read a table and keep the rows of one run, one per scan."""
    table = read_table(path, METRICS.only(("scan_id", "subject", *METRIC_COLUMNS)))
    for condition in filter(None, run.split(",")):
        table = _rows_where(path, table, condition, option)
    several = [name for name in _RUN_COLUMNS if name in table and table[name].nunique(dropna=False) > 1]
    if several:
        found = "; ".join(f"{name}: {', '.join(map(_printed, table[name].unique()))}" for name in several)
        example = ",".join(f"{name}={_printed(table[name].iloc[-1])}" for name in several)
        raise CordlesionError(
            f"{path}: has rows of several runs or sets ({found}); those of one are needed. "
            f"Name it, for example: {option} {','.join(filter(None, [run, example]))}"
        )
    if table["scan_id"].duplicated().any():
        raise CordlesionError(f"{path}: has several rows for one scan; one row each is needed. Remove the others.")
    _require_scores(path, table)
    return table


def _require_scores(path: Path, table: pd.DataFrame) -> None:
    """Reject percentages, infinite values and other values that cannot be a score, a count or a volume."""
    for name in METRIC_COLUMNS:
        highest, needed = (1, "between 0 and 1") if name in SCORE_COLUMNS else (sys.float_info.max, "of 0 or more")
        wrong = table[(table[name] < 0) | (table[name] > highest)]
        if len(wrong):
            scan, value = wrong.iloc[0][["scan_id", name]]
            raise CordlesionError(
                f"{path}: the column {name} holds {value:g} for {scan}; values {needed} are needed"
                f"{' (per cent divided by 100)' if highest == 1 else ''}. Mend the table."
            )


def _rows_where(path: Path, table: pd.DataFrame, condition: str, option: str) -> pd.DataFrame:
    name, equals, value = condition.partition("=")
    if not equals or name not in _RUN_COLUMNS or name not in table:
        there = ", ".join(column for column in _RUN_COLUMNS if column in table) or "none of them"
        raise CordlesionError(
            f"{option} has {condition!r}, but {path} can be narrowed by column=value only, where column is one of: "
            f"{there}. Mend the option."
        )
    rows = table[[_printed(each) == _printed(value) for each in table[name]]]
    if rows.empty:
        found = ", ".join(map(_printed, table[name].unique()))
        raise CordlesionError(f"{path}: has no rows with {condition}; {name} is one of: {found}. Mend {option}.")
    return rows


def _printed(value: object) -> str:
    """Return a cell as text: numbers without trailing zeros, ``n/a`` for undefined ones."""
    if value is pd.NA:
        return "n/a"
    try:
        number = float(str(value))
    except ValueError:
        return str(value)
    return "n/a" if math.isnan(number) else f"{number:g}"


def _comparison(merged: pd.DataFrame, metric: str) -> dict[str, object]:
    both = merged[["subject", f"{metric}_first", f"{metric}_second"]].dropna()
    first, second = both[f"{metric}_first"], both[f"{metric}_second"]
    test = wilcoxon(first, second, both["subject"])
    low, high = median_interval(second - first, both["subject"])
    return {
        "metric": metric,
        "n_pairs": test.n_pairs,
        "n_undefined": len(merged) - test.n_pairs,
        "median_first": first.median(),
        "median_second": second.median(),
        "median_difference": test.median_difference,
        "interval_low": low,
        "interval_high": high,
        "rank_biserial": test.rank_biserial,
        "p_value": test.p_value,
        "n_subjects": test.n_subjects,
    }


def _require_same_references(first: Path, second: Path, merged: pd.DataFrame) -> None:
    """Reject tables that were made from different references; their lesion volumes differ."""
    before, after = (merged[f"{_VOLUME}_{side}"].to_numpy(dtype=np.float64) for side in ("first", "second"))
    differ = ~np.isclose(before, after, rtol=_SAME_VOLUME, atol=1e-9, equal_nan=True)
    if differ.any():
        scan = merged.loc[differ].iloc[0]
        volumes = " against ".join(f"{scan[f'{_VOLUME}_{side}']:g}" for side in ("first", "second"))
        raise CordlesionError(
            f"{second}: rests on other references than {first}: their lesions differ in volume in {differ.sum()} of "
            f"{len(merged)} scans ({scan['scan_id']}: {volumes} mm3). Evaluate both against the same references."
        )


def _require_same_rule(first: Path, second: Path, merged: pd.DataFrame) -> None:
    """Reject tables of two lesion rules; without a recorded rule, the lesion counts show the difference."""
    rules = [_recorded_rule(merged, side) for side in ("first", "second")]
    if all(rules):
        if rules[0] != rules[1]:
            raise CordlesionError(
                f"{second}: was evaluated with the lesion rule {rules[1]}, {first} with {rules[0]}; one rule is "
                "needed. Evaluate one of the two again."
            )
        return
    if fault := _other_counts(merged):
        raise CordlesionError(
            f"{second}: {fault} than in {first}, so the lesion rules differ; one rule is needed. Evaluate both again "
            "with the same rule."
        )
    unknown = [str(path) for path, rule in zip((first, second), rules, strict=True) if not rule]
    show_message(
        f"{' and '.join(dict.fromkeys(unknown))}: the lesion rule is not recorded (no column rule). Lesion scores of "
        "two rules cannot be compared; make sure that both tables come from one."
    )


def _recorded_rule(merged: pd.DataFrame, side: str) -> str:
    """Return the lesion rule of a table, or its rules if it has several; empty if none is recorded."""
    return ", ".join(sorted(set(merged[f"rule_{side}"]) - {""}))


def _other_counts(merged: pd.DataFrame) -> str:
    """Return which lesion counts of the same references show that two rules were used; empty where none does."""
    if _differ(merged, (_REFERENCE_LESIONS,)).any():
        return "the same references hold another number of lesions"
    same_masks = ~_differ(merged, _OF_MASKS).any()
    return "the same masks hold another number of lesions" if same_masks and _differ(merged, _OF_RULE).any() else ""


def _differ(merged: pd.DataFrame, columns: tuple[str, ...]) -> "pd.Series[bool]":
    """Return in which scans the two tables differ in one of the columns."""
    before, after = (
        merged[[f"{name}_{side}" for name in columns]].to_numpy(dtype=np.float64) for side in ("first", "second")
    )
    return pd.Series(~np.isclose(before, after, equal_nan=True).all(axis=1), merged.index)
