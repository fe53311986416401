"""The figure of the command ``detectability``: curves of detection, other factors, and the effect of the threshold."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cordlesion.detectability.operating import OperatingPoint, by_point
from cordlesion.detectability.strata import VOLUME_MM3, named_bands
from cordlesion.detectability.summary import MIN_LESIONS, Band
from cordlesion.io.arrays import Array
from cordlesion.pictures.style import INK, MUTED, SLATE, WIDTH_INCHES, save_figure, style
from cordlesion.statistics import share_interval

if TYPE_CHECKING:
    from cordlesion.detectability.measure import Detectability

_FALSE = "#D55E00"
_OTHER = ("column", "distance", "level", "position")
_DEFAULT = 0.5


def write_figure(result: "Detectability", bands: Sequence[tuple[OperatingPoint, Band]], path: Path) -> None:
    """Draw the results of a method at its own operating point, or at t = 0.5 if it has none."""
    point = _shown_point(result.shares)
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, 5.4), layout="constrained", facecolor="white")
        grid = figure.add_gridspec(2, 2, width_ratios=(1.35, 1))
        curves = figure.add_subplot(grid[0, :])
        draw_curves(curves, [band for at, band in bands if at == point])
        _draw_factors(figure.add_subplot(grid[1, 0]), _rows_at(result.shares, point))
        _draw_thresholds(figure.add_subplot(grid[1, 1]), result)
        curves.set_title(f"Lesions found, by volume and contrast, {point}")
        save_figure(figure, path)


def draw_curves(axes: Axes, bands: Sequence[Band]) -> None:
    """Draw the curve of each band of contrast with its interval, and the shares of the lesions by volume as points."""
    colors = colormaps["viridis_r"](np.linspace(0.15, 0.95, max(len(bands), 1)))
    for band, color in zip(bands, colors, strict=False):
        low, high = band.fitted.curve.sizes
        sizes = np.geomspace(low, high, 120)
        edges = band.fitted.band(sizes)
        axes.fill_between(sizes, *edges, color=color, alpha=0.14, linewidth=0)
        limit = band.fitted.limit(0.5).size
        half = "50 % not reached" if np.isinf(limit) else f"50 % at {limit:.0f} mm³"
        axes.plot(sizes, band.fitted.curve.probability(sizes), color=color, label=f"contrast {band.name}: {half}")
        _draw_points(axes, band, color)
    axes.axhline(0.5, color=MUTED, linewidth=0.6, linestyle=(0, (1, 2)))
    axes.set_xscale("log")
    axes.set_xticks([5, 10, 30, 100, 300], ["5", "10", "30", "100", "300"])
    axes.minorticks_off()
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("volume of the lesion, mm³")
    axes.set_ylabel("share found")
    if bands:
        axes.legend(loc="upper left")
    else:
        few = f"no curve: no band of contrast has {MIN_LESIONS} lesions or more"
        axes.text(0.5, 0.6, few, color=MUTED, ha="center", transform=axes.transAxes)
        axes.set_xlim(5, 500)


def _draw_points(axes: Axes, band: Band, color: Array) -> None:
    for _, low, high in named_bands(VOLUME_MM3):
        inside = band.lesions[(band.lesions["volume_mm3"] >= low) & (band.lesions["volume_mm3"] < high)]
        if len(inside) < 3:
            continue
        share = inside["found"].mean()
        ends = share_interval(inside["found"], np.ones(len(inside)), inside["scan_id"])
        # Nearby bands of contrast are drawn next to each other.
        at = float(np.exp(np.log(inside["volume_mm3"]).mean())) * 1.04 ** (10 * (band.low - 1.4))
        axes.plot(at, share, "o", color=color, markersize=3.5)
        if np.isfinite(ends).all():
            axes.plot((at, at), ends, color=color, linewidth=0.7)


def _draw_factors(axes: Axes, shares: pd.DataFrame) -> None:
    """Draw the share that is found by column, distance from the centre, and level or position along the cord."""
    rows = shares[shares["by"].isin(_OTHER)].reset_index(drop=True)
    y = 0.0
    ticks, labels = [], []
    for by in (by for by in _OTHER if (rows["by"] == by).any()):
        for _, row in rows[rows["by"] == by].iterrows():
            axes.plot(float(row["sensitivity"]), y, "o", color=SLATE, markersize=4)
            axes.plot((float(row["sensitivity_low"]), float(row["sensitivity_high"])), (y, y), color=SLATE, linewidth=1)
            ticks.append(y)
            labels.append(f"{row['band']}{' from centre' if by == 'distance' else ''} ({row['n_lesions']})")
            y -= 1
        y -= 0.6
    overall = shares[shares["by"] == "all"]["sensitivity"].iloc[0]
    axes.axvline(overall, color=MUTED, linewidth=0.6, linestyle=(0, (1, 2)))
    axes.set_yticks(ticks, labels)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("share found (number of lesions in brackets)")
    axes.set_title("By place")


def _draw_thresholds(axes: Axes, result: "Detectability") -> None:
    """Draw the share that is found, and the false positives in scans without lesions, against the threshold."""
    given = result.shares[(result.shares["by"] == "all") & (result.shares["operating_point"] == "given")]
    if given.empty:
        axes.axis("off")
        axes.text(0, 0.5, "masks: no threshold to vary", color=MUTED, transform=axes.transAxes)
        return
    axes.fill_between(given["threshold"], given["sensitivity_low"], given["sensitivity_high"], color=SLATE, alpha=0.2,
                      linewidth=0)  # fmt: skip
    axes.plot(given["threshold"], given["sensitivity"], color=SLATE)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("decision threshold t")
    axes.set_ylabel("share found", color=SLATE)
    axes.set_title("What the threshold does")
    free = result.false[result.false["operating_point"] == "given"]
    if len(free):
        right = axes.twinx()
        right.spines["right"].set_visible(True)
        right.plot(free["threshold"], free["false_per_scan"], color=_FALSE, linestyle=(0, (3, 1.5)))
        right.set_ylim(0, max(1.0, 1.1 * free["false_per_scan"].max()))
        right.set_ylabel("false positives per healthy scan", color=_FALSE)
    own = result.shares[(result.shares["by"] == "all") & (result.shares["operating_point"] == "own")]
    if len(own) and np.isfinite(own["threshold"].iloc[0]):
        axes.axvline(own["threshold"].iloc[0], color=INK, linewidth=0.6, linestyle=(0, (1, 2)))


def _shown_point(shares: pd.DataFrame) -> OperatingPoint:
    """Return the method's own operating point, or that of the grid next to t = 0.5."""
    points = [point for point, _ in by_point(shares)]
    own = [point for point in points if point.kind == "own"]
    return own[0] if own else min(points, key=lambda point: abs((point.threshold or 0) - _DEFAULT))


def _rows_at(shares: pd.DataFrame, shown: OperatingPoint) -> pd.DataFrame:
    return next(rows for point, rows in by_point(shares) if point == shown)
