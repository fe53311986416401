"""The study's tables: what is printed, cell by cell, and the files in ``tables/``."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from cordlesion.artifacts import write_text
from cordlesion.config import SETS
from cordlesion.evaluation import write_table
from cordlesion.report.results import REPORTED_SETS, Run, StudyResults, lesion_bearing, of_run
from cordlesion.report.style import SET_NAMES
from cordlesion.report.summaries import (
    SCAN_METRICS,
    SUBJECT_METRICS,
    compare_with_best,
    summarize_lesion_free,
)
from cordlesion.statistics import format_summary

SIGNIFICANT = 0.05
MISSING = "–"
_METRIC_NAMES = {
    "lesion_sensitivity": "L-sensitivity",
    "lesion_precision": "L-precision",
    "lesion_f1": "L-F1",
    "voxel_sensitivity": "V-sensitivity",
    "voxel_precision": "V-precision",
    "voxel_f1": "V-F1",
    "subject_sensitivity": "P-sensitivity",
    "subject_specificity": "P-specificity",
}
"""The paper's columns, in its order: lesion-wise, voxel-wise, and by subject (P, as in patient)."""


@dataclass(frozen=True)
class Cell:
    """One printed value."""

    main: str
    detail: str = ""
    """Printed smaller, after the value."""
    bold: bool = False
    """A significant difference."""
    mark: str = ""
    best: bool = False
    """The best value of its column and set."""

    @property
    def text(self) -> str:
        """The cell as plain text."""
        return " ".join(part for part in (self.main + ("*" if self.bold else "") + self.mark, self.detail) if part)


@dataclass(frozen=True)
class Group:
    """Rows that share their first cell."""

    name: str
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Table:
    """A printed table."""

    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    n_words: int = 1
    """How many of the first columns hold words; the others hold numbers."""

    def tsv(self) -> str:
        """Return the table as tab-separated text: the group's name in every row, an asterisk for bold."""
        rows = [[group.name, *(cell.text for cell in row)] for group in self.groups for row in group.rows]
        # A name that holds a tab or a line break must not shift the columns.
        lines = ["\t".join(" ".join(value.split()) for value in row) for row in [list(self.columns), *rows]]
        return "\n".join(lines) + "\n"


def write_tables(results: StudyResults, summary: pd.DataFrame) -> dict[str, Table]:
    """Build every table and write it to ``tables/`` as TSV, with the unrounded numbers in ``summary.tsv``.

    Args:
        results: The study.
        summary: What :func:`summarize_runs` makes of it.

    Returns:
        The tables by name.

    Raises:
        CordlesionError: The folder cannot be written.
    """
    folder = results.folder.root / "tables"
    tables = {name: build(results, summary) for name, build in TABLES.items()}
    for name, table in tables.items():
        write_text(folder / f"{name}.tsv", table.tsv())
    write_table(folder / "summary.tsv", summary)
    return tables


def scores_table(results: StudyResults, summary: pd.DataFrame, *, tuned: bool) -> Table:
    """Lay out the paper's Table 1 (t = 0.5) or Table 2 (tuned t): two rows per run, ``median (mean ± std)``.

    In Table 2 a value is bold where it differs from t = 0.5 (Wilcoxon signed-rank test over scans, p <= 0.05), with a
    dagger where that holds after Holm's correction over all comparisons of the table.
    """
    shown = summary[summary["tuned"] == tuned]
    highest = shown.groupby(["set", "metric"])["value"].transform("max")
    shown = shown.assign(best=(shown["value"] == highest) & (len(results.runs) > 1))
    groups = tuple(Group(results.label(run), _score_rows(shown, run, tuned=tuned)) for run in results.runs)
    optimal = ("Optimal threshold",) if tuned else ()
    return Table(("Loss", "Set", *optimal, "Scans", *_METRIC_NAMES.values()), groups, n_words=2)


def thresholds_table(results: StudyResults, _: pd.DataFrame) -> Table:
    """Lay out the tuned thresholds with their intervals and plateaus."""
    columns = ("Loss", "Tuned t", "95 % interval", "Plateau", "Score", "Scans", "Subjects")
    groups = []
    for run in results.tuned:
        row = of_run(results.thresholds, run).iloc[0]
        cells = (
            Cell(format_number(row["threshold"])),
            Cell(format_interval(row["interval_low"], row["interval_high"])),
            Cell(format_interval(row["plateau_low"], row["plateau_high"])),
            Cell(format_number(row["score"]), best=run == results.best),
            Cell(str(int(row["n_scans"]))),
            Cell(str(int(row["n_subjects"]))),
        )
        groups.append(Group(results.label(run), (cells,)))
    return Table(columns, tuple(groups))


def cohort_table(results: StudyResults, _: pd.DataFrame) -> Table:
    """Lay out who is in which set: scans, subjects, sites, lesions."""
    columns = (
        "Set",
        "Scans",
        "with lesions",
        "without",
        "Subjects",
        "Sites",
        "Lesions",
        "Lesions per scan",
        "mm³ per scan",
    )
    splits = results.splits
    groups = [Group(SET_NAMES[name], (_cohort_row(splits[splits["set"] == name]),)) for name in SETS]
    return Table(columns, (*groups, Group("all", (_cohort_row(splits),))))


def differences_table(results: StudyResults, _: pd.DataFrame) -> Table:
    """Lay out how the best run differs from every other on the test set."""
    columns = ("Against", "Metric", "Scans", "Difference", "95 % interval", "Effect", "p", "p (Holm)")
    differences = compare_with_best(results)
    groups = []
    for run in (run for run in results.runs if run != results.best):
        rows = tuple(_difference_row(row) for _, row in of_run(differences, run).iterrows())
        groups.append(Group(results.label(run), rows))
    return Table(columns, tuple(groups), n_words=2)


