"""Every number of the report beyond the scores of single runs, computed once for tables, figures and answers."""

from dataclasses import dataclass

import pandas as pd

from cordlesion.report.calibrated import summarize_calibration
from cordlesion.report.changes import summarize_changes
from cordlesion.report.comparisons import compare_pairs, summarize_seeds
from cordlesion.report.lesions import summarize_froc, summarize_rules, summarize_strata
from cordlesion.report.operation import summarize_operation
from cordlesion.report.robustness import summarize_stability, summarize_tuning
from cordlesion.study_folder.results import StudyResults


@dataclass(frozen=True, eq=False)
class Numbers:
    """One table per question, unrounded; the functions that make them describe their columns."""

    tuning: pd.DataFrame
    stability: pd.DataFrame
    pairs: pd.DataFrame
    seeds: pd.DataFrame
    rules: pd.DataFrame
    strata: pd.DataFrame
    froc: pd.DataFrame
    calibration: pd.DataFrame
    operation: pd.DataFrame
    changes: pd.DataFrame


def compute_numbers(results: StudyResults) -> Numbers:
    """Compute all of them."""
    return Numbers(
        tuning=summarize_tuning(results),
        stability=summarize_stability(results),
        pairs=compare_pairs(results),
        seeds=summarize_seeds(results),
        rules=summarize_rules(results),
        strata=summarize_strata(results),
        froc=summarize_froc(results),
        calibration=summarize_calibration(results),
        operation=summarize_operation(results),
        changes=summarize_changes(results),
    )
