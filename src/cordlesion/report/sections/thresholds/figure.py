"""Voxel F1 against the decision threshold: Figure 2 of Hussein et al."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cordlesion.config import SetName
from cordlesion.pictures.boxes import draw_boxes
from cordlesion.pictures.style import INK, MUTED, loss_colors, loss_name, panel_grid, style
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, StudyResults
from cordlesion.study_folder.runs import lesion_bearing
from cordlesion.threshold import THRESHOLDS

MAX_SCANS_AS_POINTS = 200
_CURVE = ("seed", "scan_id", "threshold", "voxel_f1", "reference_volume_mm3")


def threshold_figure(results: StudyResults, set_name: SetName = "threshold") -> Figure:
    """Draw the voxel F1 of every lesion-bearing scan against the threshold, a panel per loss.

    This is Figure 2 of Hussein et al. Where a loss has several seeds, a scan's value is its mean over them, and a thin
    line follows the median of each. The ensemble of a loss is a dashed line in its panel.
    """
    joined = {name: one.losses[0] for name, one in results.ensembles.items() if len(one.losses) == 1}
    losses = list(dict.fromkeys(run.loss for run in results.runs if run in results.tuned and run.loss not in joined))
    colors = loss_colors(run.loss for run in results.runs)
    with style():
        n_columns = 3 if len(losses) == 3 else 2  # without a hole
        figure, panels = panel_grid(len(losses), row_inches=2.0, n_columns=n_columns)
        for axes, loss in zip(panels, losses, strict=True):
            rows = lesion_bearing(results.rows_of_loss("sweep", loss, _CURVE, set=set_name))
            scores = rows.pivot_table("voxel_f1", ["seed", "scan_id"], "threshold", dropna=False)
            if scores.index.get_level_values("seed").nunique() > 1:
                _draw_medians(axes, scores.groupby("seed").median(), colors[loss])
            choices = results.written_thresholds[results.written_thresholds["loss"] == loss]
            _draw_curve(axes, scores.groupby("scan_id").mean(), colors[loss], choices)
            for name in (name for name, one in joined.items() if one == loss):
                own = lesion_bearing(results.rows_of_loss("sweep", name, _CURVE, set=set_name))
                _draw_ensemble(axes, own, results.written_thresholds, name)
            axes.set_title(loss_name(loss))
        figure.supxlabel("decision threshold t", fontsize=8, color=INK)
        figure.supylabel("voxel F1", fontsize=8, color=INK)
        return figure


def shows_points(n_scans: int) -> bool:
    """Return whether the figure shows every scan as a point: many points would be a cloud and a large file."""
    return n_scans <= MAX_SCANS_AS_POINTS


def _draw_medians(axes: Axes, medians: pd.DataFrame, color: str) -> None:
    for _, curve in medians.iterrows():
        axes.plot(medians.columns, curve, color=color, linewidth=0.5, alpha=0.6)


def _draw_ensemble(axes: Axes, rows: pd.DataFrame, thresholds: pd.DataFrame, name: str) -> None:
    medians = rows.groupby("threshold")["voxel_f1"].median()
    axes.plot(medians.index, medians, color=INK, linewidth=0.9, linestyle=(0, (4, 2)))
    tuned = thresholds.loc[thresholds["loss"] == name, "threshold"].to_numpy(float)
    axes.plot(tuned, np.full(len(tuned), 1.06), "v", markerfacecolor="none", markeredgecolor=INK, clip_on=False)


def _draw_curve(axes: Axes, scores: pd.DataFrame, color: str, choices: pd.DataFrame) -> None:
    """Draw scores (a row per scan, a column per threshold) with the thresholds that were chosen."""
    t = scores.columns.to_numpy(float)
    samples = {value: f1.dropna().to_numpy(float) for value, (_, f1) in zip(t, scores.items(), strict=True)}
    boxed = [value for value in t if value in THRESHOLDS]  # a finer grid enters the line only: its boxes would overlap
    for low, high in choices[["interval_low", "interval_high"]].dropna().to_numpy(float):
        axes.axvspan(low, high, color=MUTED, alpha=0.15 / len(choices), linewidth=0)
    axes.axvline(DEFAULT_THRESHOLD, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    point_size = 2 if shows_points(len(scores)) else 0
    draw_boxes(
        axes, [samples[value] for value in boxed], np.array(boxed), width=0.035, color=color, point_size=point_size
    )
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