def lesion_free_table(results: StudyResults, _: pd.DataFrame) -> Table:
    """Lay out what each run finds in the test scans without lesions."""
    columns = ("Loss", "Threshold", "Scans", "Clean", "95 % interval", "False lesions", "False volume, mm³")
    found = summarize_lesion_free(results)
    groups = []
    for run in results.runs:
        rows = tuple(_lesion_free_row(row) for _, row in of_run(found, run).iterrows())
        groups.append(Group(results.label(run), rows))
    return Table(columns, tuple(groups))


TABLES: dict[str, Callable[[StudyResults, pd.DataFrame], Table]] = {
    "cohort": cohort_table,
    "table1": lambda results, summary: scores_table(results, summary, tuned=False),
    "table2": lambda results, summary: scores_table(results, summary, tuned=True),
    "thresholds": thresholds_table,
    "differences": differences_table,
    "lesion_free": lesion_free_table,
}
"""Every table of the report by the name of its file."""


def format_number(value: float, *, signed: bool = False) -> str:
    """Print with two decimals and a real minus sign."""
    if math.isnan(value):
        return MISSING
    return (f"{value:+.2f}" if signed else f"{value:.2f}").replace("-", "−")


def format_interval(low: float, high: float, *, signed: bool = False) -> str:
    """Print an interval in brackets."""
    return f"[{format_number(low, signed=signed)}, {format_number(high, signed=signed)}]"


def format_p(p: float) -> str:
    """Print a p-value with three decimals, or as ``< 0.001``."""
    if math.isnan(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _score_rows(shown: pd.DataFrame, run: Run, *, tuned: bool) -> tuple[tuple[Cell, ...], ...]:
    rows = []
    for set_name in REPORTED_SETS:
        scores = {str(row["metric"]): row for _, row in of_run(shown, run, set=set_name).iterrows()}
        with_lesions, without = (int(scores[metric]["n"]) for metric in SUBJECT_METRICS)
        threshold = (Cell(format_number(scores["voxel_f1"]["threshold"])),) if tuned else ()
        scans = Cell(str(with_lesions), f"+ {without} without" if without else "")
        cells = [_score_cell(scores[metric], with_lesions) for metric in SCAN_METRICS]
        cells += [_share_cell(scores[metric]) for metric in SUBJECT_METRICS]
        rows.append((Cell(SET_NAMES[set_name]), *threshold, scans, *cells))
    return tuple(rows)


def _score_cell(score: pd.Series, n_expected: int) -> Cell:
    """Print ``median (mean ± std)``; the number of scans only where it is not that of the row."""
    if math.isnan(score["value"]):
        return Cell(MISSING)
    median, _, spread = format_summary(score["value"], score["mean"], score["std"]).partition(" ")
    detail = spread if score["n"] == n_expected else f"{spread}, n = {score['n']}"
    dagger = "†" if score["p_holm"] <= SIGNIFICANT else ""
    return Cell(median, detail, bold=bool(score["p_value"] <= SIGNIFICANT), mark=dagger, best=bool(score["best"]))


def _share_cell(score: pd.Series) -> Cell:
    if not score["n"]:
        return Cell(MISSING)
    return Cell(format_number(score["value"]), f"({score['count']}/{score['n']})", best=bool(score["best"]))


def _cohort_row(scans: pd.DataFrame) -> tuple[Cell, ...]:
    bearing = lesion_bearing(scans)
    sites = scans.loc[scans["site"] != "", "site"].nunique()
    return (
        *(Cell(str(n)) for n in (len(scans), len(bearing), len(scans) - len(bearing), scans["subject"].nunique())),
        Cell(str(sites) if sites else MISSING),
        Cell(str(int(scans["n_reference_lesions"].sum()))),
        _quartiles(bearing["n_reference_lesions"]),
        _quartiles(bearing["reference_volume_mm3"]),
    )


def _quartiles(values: pd.Series) -> Cell:
    if values.empty:
        return Cell(MISSING)
    low, middle, high = (f"{value:.0f}" for value in values.quantile([0.25, 0.5, 0.75]))
    return Cell(middle, f"[{low}, {high}]")


def _difference_row(row: pd.Series) -> tuple[Cell, ...]:
    return (
        Cell(_METRIC_NAMES[row["metric"]]),
        Cell(str(row["n"])),
        Cell(format_number(row["difference"], signed=True)),
        Cell(format_interval(row["low"], row["high"], signed=True)),
        Cell(format_number(row["effect"], signed=True)),
        Cell(format_p(row["p_value"])),
        Cell(format_p(row["p_holm"]), bold=bool(row["p_holm"] <= SIGNIFICANT)),
    )


def _lesion_free_row(row: pd.Series) -> tuple[Cell, ...]:
    return (
        Cell(format_number(row["threshold"]), "tuned" if row["tuned"] else ""),
        Cell(str(row["n"])),
        Cell(format_number(row["n_clean"] / row["n"]) if row["n"] else MISSING, f"({row['n_clean']}/{row['n']})"),
        Cell(format_interval(row["low"], row["high"])),
        Cell(format_number(row["lesions_mean"]), f"({row['lesions_max']:.0f})"),
        Cell(f"{row['volume_mean']:.0f}", f"({row['volume_max']:.0f})"),
    )
