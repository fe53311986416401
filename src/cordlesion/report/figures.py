"""The study's figures, each a function from results to a matplotlib figure (no pyplot, no global state)."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogFormatter, MaxNLocator

from cordlesion.config import SETS, SetName
from cordlesion.pictures.style import (
    INK,
    MUTED,
    SET_NAMES,
    SLATE,
    WIDTH_INCHES,
    loss_colors,
    loss_name,
    panel_grid,
    save_figure,
    style,
)
from cordlesion.report.curves import froc_figure, reliability_figure
from cordlesion.report.example import example_figure
from cordlesion.report.tradeoff import tradeoff_figure
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, StudyResults, lesion_bearing
from cordlesion.threshold import THRESHOLDS

MAX_SCANS_AS_POINTS = 200


def draw_and_save(results: StudyResults, name: str) -> Path:
    """Draw one of :data:`FIGURES` and save it in ``figures/`` as SVG and PDF; the same results give the same bytes.

    Returns:
        The SVG file.

    Raises:
        CordlesionError: A map or a scan for the example is missing, or the folder cannot be written.
    """
    figure = FIGURES[name](results)
    path = results.folder.root / "figures" / f"{name}.svg"
    for suffix in (".pdf", ".svg"):
        save_figure(figure, path.with_suffix(suffix))
    return path


def cohort_figure(results: StudyResults) -> Figure:
    """Draw the number and the total volume of lesions per lesion-bearing scan, by set (the paper's Figure 1)."""
    bearing = lesion_bearing(results.splits)
    groups = [bearing[bearing["set"] == name] for name in SETS]
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, 2.7), layout="constrained")
        counts, volumes = figure.subplots(1, 2)
        for axes, column in ((counts, "n_reference_lesions"), (volumes, "reference_volume_mm3")):
            samples = [group[column].to_numpy(float) for group in groups]
            _boxes(axes, samples, np.arange(len(SETS), dtype=float), width=0.5, color=SLATE, point_size=9)
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


def threshold_figure(results: StudyResults, set_name: SetName = "threshold") -> Figure:
    """Draw the voxel F1 of every lesion-bearing scan against the threshold, a panel per loss (the paper's Figure 2).

    Where a loss has several seeds, a scan's value is its mean over them, and a thin line follows the median of each.
    """
    rows = lesion_bearing(results.sweep[results.sweep["set"] == set_name])
    losses = list(dict.fromkeys(run.loss for run in results.runs if run in results.tuned))
    colors = loss_colors(run.loss for run in results.runs)
    with style():
        n_columns = 3 if len(losses) == 3 else 2  # without a hole
        figure, panels = panel_grid(len(losses), row_inches=2.0, n_columns=n_columns)
        for axes, loss in zip(panels, losses, strict=True):
            scores = rows[rows["loss"] == loss].pivot_table("voxel_f1", ["seed", "scan_id"], "threshold", dropna=False)
            if scores.index.get_level_values("seed").nunique() > 1:
                _draw_medians(axes, scores.groupby("seed").median(), colors[loss])
            choices = results.written_thresholds[results.written_thresholds["loss"] == loss]
            _draw_curve(axes, scores.groupby("scan_id").mean(), colors[loss], choices)
            axes.set_title(loss_name(loss))
        figure.supxlabel("decision threshold t", fontsize=8, color=INK)
        figure.supylabel("voxel F1", fontsize=8, color=INK)
        return figure


def training_figure(results: StudyResults) -> Figure:
    """Draw training and validation loss per epoch, a panel per loss, with the epoch that was kept."""
    losses = list(dict.fromkeys(run.loss for run in results.histories))
    colors = loss_colors(run.loss for run in results.runs)
    with style():
        figure, panels = panel_grid(len(losses), row_inches=1.7, share_values=False, n_columns=3)
        for axes, loss in zip(panels, losses, strict=True):
            for history in (history for run, history in results.histories.items() if run.loss == loss):
                _draw_history(axes, history, colors[loss])
            axes.set_title(loss_name(loss))
        panels[0].legend(loc="upper right")
        figure.supxlabel("epoch", fontsize=8, color=INK)
        figure.supylabel("loss", fontsize=8, color=INK)
        return figure


def shows_points(n_scans: int) -> bool:
    """Tell whether Figure 2 shows every scan, beside the boxes: of many scans points would be a cloud, and heavy."""
    return n_scans <= MAX_SCANS_AS_POINTS


