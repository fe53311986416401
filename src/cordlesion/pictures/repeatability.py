"""The figure of the command ``repeatability``: differences between two scans of a person against their mean."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cordlesion.io.arrays import FloatArray
from cordlesion.pictures.style import INK, MUTED, SLATE, WIDTH_INCHES, style
from cordlesion.statistics import limits_of_agreement

_LABELS: Mapping[str, str] = {"predicted_volume_mm3": "lesion volume (mm³)", "n_predicted_lesions": "number of lesions"}
_LIMIT = "#D55E00"


def plot_differences(scans: pd.DataFrame, title: str = "") -> Figure:
    """Draw Bland and Altman's plots of lesion volume and number: the first two scans of each group.

    Args:
        scans: A row per scan with ``group``, ``scan_id``, ``predicted_volume_mm3`` and ``n_predicted_lesions``.
        title: Printed above the panels.

    Returns:
        A figure of two panels.
    """
    of_group = scans.sort_values(["group", "scan_id"]).groupby("group")
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, 3.0), layout="constrained", facecolor="white")
        for axes, (name, label) in zip(figure.subplots(1, 2), _LABELS.items(), strict=True):
            first, second = (of_group[name].nth(n).to_numpy(dtype=np.float64) for n in (0, 1))
            _draw(axes, first, second, label)
            if (of_group.size() > 2).any():
                axes.set_ylabel("second − first scan, by name")
        if title:
            figure.suptitle(title)
        return figure


def _draw(axes: Axes, first: FloatArray, second: FloatArray, label: str) -> None:
    limits = limits_of_agreement(first, second)
    axes.axhline(0, color=MUTED, linewidth=0.7)
    for value, look in ((limits.bias, "-"), (limits.low, (0, (4, 2))), (limits.high, (0, (4, 2)))):
        axes.axhline(value, color=_LIMIT, linewidth=1.0, linestyle=look)
        axes.annotate(
            f"{value:+.3g}".replace("-", "−"), (1, value), xycoords=("axes fraction", "data"), xytext=(2, 0),
            textcoords="offset points", va="center", fontsize=7, color=INK,
        )  # fmt: skip
    axes.plot((first + second) / 2, second - first, "o", color=SLATE, markersize=4, alpha=0.7, linewidth=0)
    axes.set(xlabel=f"mean of both scans, {label}", ylabel="second − first scan")
