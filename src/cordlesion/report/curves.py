"""Reliability diagrams and FROC curves."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cordlesion.metrics.froc import FALSE_LESIONS_PER_SCAN
from cordlesion.pictures.style import INK, MUTED, SLATE, WIDTH_INCHES, loss_colors, loss_name, panel_grid, style
from cordlesion.study_folder.results import StudyResults, of_run

Dash: TypeAlias = str | tuple[float, tuple[float, ...]]

# With more losses than that, colours are too close to each other alone.
_COLORS_PER_DASH = 6
_DASHES: tuple[Dash, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)))
_MARKS = ("o", "s", "D", "^", "P", "X", "*")
_LABELS = {0.125: "1/8", 0.25: "1/4", 0.5: "1/2"}
_LEGEND_LINE_INCHES = 0.16


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


def froc_figure(results: StudyResults) -> Figure:
    """Draw lesion sensitivity against false lesions per scan on the test set, a curve per loss (mean over seeds)."""
    rows = results.froc[(results.froc["set"] == "test") & (results.froc["threshold"] > 0)]
    losses = list(dict.fromkeys(rows["loss"]))
    colors = loss_colors(run.loss for run in results.runs)
    with style():
        height = max(3.6, 0.5 + _LEGEND_LINE_INCHES * len(losses))
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        axes = figure.add_subplot()
        for number, loss in enumerate(losses):
            curve = rows[rows["loss"] == loss].groupby("threshold")[["false_per_scan", "sensitivity"]].mean()
            # Told apart in grey too: neighbours by their marks, many by dashes.
            look = {
                "linestyle": _DASHES[number // _COLORS_PER_DASH % len(_DASHES)],
                "marker": _MARKS[number % len(_MARKS)],
            }
            _draw_froc(axes, curve, colors[loss], look, loss_name(loss))
            for run in (run for run in results.tuned if run.loss == loss):
                _mark_tuned(axes, of_run(rows, run), list(results.chosen(run).values()), colors[loss])
        _scale_froc(axes, highest=float(rows["sensitivity"].max()))
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper")
        return figure


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


def _draw_froc(axes: Axes, curve: pd.DataFrame, color: str, look: dict[str, Any], name: str) -> None:
    """Draw every threshold as a point, and the best sensitivity with at most so many false lesions as steps."""
    points = curve.sort_values("false_per_scan", kind="stable")
    axes.plot(
        [*points["false_per_scan"], FALSE_LESIONS_PER_SCAN[-1]],
        np.append(best := points["sensitivity"].cummax(), best.max()),
        color=color, linestyle=look["linestyle"], linewidth=1.3, drawstyle="steps-post",
    )  # fmt: skip
    spots = {"marker": look["marker"], "markersize": 3.2, "color": color, "markeredgewidth": 0}
    axes.plot(points["false_per_scan"], points["sensitivity"], linestyle="none", **spots)
    axes.plot([], [], linestyle=look["linestyle"], linewidth=1.3, label=name, **spots)


def _mark_tuned(axes: Axes, curve: pd.DataFrame, tuned: Sequence[float], color: str) -> None:
    here = curve[[bool(np.isclose(t, tuned, atol=1e-6).any()) for t in curve["threshold"]]]
    axes.plot(
        here["false_per_scan"], here["sensitivity"], linestyle="none", marker="v", markersize=6, color=color,
        markeredgecolor=INK, markeredgewidth=0.6, zorder=5,
    )  # fmt: skip


def _scale_froc(axes: Axes, highest: float) -> None:
    axes.set_xscale("symlog", base=2, linthresh=FALSE_LESIONS_PER_SCAN[0], linscale=0.6)
    ticks = [0, *FALSE_LESIONS_PER_SCAN]
    axes.set_xticks(ticks, [_LABELS.get(tick, f"{tick:g}") for tick in ticks])
    axes.minorticks_off()
    axes.set(xlim=(-0.01, FALSE_LESIONS_PER_SCAN[-1] * 1.05), ylim=(-0.02, min(1.02, 1.2 * highest + 0.02)))
    axes.set(xlabel="false lesions per scan", ylabel="lesion sensitivity")
    axes.grid(axis="both")
