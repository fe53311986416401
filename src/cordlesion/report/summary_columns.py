"""Columns that several of the report's tables of numbers share."""

from dataclasses import replace

from cordlesion.io.columns import Column, Kind, count
from cordlesion.study_folder.tables import RUN_COLUMNS, STRATA


def optional_number(name: str, meaning: str, kind: Kind = "number") -> Column:
    """Declare a number that may be missing."""
    return Column(name, meaning, kind, may_be_missing=True)


def optional_count(name: str, meaning: str) -> Column:
    """Declare a count that may be missing."""
    return replace(count(name, meaning), may_be_missing=True)


LOSS, SEED = RUN_COLUMNS[:2]
METRIC = Column("metric", "Metric", "text")
TUNED = Column("tuned", "Whether the row is at the tuned threshold; else at t = 0.5", "boolean")
THRESHOLD = optional_number("threshold", "Decision threshold t; `n/a` for masks", "share")
N = count("n", "Scans with a value")
N_UNDEFINED = count("n_undefined", "Scans for which the metric is undefined")
N_SCANS = count("n_scans", "Scans")
N_SUBJECTS = optional_count("n_subjects", "Subjects, the units of the test")
MEDIAN = optional_number("median", "Median over the scans")
MEAN = optional_number("mean", "Mean over the scans")
STD = optional_number("std", "Standard deviation over the scans")
LOW = optional_number("low", "95 % interval, with subjects as units")
HIGH = optional_number("high", "Its upper end")
P = optional_number("p_value", "p-value", "share")
WILCOXON = replace(P, meaning="p-value of Wilcoxon's signed-rank test")
HOLM = optional_number("p_holm", "The p-value after Holm's correction", "share")
AT = (optional_number("default", "Value at t = 0.5"), optional_number("tuned", "Value at the tuned threshold"))
STRATUM = tuple(column for column in STRATA.columns if column.name in ("stratum", "low_mm3", "high_mm3"))
