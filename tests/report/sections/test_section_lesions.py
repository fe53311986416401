from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from cordlesion.pictures.style import loss_colors
from cordlesion.report.sections.lesions import froc_figure
from cordlesion.study_folder.results import StudyResults


def test_froc_points_are_thresholds_and_lines_the_best_of_them(results: StudyResults) -> None:
    (axes,) = froc_figure(results).axes
    colors = loss_colors(run.loss for run in results.runs)
    table = results.froc[(results.froc["set"] == "test") & (results.froc["threshold"] > 0)]
    for loss in ("bce", "dice", "tversky"):
        mine = [line for line in axes.lines if to_hex(line.get_color()) == colors[loss].lower()]
        (steps,) = (line for line in mine if line.get_drawstyle() == "steps-post")
        (points,) = (line for line in mine if line.get_linestyle() == "None" and line.get_marker() != "v")
        (triangle,) = (line for line in mine if line.get_marker() == "v")
        curve = table[table["loss"] == loss]
        np.testing.assert_allclose(sorted(points.get_ydata()), sorted(curve["sensitivity"]))
        for x, y in zip(*steps.get_data(), strict=True):
            assert y == pytest.approx(curve.loc[curve["false_per_scan"] <= x, "sensitivity"].max())
        (tuned,) = results.thresholds.loc[results.thresholds["loss"] == loss, "threshold"]
        row = curve[np.isclose(curve["threshold"], tuned)].iloc[0]
        assert (triangle.get_xdata()[0], triangle.get_ydata()[0]) == (row["false_per_scan"], row["sensitivity"])


def test_curves_are_told_apart_without_colour(results: StudyResults) -> None:
    (axes,) = froc_figure(results).axes
    legend = [line for line in axes.lines if not line.get_label().startswith("_")]
    assert len({(line.get_marker(), line.get_linestyle()) for line in legend}) == len(legend) == 3


def test_the_legend_of_many_losses_is_not_cut_off(results: StudyResults) -> None:
    names = [f"loss{number}" for number in range(60)]
    one = results.froc[results.froc["loss"] == "bce"]
    froc = pd.concat([one.assign(loss=name) for name in names])
    many = SimpleNamespace(froc=froc, runs=[SimpleNamespace(loss=name) for name in names], tuned=[])
    figure = froc_figure(cast(StudyResults, many))
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert legend.get_window_extent().y0 >= 0
    assert legend.get_window_extent().y1 <= figure.bbox.y1