FIGURES: dict[str, Callable[[StudyResults], Figure]] = {
    "recommendation": tradeoff_figure,
    "figure1_cohort": cohort_figure,
    "figure2_thresholds": threshold_figure,
    "figure2_thresholds_test": lambda results: threshold_figure(results, "test"),
    "figure3_example": example_figure,
    "figure4_reliability": reliability_figure,
    "figure5_froc": froc_figure,
    "figure6_training": training_figure,
}
"""Every figure of the report by the name of its file."""


def _draw_medians(axes: Axes, medians: pd.DataFrame, color: str) -> None:
    for _, curve in medians.iterrows():
        axes.plot(medians.columns, curve, color=color, linewidth=0.5, alpha=0.6)


def _draw_curve(axes: Axes, scores: pd.DataFrame, color: str, choices: pd.DataFrame) -> None:
    """Draw scores (a row per scan, a column per threshold) with the thresholds that were chosen."""
    t = scores.columns.to_numpy(float)
    samples = {value: f1.dropna().to_numpy(float) for value, (_, f1) in zip(t, scores.items(), strict=True)}
    boxed = [value for value in t if value in THRESHOLDS]  # a finer grid enters the line only: its boxes would overlap
    for low, high in choices[["interval_low", "interval_high"]].dropna().to_numpy(float):
        axes.axvspan(low, high, color=MUTED, alpha=0.15 / len(choices), linewidth=0)
    axes.axvline(DEFAULT_THRESHOLD, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    point_size = 2 if shows_points(len(scores)) else 0
    _boxes(axes, [samples[value] for value in boxed], np.array(boxed), width=0.035, color=color, point_size=point_size)
    axes.plot(t, [np.median(samples[value]) for value in t], color=color, linewidth=0.9)
    tuned = choices["threshold"].to_numpy(float)
    axes.plot(tuned, np.full(len(tuned), 1.06), "v", color=color, markersize=5, clip_on=False)
    near_end = tuned.max() > 0.8
    text = f"t = {tuned[0]:.2f}" if len(tuned) == 1 else f"t of {len(tuned)} trainings"
    place = (float(tuned.min() if near_end else tuned.max()), 1.06)
    axes.annotate(text, place, (-5 if near_end else 5, 0), textcoords="offset points", fontsize=7,
                  ha="right" if near_end else "left", va="center", annotation_clip=False)  # fmt: skip
    axes.set(xlim=(-0.04, 1.04), ylim=(-0.02, 1.1), xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
    axes.grid(axis="y")


def _draw_history(axes: Axes, history: pd.DataFrame, color: str) -> None:
    epoch, validation = history["epoch"].to_numpy(), history["validation_loss"].to_numpy(float)
    axes.plot(epoch, history["train_loss"], color=MUTED, linewidth=0.9, label="training")
    axes.plot(epoch, validation, color=color, linewidth=1.2, label="validation")
    kept = int(np.nanargmin(validation))
    ring = Line2D([epoch[kept]], [validation[kept]], linestyle="none", marker="o", markersize=5)
    ring.set(markerfacecolor="none", markeredgecolor=INK, label="epoch kept")
    axes.add_line(ring)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")


def _boxes(
    axes: Axes,
    samples: Sequence[npt.NDArray[np.float64]],
    positions: npt.NDArray[np.float64],
    *,
    width: float,
    color: str,
    point_size: float,
) -> None:
    """Draw box plots (quartiles, whiskers to 1.5 interquartile ranges) and every value as a jittered point.

    Points of no size are left out.
    """
    for sample, position in zip(samples, positions, strict=True) if point_size else ():
        # The golden ratio spreads points evenly and, unlike a random generator, always in the same way.
        jitter = (np.arange(len(sample)) * 0.618034 % 1 - 0.5) * 0.8 * width
        axes.scatter(position + jitter, sample, s=point_size, color=color, alpha=0.45, linewidths=0)
    axes.boxplot(
        samples,
        positions=positions,
        widths=width,
        manage_ticks=False,
        showfliers=False,
        showcaps=False,
        patch_artist=True,
        boxprops={"facecolor": color + "30", "edgecolor": color, "linewidth": 0.7},
        medianprops={"color": INK, "linewidth": 1.1},
        whiskerprops={"color": color, "linewidth": 0.7},
    )
