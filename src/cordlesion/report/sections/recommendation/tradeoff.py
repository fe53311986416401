"""The figure of the recommendation: what a decision threshold finds in lesions, and what it costs in false ones."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cordlesion.io.formats import format_percent
from cordlesion.pictures.style import INK, MUTED, loss_colors, style
from cordlesion.report.sections.answers.operating_point import operating_curve
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, StudyResults
from cordlesion.study_folder.runs import of_run

SIZE_INCHES = (4.6, 3.9)
_HEADROOM = 2.2
"""The axis of false positives ends at this many times the largest value of interest."""

_NEAR_BOTTOM = 0.1
"""What lies below this share of an axis has no room for a label under it."""


def tradeoff_figure(results: StudyResults) -> Figure:
    """Draw lesions found and false positives per scan against the threshold, test set, for the recommended model.

    Where no lesion of the test scans counts, there is nothing to be found, and that panel is left out.
    """
    run = results.best
    curve, marks = operating_curve(results, run), sorted(set(results.chosen(run).values()))
    intervals = of_run(results.written_thresholds, run)[["interval_low", "interval_high"]].dropna().to_numpy(float)
    color = loss_colors(other.loss for other in results.runs)[run.loss]
    with style():
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        panels = figure.subplots(2 if curve["found"].notna().any() else 1, 1, sharex=True, squeeze=False)[:, 0]
        for axes in panels:
            for low, high in intervals:
                axes.axvspan(low, high, color=MUTED, alpha=0.15 / len(marks), linewidth=0)
            axes.grid(axis="y")
        if len(panels) > 1:
            panels[0].set(title="Lesions found", ylim=(0, 1.12), yticks=np.linspace(0, 1, 5))
            _draw(panels[0], curve["found"], marks, color, format_percent)
            panels[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_percent(value)))
        false = panels[-1]
        false.set(title="False positives per scan", xlabel="decision threshold t", xlim=(0, 1.02))
        false.set_ylim(0, _top(curve["false"], [*marks, DEFAULT_THRESHOLD, *intervals.ravel()]))
        _draw(false, curve["false"], marks, color, "{:.1f}".format)
        false.yaxis.set_major_locator(MaxNLocator(4))
        return figure


def _draw(
    axes: Axes, values: "pd.Series[float]", marks: Sequence[float], color: str, form: Callable[[float], str]
) -> None:
    """Draw a curve, the tuned thresholds as filled and 0.5 as an open point, with their values."""
    axes.plot(values.index, values, color=color, linewidth=1.8)
    looks = [(t, color, f"t = {t:.2f}") for t in marks]
    if DEFAULT_THRESHOLD not in marks:
        looks.append((DEFAULT_THRESHOLD, "none", "0.50"))
    for t, fill, name in looks:
        here = _at(values, t)
        axes.axvline(t, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.plot([t], [here], "o", markersize=6, markerfacecolor=fill, markeredgecolor=INK, markeredgewidth=0.9)
        if len(marks) == 1:
            # The curve falls: below it is room at the left, above it at the right.
            left = t == min(t for t, *_ in looks) and t > 0.25 and len(looks) > 1
            # Below a point at the bottom there are the labels of the axis.
            down = -13 if here > _NEAR_BOTTOM * axes.get_ylim()[1] else 7
            place, side = ((-7, down), "right") if left else ((7, 7), "left")
            axes.annotate(f"{name}: {form(here)}", (t, here), place, textcoords="offset points", fontsize=8, ha=side)


def _at(values: "pd.Series[float]", t: float) -> float:
    return float(np.interp(t, values.index.to_numpy(float), values.to_numpy(float)))


def _top(values: "pd.Series[float]", marks: Sequence[float]) -> float:
    """Return where the axis ends: all the marks, and the interval's ends, are in the picture."""
    marked = max(_at(values, t) for t in marks)
    return float(min(max(_HEADROOM * marked, 1.0), max(values.max() * 1.15, 1.0)))
