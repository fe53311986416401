"""The learning curves."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cordlesion.pictures.style import INK, MUTED, loss_colors, loss_name, panel_grid, style
from cordlesion.report.section import ReportFigure, Section
from cordlesion.study_folder.results import StudyResults


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


SECTION = Section(
    key="training",
    title="Training",
    figures=(ReportFigure("figure6_training", training_figure),),
)
