"""Why the losses want different thresholds: reliability, calibration errors and the share of lesion at each t."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cordlesion.io.formats import format_fine, format_number
from cordlesion.pictures.style import INK, MUTED, SLATE, loss_colors, loss_name, panel_grid, style
from cordlesion.report.section import Findings, ReportFigure, ReportTable, Section
from cordlesion.report.table import Cell, Group, Table
from cordlesion.report.words import enumerate_words
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import Run, of_run

TOLERANCE = 0.05
"""Smaller differences between t and the share of lesion at p = t count as none: one step of the paper's grid."""

_COLUMNS = (
    *("Loss", "Tuned t", "Lesion share at t", "Half of F1", "Temperature", "ECE", "ECE scaled", "Brier"),
    *("Brier scaled", "Σp / lesion volume"),
)


def summarize_calibration(results: StudyResults) -> pd.DataFrame:
    """Measure how well each run is calibrated, and what its tuned threshold means.

    F1 over voxels is highest when just those are kept whose chance of being lesion exceeds half of that F1 (Lipton et
    al., ECML PKDD 2014). So the share of lesion among voxels at the tuned threshold, and not the threshold itself, is
    what runs should have in common.

    Returns:
        A row per run: ``loss seed threshold share half_f1 temperature ece ece_scaled brier brier_scaled volume_ratio``.
        ``share`` (of lesion where p = t, read from the reliability curve) and ``half_f1`` (half the F1 of all voxels
        taken as one, at t), means over the folds where there are several, are those of the threshold set, on which t
        and the temperature were chosen; the others are those of the test set. ``volume_ratio`` is the sum of all
        probabilities over the volume of the reference.
    """
    runs = [run for run in results.tuned if not of_run(results.calibration, run).empty]
    return pd.DataFrame([_row(results, run) for run in runs]).astype({"seed": "Int64"})


def _row(results: StudyResults, run: Run) -> dict[str, Any]:
    tested = of_run(results.calibration, run, set="test").set_index("map")
    raw, scaled = tested.loc["raw"], tested.loc["scaled"]
    bins = of_run(results.reliability, run, set="threshold", map="raw")
    sweep = results.rows("sweep", run, set="threshold")
    return {
        "loss": run.loss,
        "seed": run.seed,
        "threshold": results.tuned[run],
        "share": float(np.mean([_share_at(bins, t) for t in results.chosen(run).values()])),
        "half_f1": float(np.mean([_pooled_f1(sweep, t) for t in results.chosen(run).values()])) / 2,
        "temperature": scaled["temperature"],
        "ece": raw["expected_calibration_error"],
        "ece_scaled": scaled["expected_calibration_error"],
        "brier": raw["brier_score"],
        "brier_scaled": scaled["brier_score"],
        "volume_ratio": raw["sum_probability"] / raw["n_lesion_voxels"] if raw["n_lesion_voxels"] else np.nan,
    }


def _share_at(bins: pd.DataFrame, t: float) -> float:
    """Read the reliability curve at p = t: straight lines between bins that hold voxels."""
    filled = bins[bins["n_voxels"] > 0]
    return float(np.interp(t, filled["mean_probability"], filled["lesion_share"]))


def _pooled_f1(sweep: pd.DataFrame, t: float) -> float:
    """Return the F1 of all voxels of all scans taken as one."""
    rows = sweep[np.isclose(sweep["threshold"], t, atol=1e-6)]
    common = (rows["voxel_sensitivity"] * rows["reference_volume_mm3"]).sum()
    return float(2 * common / (rows["reference_volume_mm3"].sum() + rows["predicted_volume_mm3"].sum()))


def calibration_table(results: StudyResults, calibration: pd.DataFrame) -> Table:
    """Lay out how well each run is calibrated, from :func:`summarize_calibration`."""
    groups = tuple(
        Group(results.label(run), (_cells(rows.iloc[0]),))
        for run in results.tuned
        if not (rows := of_run(calibration, run)).empty
    )
    return Table(
        columns=_COLUMNS,
        groups=groups,
        lead="Calibration of the maps as predicted, over the voxels of each scan’s own grid that its stack covers.",
        note=(
            "On the threshold set: share of lesion among voxels with p = t, and half of the F1 of all "
            "voxels taken as one; temperature fitted there (above 1: the map was too sure of itself). On the test set: "
            "expected calibration error (ECE, 15 bins) and Brier score, as predicted and after temperature scaling; "
            "sum of all probabilities over the volume of the reference, 1 for a calibrated map. Most voxels are "
            "background with p near 0, which makes every ECE small. Empty references: their voxels count too."
        ),
    )


def reliability_figure(results: StudyResults) -> Figure:
    """Draw the share of lesion voxels against the predicted probability, a panel per loss, its seeds together."""
    losses = list(dict.fromkeys(run.loss for run in results.tuned if not of_run(results.reliability, run).empty))
    colors = loss_colors(run.loss for run in results.runs)
    with style():
        figure, panels = panel_grid(len(losses), row_inches=2.1, n_columns=3)
        for axes, loss in zip(panels, losses, strict=True):
            axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.7)
            for run in (run for run in results.tuned if run.loss == loss):
                tuned = list(results.chosen(run).values())
                _draw_reliability(axes, of_run(results.reliability, run), colors[loss], tuned)
            axes.set_title(loss_name(loss))
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
            axes.grid(axis="both")
        figure.legend(handles=_reliability_handles(), loc="outside upper center", ncols=4)
        figure.supxlabel("probability p", fontsize=8, color=INK)
        figure.supylabel("share of lesion voxels", fontsize=8, color=INK)
        return figure


