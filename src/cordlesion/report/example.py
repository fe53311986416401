"""One representative scan of the test set: the reference beside what two losses segment (the paper's Figure 3)."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cordlesion.report import slices
from cordlesion.report.masks import cut_mask, read_with_reference
from cordlesion.report.overlay import draw, legend_handles
from cordlesion.report.results import Run, StudyResults, lesion_bearing
from cordlesion.report.slices import Layers, Picture
from cordlesion.report.style import REFERENCE, WIDTH_INCHES, style

MARGIN_MM = 15.0
"""What is shown above and below the reference's lesions."""
DEPTH_MM = 45.0
"""Anterior-posterior width of the pictures."""


@dataclass(frozen=True)
class Example:
    """What Figure 3 shows."""

    scan_id: str
    runs: tuple[Run, ...]
    """The best run, and the one it is set beside."""
    dice: tuple[float, ...]
    """Voxel F1 of each, from the evaluation."""


def choose_example(results: StudyResults) -> Example:
    """Choose the lesion-bearing test scan whose voxel F1 by the best run is nearest to the median over these scans.

    The best run is set beside the Dice loss, the usual choice; where that is the best itself or missing, beside the
    run with the second-highest score on the threshold set.
    """
    best = results.best
    f1 = lesion_bearing(results.evaluated(best, "test", results.tuned[best]))["voxel_f1"]
    scan_id = str((f1 - f1.median()).abs().idxmin())
    runs = (best, *_contrast(results))
    dice = tuple(
        float(results.evaluated(run, "test", results.tuned[run])["voxel_f1"].get(scan_id, np.nan)) for run in runs
    )
    return Example(scan_id, runs, dice)


def example_figure(results: StudyResults) -> Figure:
    """Draw Figure 3: the reference outlined on a sagittal slice, and each mask coloured by agreement with it.

    Raises:
        CordlesionError: The scan, its reference or a probability map is missing.
    """
    example = choose_example(results)
    scan, reference = read_with_reference(results, example.scan_id)
    truth = slices.layers(scan, None, reference)
    x = slices.sagittal_index(truth)
    window = _window(truth, x)
    pictures = [("Reference", slices.sagittal(truth, x, window))]
    for run, dice in zip(example.runs, example.dice, strict=True):
        mask = cut_mask(results, example.scan_id, run, scan)
        _, chosen = results.tested_by(run, example.scan_id)
        title = f"{results.label(run)}, t = {chosen['threshold']:.2f}\noverlap {dice:.2f}"
        pictures.append((title, slices.sagittal(slices.layers(scan, mask, reference), x, window)))
    with style():
        return _compose(pictures)


def _contrast(results: StudyResults) -> tuple[Run, ...]:
    """Return the run beside the best one, or nothing where there is one run only."""
    others = results.ranked[1:]
    return tuple(sorted(others, key=lambda run: run.loss != "dice")[:1])


def _window(truth: Layers, x: int) -> tuple[slice, slice]:
    """Frame the reference's lesions on slice ``x``: the cord around them, and a margin above and below."""
    index = np.argwhere(truth.lesions[x])
    low, high = index.min(axis=0), index.max(axis=0)
    _, depth_mm, height_mm = truth.scan.spacing_mm
    _, n_depth, n_height = truth.scan.data.shape
    margin = round(MARGIN_MM / height_mm)
    height = slice(max(low[1] - margin, 0), min(high[1] + margin + 1, n_height))
    return slices.centered_range((low[0] + high[0]) / 2, DEPTH_MM / depth_mm, n_depth), height


def _compose(pictures: list[tuple[str, Picture]]) -> Figure:
    width_mm, height_mm = pictures[0][1].size_mm
    panel = min(WIDTH_INCHES / 3, 5.0 * width_mm / height_mm)
    figure = Figure(figsize=(panel * len(pictures), panel * height_mm / width_mm + 0.7), layout="constrained")
    grid = np.ravel(figure.subplots(1, len(pictures)))
    for axes, (title, picture) in zip(grid, pictures, strict=True):
        draw(axes, picture, bar_mm=10)
        axes.set_title(title, fontsize=8)
    handles = [Patch(facecolor="none", edgecolor=REFERENCE, label="reference"), *legend_handles(agreement=True)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure
