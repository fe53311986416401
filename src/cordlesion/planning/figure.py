"""The figure of the command ``plan``."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cordlesion.io.formats import format_number
from cordlesion.pictures.style import INK, MUTED, WIDTH_INCHES, loss_colors, loss_name, style
from cordlesion.planning.plan import Plan
from cordlesion.planning.tables import BEATS, THRESHOLD, TUNING

_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1, 1.5)))


def plot_plan(plan: Plan) -> Figure:
    """Draw the power of "A beats B" and of "tuning helps", and the width of threshold intervals, against subjects.

    Args:
        plan: From :func:`make_plan`.

    Returns:
        A figure with a panel per gap in the upper row, and tuning and thresholds in the lower one.
    """
    gaps = plan.sizes.gaps[:3]
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, 4.9), layout="constrained", facecolor="white")
        upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(1, 1.1))[:, 0]
        panels = upper.subplots(1, len(gaps), sharey=True, squeeze=False)[0]
        for axes, gap in zip(panels, gaps, strict=True):
            _draw_gap(axes, plan, gap)
        panels[0].set_ylabel("power")
        upper.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", title="seeds")
        tuning, threshold = lower.subplots(1, 2)
        colors = loss_colors(dict.fromkeys([*plan.pilot.gains, *plan.pilot.threshold_widths]))
        _draw_tuning(tuning, plan, colors)
        _draw_widths(threshold, plan, colors)
        return figure


def _draw_gap(axes: Axes, plan: Plan, gap: float) -> None:
    """Draw the power of one gap: a line per number of seeds, the first number of scans per subject."""
    rows = _rows(plan, BEATS)
    rows = rows[(rows["gap"] == gap) & (rows["scans_per_subject"] == plan.sizes.scans_per_subject[0])]
    shades = colormaps["viridis_r"](np.linspace(0.2, 0.95, len(plan.sizes.seeds)))
    for n_seeds, shade in zip(plan.sizes.seeds, shades, strict=True):
        mine = rows[rows["n_seeds"] == n_seeds].sort_values("n_subjects")
        axes.fill_between(mine["n_subjects"], mine["low"], mine["high"], color=shade, alpha=0.1, linewidth=0)
        axes.plot(mine["n_subjects"], mine["value"], color=shade, marker="o", markersize=2.5,
                  label=str(n_seeds))  # fmt: skip
    axes.axhline(plan.sizes.power, color=MUTED, linewidth=0.7, linestyle=(0, (1, 2)))
    axes.set_title(f"A beats B: true gap {format_number(gap)}")
    axes.set(xlabel="subjects with lesions, test set", ylim=(-0.02, 1.02))
    _log_subjects(axes, plan)


def _draw_tuning(axes: Axes, plan: Plan, colors: Mapping[str, str]) -> None:
    rows = _rows(plan, TUNING)
    for number, (loss, mine) in enumerate(rows.groupby("loss", sort=False)):
        axes.plot(mine["n_subjects"], mine["value"], color=colors[str(loss)], linestyle=_DASHES[number % 4],
                  label=f"{loss_name(str(loss))} {format_number(mine['gap'].iloc[0], signed=True)}")  # fmt: skip
    axes.axhline(plan.sizes.power, color=MUTED, linewidth=0.7, linestyle=(0, (1, 2)))
    axes.set_title("Tuning helps (with the median gain of the pilot)")
    axes.set(xlabel="subjects with lesions, test set", ylabel="power", ylim=(-0.02, 1.02))
    _log_subjects(axes, plan)
    if len(rows):
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def _draw_widths(axes: Axes, plan: Plan, colors: Mapping[str, str]) -> None:
    rows = _rows(plan, THRESHOLD)
    for number, (loss, mine) in enumerate(rows.groupby("loss", sort=False)):
        axes.plot(mine["n_subjects"], mine["value"], color=colors[str(loss)], linestyle=_DASHES[number % 4])
    axes.axvline(plan.pilot.n_threshold_subjects, color=INK, linewidth=0.7, linestyle=(0, (1, 2)))
    axes.set_title("Width of the 95 % interval of t")
    axes.set(xlabel="subjects, threshold set (dotted: pilot)", ylim=(0, None))
    _log_subjects(axes, plan)


def _rows(plan: Plan, question: str) -> pd.DataFrame:
    return plan.table[plan.table["question"] == question]


def _log_subjects(axes: Axes, plan: Plan) -> None:
    axes.set_xscale("log")
    shown = [n for n in (5, 10, 20, 50, 100, 200, 500) if n <= 1.5 * max(plan.sizes.subjects)]
    axes.set_xticks(shown, [str(n) for n in shown])
    axes.minorticks_off()
    axes.grid(axis="y")
