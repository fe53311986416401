"""Evaluate masks, choose thresholds for maps and compare tables of any tool, from files (no torch)."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from cordlesion.artifacts import check_output_file, write_json
from cordlesion.errors import CordlesionError
from cordlesion.evaluation import (
    METRIC_COLUMNS,
    PROBABILITY_NAMES,
    evaluate_mask,
    metric_row,
    pair_files,
    read_table,
    sweep_map,
    write_table,
)
from cordlesion.execution.local import map_scans
from cordlesion.metrics import RULES
from cordlesion.progress import say
from cordlesion.statistics import bootstrap_median, holm, wilcoxon
from cordlesion.threshold import OBJECTIVES, THRESHOLDS, choose_threshold


def evaluate_files(reference: Path, prediction: Path, output: Path, rule: str = "study") -> dict[str, str]:
    """Compare predicted masks with references and write ``metrics.tsv``.

    Returns:
        The files that could not be used, each with the reason.

    Raises:
        CordlesionError: Nothing could be evaluated.
    """
    check_output_file(output)
    _require_row(rule, RULES, "rule")
    pairs, unmatched = pair_files(reference, prediction)
    outcomes = map_scans(lambda pair: metric_row(pair, evaluate_mask(pair, rule)), pairs, "evaluate masks")
    faults = _faults({o.item.scan_id: o.fault for o in outcomes}, unmatched)
    rows = [o.result for o in outcomes if o.result is not None]
    if not rows:
        raise CordlesionError(next(iter(faults.values())))
    write_table(output, pd.DataFrame(rows))
    say(f"{len(rows)} scans evaluated with the rule {rule!r}: {output}")
    return faults


def tune_files(
    reference: Path, probability: Path, output: Path, objective: str = "median_voxel_f1", rule: str = "study"
) -> dict[str, str]:
    """Choose the decision threshold of probability maps and write it, with its curve, to ``thresholds.json``.

    Returns:
        The files that could not be used, each with the reason.

    Raises:
        CordlesionError: Nothing could be evaluated, or no reference has a lesion.
    """
    check_output_file(output)
    _require_row(rule, RULES, "rule")
    _require_row(objective, OBJECTIVES, "objective")
    pairs, unmatched = pair_files(reference, probability, PROBABILITY_NAMES)
    outcomes = map_scans(lambda pair: sweep_map(pair, THRESHOLDS, rule), pairs, "sweep thresholds")
    faults = _faults({o.item.scan_id: o.fault for o in outcomes}, unmatched)
    tables = [o.result for o in outcomes if o.result is not None]
    if not tables:
        raise CordlesionError(next(iter(faults.values())))
    choice = choose_threshold(pd.concat(tables, ignore_index=True), objective)
    write_json(
        output,
        {
            "threshold": choice.value,
            "objective": objective,
            "score": choice.score,
            "interval": choice.interval,
            "plateau": choice.stability.plateau,
            "rule": rule,
            "n_scans": len(tables),
            "curve": choice.curve.to_dict(orient="records"),
        },
    )
    say(f"threshold {choice.value:g} ({objective} {choice.score:.3f}): {output}")
    return faults


def compare_files(first: Path, second: Path) -> pd.DataFrame:
    """Compare two tables of metrics scan by scan.

    Returns:
        A row per metric: the number of pairs, both medians, the median difference (second - first) with its 95 %
        bootstrap interval over subjects, the effect size (rank-biserial correlation), the p-value of the Wilcoxon
        signed-rank test, and that value after Holm's correction over the metrics.

    Raises:
        CordlesionError: A table cannot be read, or they have no scan in common.
    """
    tables = [read_table(path, ("scan_id", "subject", *METRIC_COLUMNS)) for path in (first, second)]
    for path, table in zip((first, second), tables, strict=True):
        if table["scan_id"].duplicated().any():
            raise CordlesionError(
                f"{path}: has several rows for one scan; one row each is needed. Select one run and threshold first."
            )
    merged = tables[0].merge(tables[1], on=["scan_id", "subject"], suffixes=("_first", "_second"))
    if merged.empty:
        raise CordlesionError(
            f"{second}: has no scan in common with {first}; equal scan_id and subject are needed. Check both tables."
        )
    result = pd.DataFrame([_comparison(merged, metric) for metric in METRIC_COLUMNS[:6]])
    return result.assign(p_holm=holm(result["p_value"].where(result["n_pairs"] > 0)))


def _comparison(merged: pd.DataFrame, metric: str) -> dict[str, object]:
    both = merged[["subject", f"{metric}_first", f"{metric}_second"]].dropna()
    first, second = both[f"{metric}_first"], both[f"{metric}_second"]
    test = wilcoxon(first, second)
    low, high = bootstrap_median(second - first, both["subject"])
    return {
        "metric": metric,
        "n_pairs": test.n_pairs,
        "median_first": first.median(),
        "median_second": second.median(),
        "median_difference": test.median_difference,
        "interval_low": low,
        "interval_high": high,
        "rank_biserial": test.rank_biserial,
        "p_value": test.p_value,
    }


def _faults(by_scan: dict[str, str], unmatched: list[str]) -> dict[str, str]:
    return {name: fault for name, fault in by_scan.items() if fault} | {text.split(":")[0]: text for text in unmatched}


def _require_row(name: str, table: Iterable[str], kind: str) -> None:
    names = list(table)
    if name not in names:
        raise CordlesionError(f"{name!r} is no {kind}; one of {', '.join(names)} is needed.")
