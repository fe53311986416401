"""The test set by site, scanner, orientation and slice spacing: what the paper leaves to future work."""

import pandas as pd

from cordlesion.io.formats import MISSING, format_interval
from cordlesion.pictures.style import loss_name
from cordlesion.report.subgroups import SUBGROUPS
from cordlesion.report.tables.layout import EMPTY_REFERENCE, METRIC_NAMES, Cell, Group, Table
from cordlesion.statistics import MIN_SUBJECTS, format_summary
from cordlesion.study_folder.results import StudyResults

_HOW_READ = {
    "site": "told by participants.tsv",
    "manufacturer": "told by the scans’ JSON files",
    "scanner": "manufacturer, model and field strength, told by the scans’ JSON files or participants.tsv",
    "orientation": "that of the slices in the image grid",
    "slice_spacing_mm": "slice thickness and gap together, from the image grid, in classes of 1 mm",
}


def subgroup_tables(results: StudyResults, summary: pd.DataFrame) -> dict[str, Table]:
    """Lay out one table per way of grouping, ``by_site`` and so on; one without rows where nothing is recorded.

    Args:
        results: The study.
        summary: What :func:`summarize_subgroups` makes of it.
    """
    several = bool((summary["n_seeds"] > 1).any())
    tables = {}
    for letter, (column, title) in zip("abcde", SUBGROUPS.items(), strict=True):
        shown = summary[summary["by"] == column]
        groups = tuple(_group(str(name), rows) for name, rows in shown.groupby("value", sort=False))
        losses = [loss_name(loss) for loss in dict.fromkeys(run.loss for run in results.runs)]
        tables[subgroup_name(column)] = Table(
            columns=(title, "Metric", "Scans", "Subjects", *losses),
            groups=groups,
            n_words=2,
            label=f"Table 12{letter}.",
            note=_note(title, column, several_seeds=several),
        )
    return tables


def subgroup_name(column: str) -> str:
    """Return the name of the table that groups scans by ``column``."""
    return f"by_{column.removesuffix('_mm')}"


def _note(title: str, column: str, *, several_seeds: bool) -> str:
    seeds = " Where a loss has several seeds, a scan’s value is their mean." if several_seeds else ""
    return (
        f"Test set by {title.lower()} ({_HOW_READ[column]}), each loss at its tuned threshold.{seeds} Median (mean ± "
        "standard deviation) over scans with lesions, 95 % interval with subjects as units. Rows "
        "marked as too few describe those scans and estimate nothing. "
        f"Subgroups differ in more than what names them, and are not tested against each other. {EMPTY_REFERENCE}"
    )


def _group(name: str, rows: pd.DataFrame) -> Group:
    """Lay out one subgroup: a row per metric, a column per loss."""
    return Group(name, tuple(_row(str(metric), scores) for metric, scores in rows.groupby("metric", sort=False)))


def _row(metric: str, scores: pd.DataFrame) -> tuple[Cell, ...]:
    first = scores.iloc[0]
    few = "too few" if first["n_subjects"] < MIN_SUBJECTS else ""
    cells = (_cell(score) for _, score in scores.iterrows())
    return (Cell(METRIC_NAMES[metric]), Cell(str(first["n"])), Cell(str(first["n_subjects"]), few), *cells)


def _cell(score: "pd.Series[float]") -> Cell:
    if not score["n"]:
        return Cell(MISSING)
    median, _, spread = format_summary(score["median"], score["mean"], score["std"]).partition(" ")
    if score["n"] == 1:
        return Cell(median, "(one scan)")
    enough = score["n_subjects"] >= MIN_SUBJECTS
    return Cell(median, spread, format_interval(score["low"], score["high"]) if enough else "")
