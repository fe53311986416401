"""How much lesion volume and number differ between scans of a person without a change, by method."""

from collections.abc import Iterator

import pandas as pd

from cordlesion.io.formats import MISSING, format_number
from cordlesion.report.section import ReportTable, Section
from cordlesion.report.table import Cell, Group, Table
from cordlesion.study_folder.repeat_tables import REFERENCE_MASKS
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, StudyResults
from cordlesion.study_folder.runs import Run, list_runs, of_run

_VOLUME, _NUMBER = "predicted_volume_mm3", "n_predicted_lesions"
_COLUMNS = (
    *("Loss", "Threshold", "Volume, mm³", "Variation", "ICC", "Detectable change, mm³", "Detectable change, lesions"),
    *("Found twice", "Subjects"),
)


def repeatability_table(results: StudyResults) -> Table:
    """Lay out the repeatability on the test set (else the threshold set), of methods at t = 0.5 and at the tuned one.

    No rows where no scans repeat each other.
    """
    found = results.repeatability
    name = "test" if len(found) == 0 or (found["set"] == "test").any() else "threshold"
    found = found[found["set"] == name] if len(found) else found
    groups = [(label, tuple(_rows(rows))) for label, rows in _methods(results, found)]
    return Table(
        columns=_COLUMNS,
        groups=tuple(Group(label, rows) for label, rows in groups if rows),
        lead=f"Repeatability: scans of subjects without a change in between, {name} set.",
        note=(
            "Mean lesion volume; coefficient of variation (within-subject standard deviation over mean); ICC(1,1); the "
            "smallest detectable change: 95 % of the differences between two scans without a change are smaller. In "
            "brackets 95 % bootstrap intervals over subjects. Found twice: share of lesions that are within 2 mm of a "
            "lesion of the other scan, by the coordinates of the files; where that of the reference masks is low, the "
            "scans of a subject are not registered. A method that finds nothing is repeatable."
        ),
    )


def _methods(results: StudyResults, found: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    if len(found) == 0:
        return
    for run in results.runs:
        yield results.label(run), _shown(of_run(found, run) if _has(found, run) else found.iloc[:0])
    yield "Reference masks", found[found["loss"] == REFERENCE_MASKS]


def _has(found: pd.DataFrame, run: Run) -> bool:
    return run in list_runs(found)


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows at t = 0.5 and at the tuned threshold; of several folds, each has its own."""
    default = rows["threshold"].sub(DEFAULT_THRESHOLD).abs() < 1e-9
    return rows[default | rows["tuned"].astype(bool)]


def _rows(rows: pd.DataFrame) -> Iterator[tuple[Cell, ...]]:
    keys = [name for name in ("fold", "threshold") if name in rows]
    for _, both in rows.groupby(keys, sort=False, dropna=False):
        by_measure = {row["measure"]: row for _, row in both.iterrows()}
        volume, number = by_measure[_VOLUME], by_measure[_NUMBER]
        t = volume["threshold"]
        yield (
            Cell(MISSING if pd.isna(t) else format_number(t), "tuned" if volume["tuned"] and not pd.isna(t) else ""),
            Cell(f"{volume['mean']:.0f}"),
            _estimate(volume, "coefficient_of_variation", 2),
            _estimate(volume, "icc", 2),
            _estimate(volume, "smallest_detectable_change", 0),
            _estimate(number, "smallest_detectable_change", 1),
            _estimate(volume, "found_twice", 2),
            Cell(str(int(volume["n_subjects"]))),
        )


def _estimate(row: pd.Series, name: str, digits: int) -> Cell:
    if pd.isna(row[name]):
        return Cell(MISSING)
    ends = [row[f"{name}_low"], row[f"{name}_high"]]
    texts = [f"{value:.{digits}f}".replace("-", "−") for value in (row[name], *ends)]
    return Cell(texts[0], "" if pd.isna(ends[0]) else f"[{texts[1]}, {texts[2]}]")


SECTION = Section(
    key="repeatability",
    title="Repeatability",
    tables=(
        ReportTable(
            "repeatability", lambda of: repeatability_table(of.results), title="Repeatability", has_scores=False
        ),
    ),
    is_shown=lambda tables: bool(tables["repeatability"].groups),
)
