"""Who is in which set, and how many lesions they have."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogFormatter, MaxNLocator

from cordlesion.config import SETS
from cordlesion.io.formats import MISSING
from cordlesion.pictures.boxes import draw_boxes
from cordlesion.pictures.style import SET_NAMES, SLATE, WIDTH_INCHES, style
from cordlesion.report.demographics import Demographics, read_demographics
from cordlesion.report.section import Findings, ReportFigure, ReportTable, Section
from cordlesion.report.table import Cell, Group, Table
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import lesion_bearing

_COLUMNS = (
    *("Set", "Scans", "with lesions", "without", "Subjects", "Sites"),
    *("Lesions", "Lesions per scan", "mm³ per scan"),
)
_DEMOGRAPHICS = ("Age (years)", "Women", "Brands", "Voxel (mm)")
"""Columns that a table has where the dataset records them for some scan."""


def cohort_table(results: StudyResults) -> Table:
    """Lay out who is in which set: scans, subjects, sites, lesions; ages, sexes, brands and voxels where known."""
    splits, known = results.splits, read_demographics(results)
    parts = {SET_NAMES[name]: splits[splits["set"] == name] for name in SETS} | {
        "all": splits.drop_duplicates("scan_id")
    }
    described = {name: _described(scans, known) for name, scans in parts.items()}
    shown = [column for column in _DEMOGRAPHICS if any(row[column].main != MISSING for row in described.values())]
    return Table(
        columns=(*_COLUMNS, *shown),
        groups=tuple(
            Group(name, ((*_row(scans), *(described[name][column] for column in shown)),))
            for name, scans in parts.items()
        ),
        lead="Lesions and volumes: median [quartiles] per scan with lesions.",
        note=f"{_sets(results)}{_note(shown)}",
    )


def cohort_figure(results: StudyResults) -> Figure:
    """Draw the number and the total volume of lesions per lesion-bearing scan, by set (Figure 1 of Hussein et al.)."""
    with_lesions = lesion_bearing(results.splits)
    groups = [with_lesions[with_lesions["set"] == name] for name in SETS]
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, 2.7), layout="constrained")
        counts, volumes = figure.subplots(1, 2)
        for axes, column in ((counts, "n_reference_lesions"), (volumes, "reference_volume_mm3")):
            samples = [group[column].to_numpy(float) for group in groups]
            draw_boxes(axes, samples, np.arange(len(SETS), dtype=float), width=0.5, color=SLATE, point_size=9)
            labels = [f"{SET_NAMES[name]}\nn = {len(group)}" for name, group in zip(SETS, groups, strict=True)]
            axes.set_xticks(range(len(SETS)), labels)
            axes.grid(axis="y")
        counts.set(title="Number of lesions", ylabel="lesions per scan", ylim=(0, None))
        counts.yaxis.set_major_locator(MaxNLocator(integer=True))
        volumes.set(title="Total lesion volume", ylabel="mm³ per scan (logarithmic)", yscale="log")
        volumes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        # Within a decade the ticks between the powers of ten have labels too.
        volumes.yaxis.set_minor_formatter(LogFormatter())
        return figure


def _described(scans: pd.DataFrame, known: Demographics) -> dict[str, Cell]:
    subjects, names = scans["subject"].astype(str).unique(), scans["scan_id"].astype(str)
    women, sexes = known.n_women(subjects)
    texts = (
        known.age(subjects),
        f"{women} of {sexes}" if sexes else "",
        ", ".join(known.brands_of(names)),
        known.voxel(names),
    )
    return {column: Cell(text or MISSING) for column, text in zip(_DEMOGRAPHICS, texts, strict=True)}


def _note(shown: Sequence[str]) -> str:
    notes = {
        "Age (years)": " Age: mean ± standard deviation over subjects.",
        "Women": " Women: of subjects of known sex.",
        "Voxel (mm)": " Voxel: mean ± standard deviation of each edge over scans, shortest first.",
    }
    return "".join(notes.get(column, "") for column in shown)


def _sets(results: StudyResults) -> str:
    if "fold" in results.written_thresholds:
        return "Every subject is in one set of each fold only, and counts once in every set that it is in."
    return "Every subject is in one set only."


def _row(scans: pd.DataFrame) -> tuple[Cell, ...]:
    with_lesions = lesion_bearing(scans)
    sites = scans.loc[scans["site"] != "", "site"].nunique()
    counts = (len(scans), len(with_lesions), len(scans) - len(with_lesions), scans["subject"].nunique())
    return (
        *(Cell(str(n)) for n in counts),
        Cell(str(sites) if sites else MISSING),
        Cell(str(int(scans["n_reference_lesions"].sum()))),
        _quartiles(with_lesions["n_reference_lesions"]),
        _quartiles(with_lesions["reference_volume_mm3"]),
    )


def _quartiles(values: pd.Series) -> Cell:
    if values.empty:
        return Cell(MISSING)
    low, middle, high = (f"{value:.0f}" for value in values.quantile([0.25, 0.5, 0.75]))
    return Cell(middle, f"[{low}, {high}]")


def _words(findings: Findings) -> Mapping[str, object]:
    manifest = findings.results.manifest
    return {"excluded": manifest.get("excluded", {}), "partial": manifest.get("partial", {})}


SECTION = Section(
    key="cohort",
    title="Cohort",
    tables=(ReportTable("cohort", lambda of: cohort_table(of.results), title="Cohort by set", has_scores=False),),
    figures=(ReportFigure("figure1_cohort", cohort_figure),),
    words=_words,
)
