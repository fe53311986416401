"""Pictures for a notebook or a paper, each a function that returns a matplotlib Figure (no pyplot, no global state)."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cordlesion.cord.centerline import Centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Mask
from cordlesion.io.volume import Volume
from cordlesion.metrics.voxel import checked_mask
from cordlesion.pictures.boxes import draw_boxes
from cordlesion.pictures.montage import montage
from cordlesion.pictures.style import INK, MUTED, SLATE, WIDTH_INCHES, loss_colors, loss_name, style
from cordlesion.threshold import VOLUME, ThresholdChoice

DEFAULT_THRESHOLD = 0.5
_TUNED, _PAPER = "#D55E00", "#FFFFFF"
"""The chosen threshold; and the ground, white in a dark notebook, too."""
_MOST_LINES = 300
"""Scans drawn one by one: more lines are a cloud."""
_ROW_INCHES, _BOX_INCHES, _MOST_POINTS, _MOST_UPRIGHT = 1.8, 0.9, 200, 6
_LABEL_LETTERS = 40
_SLOPE: Mapping[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
"""Of the names of many methods, which would touch each other."""


def plot_threshold_curve(choice: ThresholdChoice, sweep: pd.DataFrame | None = None) -> Figure:
    """Plot what a decision threshold was chosen by: its score at every threshold, with interval and plateau.

    Args:
        choice: What :func:`cordlesion.choose_threshold` or :func:`cordlesion.tune_files` returned.
        sweep: The table that the choice was made from; with it every scan has a thin line, where the objective
            summarises one score per scan (as medians and means do).

    Returns:
        A figure of one panel. The curve of the chosen minimum volume is shown, where volumes were tuned too.

    Raises:
        CordlesionError: The table lacks the columns that the objective reads.

    Examples:
        >>> import cordlesion
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> reference = np.zeros((16, 16, 20), bool)
        >>> reference[6:10, 6:10, 5:10] = True
        >>> maps = [0.4 * reference + rng.uniform(0, 0.3, reference.shape) for _ in range(6)]
        >>> table = cordlesion.sweep_maps([reference] * 6, maps, (0.5, 0.5, 1.0))
        >>> figure = cordlesion.plot_threshold_curve(cordlesion.choose_threshold(table), table)
        >>> figure.axes[0].get_xlabel()
        'decision threshold t'
    """
    curve = choice.curve
    if VOLUME in curve:
        curve = curve[curve[VOLUME] == choice.minimum_volume_mm3]
    with style():
        figure = Figure(figsize=(5.6, 3.6), facecolor=_PAPER, layout="constrained")
        axes = figure.add_subplot()
        if sweep is not None:
            _draw_scans(axes, choice, sweep)
        _draw_choice(axes, choice)
        look: dict[str, Any] = {"color": SLATE, "linewidth": 1.8, "marker": "o", "markersize": 3}
        axes.plot(curve["threshold"], curve["score"], **look, label="all scans together", zorder=3)
        axes.set(xlabel="decision threshold t", xlim=(-0.02, 1.02), ylim=(-0.02, 1.08))
        axes.set_ylabel(fill(choice.goal.title, _LABEL_LETTERS))
        axes.set(xticks=np.linspace(0, 1, 11), yticks=np.linspace(0, 1, 6))
        axes.grid(axis="y")
        figure.legend(loc="outside lower center", ncols=3)
        return figure


def _draw_choice(axes: Axes, choice: ThresholdChoice) -> None:
    """Draw the threshold with its interval and its plateau, and the usual one."""
    if choice.interval is not None:
        low, high = choice.interval
        axes.axvspan(low, high, color=_TUNED, alpha=0.13, linewidth=0, label="95 % interval of t")
    axes.axvline(DEFAULT_THRESHOLD, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)), label="t = 0.5")
    above = [choice.score + 0.03] * 2
    axes.plot(
        choice.stability.plateau, above, "|-", color=INK, linewidth=0.9, markersize=6, label="within 5 % of the best"
    )
    chosen = f"chosen: t = {choice.value:g}"
    axes.plot([choice.value], [choice.score], "o", color=_TUNED, markersize=7, label=chosen, zorder=4)


def _draw_scans(axes: Axes, choice: ThresholdChoice, sweep: pd.DataFrame) -> None:
    """Draw a thin line per scan, where an objective summarises one score per scan."""
    goal = choice.goal
    if missing := [name for name in ("scan_id", "threshold", *goal.columns) if name not in sweep]:
        raise CordlesionError(f"The table lacks the columns {', '.join(missing)}, which {choice.objective} reads.")
    if goal.compares_repeats:  # no score of one scan
        return
    if VOLUME in sweep:
        sweep = sweep[sweep[VOLUME] == choice.minimum_volume_mm3]
    measures = goal.measure(sweep)
    if len(measures) != 1 or sweep["scan_id"].nunique() > _MOST_LINES:
        return
    label: str | None = "single scans"
    for _, scan in sweep.assign(score=measures[0]).dropna(subset="score").groupby("scan_id"):
        scan = scan.sort_values("threshold")
        axes.plot(scan["threshold"], scan["score"], color=MUTED, linewidth=0.6, alpha=0.45, label=label)
        label = None


def plot_scores(
    tables: Mapping[str, pd.DataFrame], scores: Sequence[str] = ("voxel_f1", "lesion_f1", "lesion_sensitivity")
) -> Figure:
    """Plot how the scores of several methods are distributed over scans: a box, and a point per scan.

    Boxes reach from the lower to the upper quartile with the median as a line, whiskers to 1.5 interquartile ranges.
    Scans for which a score is undefined, as a rule those without lesions, are left out.

    Args:
        tables: The metrics of each method by its name, a row per scan: what :func:`cordlesion.evaluate_files` returns
            as ``table``, or rows of a study's ``evaluation.tsv``.
        scores: Which columns are shown, each in a panel of its own.

    Returns:
        A figure with a panel per score, one below the other, and a box per method in their order.

    Raises:
        CordlesionError: There is no table, or one lacks a score or has no numbers in its column.

    Examples:
        >>> import cordlesion
        >>> import numpy as np
        >>> import pandas as pd
        >>> rng = np.random.default_rng(0)
        >>> tables = {
        ...     name: pd.DataFrame({"voxel_f1": rng.beta(a, 3, 30), "lesion_f1": rng.beta(a, 2, 30)})
        ...     for name, a in (("nnU-Net", 6), ("SCT", 3))
        ... }
        >>> figure = cordlesion.plot_scores(tables, ("voxel_f1", "lesion_f1"))
        >>> [axes.get_ylabel() for axes in figure.axes]
        ['voxel F1', 'lesion F1']
    """
    _check_scores(tables, scores)
    colors, names = loss_colors(tables), [loss_name(name) for name in tables]
    places = np.arange(len(tables), dtype=float)
    with style():
        width = float(np.clip(0.8 + _BOX_INCHES * len(tables), 3, WIDTH_INCHES))
        size = (width, 0.6 + _ROW_INCHES * len(scores))
        figure = Figure(figsize=size, facecolor=_PAPER, layout="constrained")
        panels = figure.subplots(len(scores), 1, sharex=True, squeeze=False)[:, 0]
        for axes, score in zip(panels, scores, strict=True):
            for place, (name, table) in zip(places, tables.items(), strict=True):
                values = table[score].dropna().to_numpy(float)
                points = 6 if len(values) <= _MOST_POINTS else 0
                draw_boxes(axes, [values], np.array([place]), width=0.5, color=colors[name], point_size=points)
            axes.set_ylabel(score.replace("_", " ").replace(" f1", " F1"))
            axes.set(ylim=(-0.03, 1.03), yticks=np.linspace(0, 1, 6))
            axes.grid(axis="y")
        panels[-1].set_xticks(places, names, **(_SLOPE if len(names) > _MOST_UPRIGHT else {}))
        panels[-1].set_xlim(-0.6, len(names) - 0.4)
        return figure


def _check_scores(tables: Mapping[str, pd.DataFrame], scores: Sequence[str]) -> None:
    if not isinstance(tables, Mapping) or isinstance(scores, str):
        raise CordlesionError('Tables by name and a list of scores are needed: {"nnU-Net": table}, ["voxel_f1"].')
    if not tables or not scores:
        raise CordlesionError("At least one table and one score are needed to plot.")
    for name, table in tables.items():
        if missing := [score for score in scores if score not in table]:
            raise CordlesionError(f"The table of {name} lacks the columns {', '.join(missing)}.")
        if texts := [score for score in scores if not pd.api.types.is_numeric_dtype(table[score])]:
            raise CordlesionError(f"The table of {name} has no numbers in the columns {', '.join(texts)}.")


def plot_scan(
    scan: Volume,
    mask: Volume | Mask,
    reference: Volume | Mask | None = None,
    *,
    centerline: Centerline | None = None,
    title: str = "",
) -> Figure:
    """Show a scan with a lesion mask: the spinal cord in profile, and axial slices through the lesions.

    The profile follows the cord where a centerline is given. Superior is at the top and anterior at the left; axial
    slices have anterior at the top and the patient's right at the left, whatever the orientation of the files.
    With a reference, voxels are green (true positive), red (false positive) or white (false negative).

    Args:
        scan: The image, in any orientation.
        mask: Lesion mask on the scan's grid: a volume, or an array of shape (X, Y, Z).
        reference: Manual lesion mask on the scan's grid.
        centerline: The cord's centre, as ``Segmentation.centerline``; without it the profile is the sagittal slice with
            most lesion.
        title: Above the pictures.

    Returns:
        A figure on black. Lesions are numbered from the largest, as in the tables of ``cordlesion segment``.

    Raises:
        CordlesionError: The scan is no volume, or a mask holds other values than 0 and 1 or is not on the scan's grid.

    Examples:
        Here ``scan.nii.gz`` is a scan and ``mask.nii.gz`` a lesion mask on its grid.

        >>> import cordlesion
        >>> scan, mask = cordlesion.read_scan("scan.nii.gz"), cordlesion.read_mask("mask.nii.gz")
        >>> figure = cordlesion.plot_scan(scan, mask, title="sub-01")
        >>> figure.savefig("sub-01.png", dpi=100)
    """
    if not isinstance(scan, Volume):
        raise CordlesionError(f"The scan is {type(scan).__name__}; a volume is needed. Read it with read_scan.")
    for name, given in (("mask", mask), ("reference", reference)):
        if given is not None:
            checked_mask(given.data if isinstance(given, Volume) else given, name)
    return montage(scan, mask, centerline, reference, title=title)
