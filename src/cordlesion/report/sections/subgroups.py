"""The test set by site, scanner, orientation and slice spacing, which Hussein et al. leave to future work."""

import math
import re
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product
from typing import Any

import pandas as pd

from cordlesion.io.formats import MISSING, format_interval
from cordlesion.pictures.style import METRIC_NAMES, loss_name
from cordlesion.report.losses import COMPARED
from cordlesion.report.section import Findings, ReportTable, Section
from cordlesion.report.summary_tables import SUBGROUPS as SUMMARY
from cordlesion.report.table import Cell, Group, Table
from cordlesion.statistics import MIN_SUBJECTS, format_summary, median_interval, summarize
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import lesion_bearing

SUBGROUPS = {
    "site": "Site",
    "manufacturer": "Manufacturer",
    "scanner": "Scanner",
    "orientation": "Orientation",
    "slice_spacing_mm": "Slice spacing",
}
"""Columns of ``splits.tsv`` by which scans are grouped, and how they are printed."""

_HOW_READ = {
    "site": "from participants.tsv",
    "manufacturer": "from the scans’ JSON files",
    "scanner": "from the scans’ JSON files or participants.tsv: manufacturer, model and field strength",
    "orientation": "from the slices in the image grid",
    "slice_spacing_mm": "from the image grid: slice thickness and gap together, in classes of 1 mm",
}


def summarize_subgroups(results: StudyResults) -> pd.DataFrame:
    """Summarise voxel and lesion F1 of every loss at its tuned threshold, by subgroup of the test set.

    Where a loss has several seeds, a scan's value is their mean. Scans whose subgroup is not recorded are listed as
    such, and all scans last.

    Returns:
        A row per subgroup, metric and loss: ``by value metric loss n_seeds median mean std n n_undefined n_subjects low
        high``; the interval is of the median, with subjects as units.
    """
    scans = _scores(results)
    rows = [row for column in SUBGROUPS for row in _rows(scans, column)]
    return pd.DataFrame(rows, columns=list(SUMMARY.names))


def subgroup_table(results: StudyResults, subgroups: pd.DataFrame, column: str) -> Table:
    """Lay out the test set grouped by one of :data:`SUBGROUPS`; without rows where nothing is recorded.

    Args:
        results: The study.
        subgroups: From :func:`summarize_subgroups`.
        column: Of ``splits.tsv``.
    """
    shown, title = subgroups[subgroups["by"] == column], SUBGROUPS[column]
    losses = [loss_name(loss) for loss in dict.fromkeys(run.loss for run in results.runs)]
    return Table(
        columns=(title, "Metric", "Scans", "Subjects", *losses),
        groups=tuple(_group(str(name), rows) for name, rows in shown.groupby("value", sort=False)),
        n_words=2,
        lead=f"Test set by {title.lower()}, tuned thresholds; subgroups are not tested against each other.",
        note=_note(column, several_seeds=bool((subgroups["n_seeds"] > 1).any())),
    )


def subgroup_name(column: str) -> str:
    """Return the name of the table that groups scans by ``column``."""
    return f"by_{column.removesuffix('_mm')}"


def _scores(results: StudyResults) -> pd.DataFrame:
    """Return a row per loss and test scan with lesions: its scores and what it can be grouped by."""
    facts = results.splits.drop_duplicates("scan_id").set_index("scan_id")[["subject", *SUBGROUPS]]
    facts = facts.assign(slice_spacing_mm=facts["slice_spacing_mm"].map(_millimetre_class))
    tables = []
    for loss in dict.fromkeys(run.loss for run in results.runs):
        runs = [run for run in results.runs if run.loss == loss]
        scans = pd.concat(lesion_bearing(results.evaluated(run, "test", results.tuned.get(run))) for run in runs)
        scores = scans.groupby(level="scan_id")[list(COMPARED)].mean()
        tables.append(scores.assign(loss=loss, n_seeds=len(runs)).join(facts))
    return pd.concat(tables)


def _rows(scans: pd.DataFrame, column: str) -> Iterator[dict[str, Any]]:
    """Summarise the scans by one of :data:`SUBGROUPS`; nothing where it is recorded for no scan."""
    names = sorted(set(scans[column]) - {""}, key=_natural)
    if not names:
        return
    parts = {name: scans[scans[column] == name] for name in names}
    parts |= {"not recorded": scans[scans[column] == ""], "all": scans}
    for name, inside in parts.items():
        for metric, (loss, mine) in product(COMPARED, inside.groupby("loss", sort=False)):
            yield {"by": column, "value": name, "loss": loss, **_row(mine, metric)}


def _row(scans: pd.DataFrame, metric: str) -> dict[str, Any]:
    (summary,) = summarize(scans, ["n_seeds"], [metric]).to_dict("records")
    n_subjects = scans.loc[scans[metric].notna(), "subject"].nunique()
    low, high = median_interval(scans[metric], scans["subject"])
    return {**{str(key): value for key, value in summary.items()}, "n_subjects": n_subjects, "low": low, "high": high}


def _millimetre_class(spacing_mm: float) -> str:
    """Return ``2 to 3 mm`` for 2 <= spacing < 3."""
    # The grid holds 32-bit floats: 3 mm may come as 2.9999999.
    whole = math.floor(round(spacing_mm, 3)) if not math.isnan(spacing_mm) else None
    return "" if whole is None else f"{whole} to {whole + 1} mm"


def _natural(name: str) -> list[tuple[int, str]]:
    """Order ``Site 2`` before ``Site 10``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _note(column: str, *, several_seeds: bool) -> str:
    seeds = " Where a loss has several seeds, a scan’s value is their mean." if several_seeds else ""
    return (
        f"Read {_HOW_READ[column]}. Median (mean ± standard deviation) over scans with lesions, 95 % interval with "
        f"subjects as units.{seeds} Rows marked as too few describe those scans and estimate nothing. Subgroups differ "
        "in more than what names them."
    )


def _group(name: str, rows: pd.DataFrame) -> Group:
    """Lay out one subgroup: a row per metric, a column per loss."""
    return Group(name, tuple(_cells(str(metric), scores) for metric, scores in rows.groupby("metric", sort=False)))


def _cells(metric: str, scores: pd.DataFrame) -> tuple[Cell, ...]:
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


def _words(findings: Findings) -> Mapping[str, object]:
    recorded = set(findings.frames["subgroups"]["by"])
    return {
        "names": [subgroup_name(column) for column in SUBGROUPS if column in recorded],
        "unrecorded": [title.lower() for column, title in SUBGROUPS.items() if column not in recorded],
    }


def _table(column: str, findings: Findings) -> Table:
    return subgroup_table(findings.results, findings.frames["subgroups"], column)


SECTION = Section(
    key="subgroups",
    title="By site, scanner, orientation and slice spacing",
    summarize={"subgroups": summarize_subgroups},
    tables=tuple(ReportTable(subgroup_name(one), partial(_table, one), group="subgroups") for one in SUBGROUPS),
    words=_words,
    is_shown=lambda tables: any(tables[subgroup_name(column)].groups for column in SUBGROUPS),
)
