"""The tables of a finished study that are in memory as a whole: what the stage ``analyze`` measured."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class SmallTables:
    """Fields of :class:`cordlesion.StudyResults`."""

    froc: pd.DataFrame
    calibration: pd.DataFrame
    reliability: pd.DataFrame
    uncertainty: pd.DataFrame
    """Error retention, scan by scan; like the next without rows where the study has no ensembles."""
    retention: pd.DataFrame
    lesion_probabilities: pd.DataFrame
    """The predicted lesions; without rows in studies of earlier versions."""
    operating_points: pd.DataFrame
    """Thresholds that keep a promise, of each fold apart; without rows in studies of earlier versions."""
    multi_spine: pd.DataFrame
    """Lesions ranked by probability; like the next without rows where a study has none."""
    repeatability: pd.DataFrame
    rule_choices: pd.DataFrame
    """Further threshold rules as they were chosen, and their masks of the test scans; no rows where there are none."""
    threshold_rules: pd.DataFrame
