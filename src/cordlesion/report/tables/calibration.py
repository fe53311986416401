"""Calibration, and what the tuned thresholds have in common."""

import pandas as pd

from cordlesion.io.formats import format_fine, format_number
from cordlesion.report.numbers import Numbers
from cordlesion.report.tables.layout import Cell, Group, Table
from cordlesion.study_folder.results import StudyResults, of_run

_COLUMNS = (
    *("Loss", "Tuned t", "Lesion share at t", "Half of F1", "Temperature", "ECE", "ECE scaled", "Brier"),
    *("Brier scaled", "Σp / lesion volume"),
)


def calibration_table(results: StudyResults, numbers: Numbers) -> Table:
    """Lay out how far each run's probabilities can be taken at their word."""
    groups = tuple(
        Group(results.label(run), (_row(rows.iloc[0]),))
        for run in results.tuned
        if not (rows := of_run(numbers.calibration, run)).empty
    )
    return Table(
        columns=_COLUMNS,
        groups=groups,
        label="Table 5.",
        note=(
            "Calibration, over the voxels of each scan’s own grid that its stack covers; maps as predicted, not "
            "post-processed. On the threshold set: share of lesion among voxels with p = t, and half of the F1 of all "
            "voxels taken as one; temperature fitted there (above 1: the map was too sure of itself). On the test set: "
            "expected calibration error (ECE, 15 bins) and Brier score, as predicted and after temperature scaling; "
            "sum of all probabilities over the volume of the reference, 1 for a calibrated map. Most voxels are "
            "background with p near 0, which makes every ECE small. Empty references: their voxels count too."
        ),
    )


def _row(row: pd.Series) -> tuple[Cell, ...]:
    return (
        Cell(format_number(row["threshold"])),
        Cell(format_number(row["share"])),
        Cell(format_number(row["half_f1"])),
        Cell(format_number(row["temperature"])),
        *(Cell(format_fine(row[name], 4)) for name in ("ece", "ece_scaled", "brier", "brier_scaled")),
        Cell(format_number(row["volume_ratio"])),
    )
