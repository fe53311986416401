"""The tables that a study leaves, checked when the report and the explorer read them."""

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.evaluation import LESION_COUNTS, METRIC_COLUMNS, read_table

_MEASURED = (
    *("scan_id", "subject", "session", "set", "loss", "seed", "threshold"),
    *METRIC_COLUMNS,
)
_COLUMNS = {
    "splits.tsv": (
        *("scan_id", "subject", "session", "site", "set"),
        *("n_reference_lesions", "reference_volume_mm3", "reason"),
    ),
    "sweep.tsv": _MEASURED,
    "evaluation.tsv": _MEASURED,
    "thresholds.tsv": (
        *("loss", "seed", "objective", "threshold", "score", "interval_low", "interval_high"),
        *(
            "plateau_low",
            "plateau_high",
            "loss_below",
            "loss_above",
            "area",
            "n_scans",
            "n_subjects",
            "n_lesion_free",
            "basis",
        ),
    ),
    "rules.tsv": (
        *("scan_id", "subject", "session", "set", "loss", "seed", "rule"),
        *("lesion_sensitivity", "lesion_precision", "lesion_f1", *LESION_COUNTS, "reference_volume_mm3"),
    ),
    "strata.tsv": (
        *("scan_id", "subject", "session", "set", "loss", "seed", "stratum", "low_mm3", "high_mm3", *LESION_COUNTS),
    ),
    "froc.tsv": (
        *("set", "loss", "seed", "threshold", "sensitivity", "false_per_scan", "n_scans", "n_reference_lesions"),
    ),
    "calibration.tsv": (
        *("set", "loss", "seed", "map", "temperature", "expected_calibration_error", "brier_score"),
        *("n_scans", "n_voxels", "n_lesion_voxels", "sum_probability"),
    ),
    "reliability.tsv": (
        *("set", "loss", "seed", "map", "bin_low", "bin_high", "n_voxels", "n_lesion_voxels"),
        *("mean_probability", "lesion_share"),
    ),
    "history.tsv": ("epoch", "train_loss", "validation_loss", "learning_rate", "seconds"),
}
# The stage that writes each file.
_STAGE = {
    "study.yaml": "split",
    "manifest.json": "split",
    "splits.tsv": "split",
    "history.tsv": "train",
    "sweep.tsv": "evaluate",
    "thresholds.tsv": "tune",
    "evaluation.tsv": "evaluate",
    **dict.fromkeys(("rules.tsv", "strata.tsv", "froc.tsv", "calibration.tsv", "reliability.tsv"), "analyze"),
}
_TEXT = {
    "scan_id",
    "subject",
    "session",
    "site",
    "set",
    "loss",
    "objective",
    "reason",
    "basis",
    "rule",
    "stratum",
    "map",
}
_SCAN_KEYS = ("scan_id", "set", "loss", "seed", "fold")
_KEYS: dict[str, tuple[str, ...]] = {
    "splits.tsv": ("scan_id", "fold"),
    "sweep.tsv": (*_SCAN_KEYS, "threshold", "minimum_volume_mm3"),
    "evaluation.tsv": (*_SCAN_KEYS, "threshold"),
    "thresholds.tsv": ("loss", "seed", "fold"),
    "rules.tsv": (*_SCAN_KEYS, "rule"),
    "strata.tsv": (*_SCAN_KEYS, "stratum"),
    "froc.tsv": ("set", "loss", "seed", "fold", "threshold"),
    "calibration.tsv": ("set", "loss", "seed", "fold", "map"),
    "reliability.tsv": ("set", "loss", "seed", "fold", "map", "bin_low"),
    "history.tsv": ("epoch",),
}
"""The columns that together name a row: no two rows of a table are equal in all of them."""
_KNOWN: dict[str, tuple[str, ...]] = defaultdict(tuple) | {
    "splits.tsv": ("n_reference_lesions", "reference_volume_mm3"),
    "sweep.tsv": (*LESION_COUNTS, "reference_volume_mm3"),
    "evaluation.tsv": (*LESION_COUNTS, "reference_volume_mm3"),
    "thresholds.tsv": ("threshold", "score"),
}
"""Columns in which every row has a number."""
_LARGEST = 1e15
_SHARES = (
    *("threshold", "plateau_low", "plateau_high", "lesion_share", "mean_probability", "bin_low", "bin_high"),
    *(name for name in METRIC_COLUMNS if name.startswith(("voxel_", "lesion_"))),
)
_WHOLE = ("seed", "fold", "epoch", *LESION_COUNTS)
_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(_SHARES, (0, 1)),
    "high_mm3": (0, math.inf),
    **dict.fromkeys((*LESION_COUNTS, "reference_volume_mm3", "predicted_volume_mm3", "n_scans"), (0, _LARGEST)),
}
TABLES = tuple(name.removesuffix(".tsv") for name in _COLUMNS if name != "history.tsv")
"""All of them but the learning curves."""


def run_stage(stage: str) -> str:
    """Return the advice that ends a message about something missing."""
    return f"Run the study's stage `{stage}` (`cordlesion study run` runs every stage that is not done)."


def required(path: Path) -> Path:
    """Return the path of an artifact that is there.

    Raises:
        CordlesionError: It is not.
    """
    if not path.is_file():
        raise CordlesionError(f"{path}: no such file; the report needs it. {run_stage(_STAGE[path.name])}")
    return path


def read_checked(path: Path) -> pd.DataFrame:
    """Read one of the study's tables: its columns, some rows, each once, and numbers where numbers belong.

    Raises:
        CordlesionError: The table is missing, cut, doubled, or holds something else.
    """
    columns = _COLUMNS[required(path).name]
    table = read_table(path, columns)
    again = run_stage(_STAGE[path.name])
    if table.empty:
        raise CordlesionError(f"{path}: holds no rows; the report needs them. {again}")
    for column in set(columns) - _TEXT:
        _require_numbers(path, table, column, again)
    if "learned" in table and not pd.api.types.is_bool_dtype(table["learned"]):
        raise CordlesionError(f"{path}: the column learned holds other words than True and False. {again}")
    for column in {"seed", "fold"}.intersection(table):
        # A boolean is a number for pandas, and a half is no seed.
        table[column] = table[column].astype("Int64") if column == "seed" else table[column].astype(int)
    keys = [name for name in _KEYS[path.name] if name in table]
    if keys and (again_there := table.duplicated(keys)).any():
        row = ", ".join(f"{name} {table.loc[again_there, name].iloc[0]}" for name in keys)
        raise CordlesionError(f"{path}: has two rows for {row}; one is needed. {again}")
    return table


def _require_numbers(path: Path, table: pd.DataFrame, column: str, again: str) -> None:
    """Refuse a column with other values than its kind allows: text, infinities, parts of a seed, n/a for a count."""
    values = table[column]
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        raise CordlesionError(f"{path}: the column {column} holds text; numbers or n/a are needed. {again}")
    numbers = values.to_numpy(float, na_value=np.nan)
    low, high = _RANGES.get(column, (-_LARGEST, _LARGEST))
    if ((numbers < low) | (numbers > high)).any():
        raise CordlesionError(f"{path}: the column {column} holds numbers outside of {low:g} to {high:g}. {again}")
    if column in _WHOLE and (numbers % 1 > 0).any():
        raise CordlesionError(f"{path}: the column {column} holds parts of a whole; whole numbers are needed. {again}")
    if column in _KNOWN[path.name] and np.isnan(numbers).any():
        raise CordlesionError(f"{path}: the column {column} lacks a number in some row; all are needed. {again}")