def calibration_remark(calibration: pd.DataFrame) -> str:
    """Explain why losses want different thresholds, as far as their calibration on the threshold set shows it.

    Empty where no run has been calibrated.
    """
    if calibration.empty:
        return ""
    # Seeds together: the page asks about losses.
    rows = calibration.groupby("loss", sort=False)[["threshold", "share", "half_f1"]].mean().reset_index()
    sentences = [_common(rows)] if len(rows) > 1 else []
    above, below = rows["threshold"] > rows["share"] + TOLERANCE, rows["threshold"] < rows["share"] - TOLERANCE
    for part, words in (
        (rows[above], "there p overstates the chance of lesion, and t is set above it"),
        (rows[below], "there p understates the chance of lesion, and t is set below it"),
        (rows[~above & ~below], "there p is about the chance of lesion"),
    ):
        sentences += [f"{_named(part)}: {words}."] if len(part) else []
    half = _range(rows["half_f1"])
    return (
        f"{' '.join(sentences)} A map whose p is the chance of lesion has the highest F1 over voxels when it is cut at "
        f"half of that F1 (Lipton et al. 2014), here {half}: far below 0.5 as long as lesions are hard to find."
    )


def _common(rows: pd.DataFrame) -> str:
    """Compare the spread of thresholds with that of the shares of lesion at them."""
    narrower = rows["share"].max() - rows["share"].min() < rows["threshold"].max() - rows["threshold"].min()
    so = (
        "the losses agree better on the chance of lesion at which to cut than on the p that they give to it"
        if narrower
        else "calibration does not explain why the thresholds differ"
    )
    return (
        f"The tuned thresholds go from {_range(rows['threshold'])}; the share of lesion among voxels with p = t, on "
        f"the threshold set, from {_range(rows['share'])}: {so}."
    )


def _range(values: "pd.Series[float]") -> str:
    low, high = format_number(values.min()), format_number(values.max())
    return low if low == high else f"{low} to {high}"


def _named(rows: pd.DataFrame) -> str:
    """List losses with their threshold and the share of lesion at it."""
    numbers = zip(rows["loss"], rows["threshold"].map(format_number), rows["share"].map(format_number), strict=True)
    return enumerate_words([f"{loss_name(str(loss))} (p = {t}, lesion {share})" for loss, t, share in numbers])


def _cells(row: pd.Series) -> tuple[Cell, ...]:
    return (
        Cell(format_number(row["threshold"])),
        Cell(format_number(row["share"])),
        Cell(format_number(row["half_f1"])),
        Cell(format_number(row["temperature"])),
        *(Cell(format_fine(row[name], 4)) for name in ("ece", "ece_scaled", "brier", "brier_scaled")),
        Cell(format_number(row["volume_ratio"])),
    )


def _draw_reliability(axes: Axes, bins: pd.DataFrame, color: str, tuned: Sequence[float]) -> None:
    filled = bins[bins["n_voxels"] > 0]
    looks: dict[tuple[str, str], dict[str, Any]] = {
        ("test", "scaled"): {"color": MUTED, "linestyle": (0, (3, 2)), "linewidth": 0.9},
        ("threshold", "raw"): {"color": color, "linewidth": 0.8},
        ("test", "raw"): {"color": color, "linewidth": 1.2, "marker": "o", "markersize": 3},
    }
    for (set_name, kind), look in looks.items():
        points = filled[(filled["set"] == set_name) & (filled["map"] == kind)]
        axes.plot(points["mean_probability"], points["lesion_share"], **look)
    for t in tuned:
        axes.axvline(t, color=color, linewidth=0.8, linestyle=(0, (1, 2)))


def _reliability_handles() -> list[Line2D]:
    color = SLATE
    return [
        Line2D([], [], color=color, linewidth=1.2, marker="o", markersize=3, label="test set"),
        Line2D([], [], color=color, linewidth=0.8, label="threshold set"),
        Line2D([], [], color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), label="test set, scaled"),
        Line2D([], [], color=color, linewidth=0.8, linestyle=(0, (1, 2)), label="tuned t"),
    ]


def _words(findings: Findings) -> Mapping[str, object]:
    calibration = findings.frames["calibration"]
    # The remark is about losses; an ensemble has the calibration of a mean.
    return {"remark": calibration_remark(calibration[~calibration["loss"].isin(findings.results.ensembles)])}


SECTION = Section(
    key="calibration",
    title="Why the thresholds differ",
    summarize={"calibration": summarize_calibration},
    tables=(ReportTable("calibration", lambda of: calibration_table(of.results, of.frames["calibration"])),),
    figures=(ReportFigure("figure4_reliability", reliability_figure),),
    words=_words,
    is_shown=lambda tables: bool(tables["calibration"].groups),
)
