"""One representative scan of the test set: the reference and what two losses segment (Figure 3 of Hussein et al.)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cordlesion.pictures import slices
from cordlesion.pictures.overlay import draw, legend_handles
from cordlesion.pictures.shades import gray_around
from cordlesion.pictures.slices import Layers, Picture
from cordlesion.pictures.style import MUTED, REFERENCE, WIDTH_INCHES, style
from cordlesion.report.section import Findings, ReportFigure, Section
from cordlesion.study_folder.masks import cut_mask, read_with_reference
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import Run, lesion_bearing

MARGIN_MM = 15.0
"""What is shown above and below the lesions."""
DEPTH_MM = 45.0
"""Anterior-posterior width of the pictures."""
MOST_HEIGHT_MM, MOST_HEIGHT_INCHES = 130.0, 4.8
"""A longer picture would show lesions too small."""
LEGEND_INCHES = 4.6
REFERENCE_OPACITY = 0.45
"""Of the reference where it is shown alone: next to it is the image without any."""


@dataclass(frozen=True)
class Example:
    """What Figure 3 shows."""

    scan_id: str
    runs: tuple[Run, ...]
    """The best run, and the one with which it is compared."""
    dice: tuple[float, ...]
    """Voxel F1 of each, from the evaluation."""


def choose_example(results: StudyResults) -> Example:
    """Choose the lesion-bearing test scan whose voxel F1 by the best run is nearest to the median over these scans.

    The best run is compared with the Dice loss, the usual choice; where that is the best itself or missing, with the
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
    """Draw Figure 3: a sagittal slice, the reference over it, and each mask coloured by agreement with it.

    Raises:
        CordlesionError: The scan, its reference or a probability map is missing.
    """
    example = choose_example(results)
    scan, reference = read_with_reference(results, example.scan_id)
    compared = [slices.layers(scan, cut_mask(results, example.scan_id, run, scan), reference) for run in example.runs]
    truth = slices.layers(scan, None, reference)
    x = slices.comparing_index(truth.lesions, [one.mask for one in compared if one.mask is not None])
    window = _window(truth, compared, x)
    gray = gray_around(truth, x, window)
    panels: list[tuple[tuple[str, ...], Picture]] = [
        (("T2w image",), slices.sagittal(slices.layers(scan, None), x, window)),
        (("Reference",), slices.sagittal(truth, x, window)),
    ]
    for run, dice, layers in zip(example.runs, example.dice, compared, strict=True):
        _, chosen = results.tested_by(run, example.scan_id)
        name = f"{results.label(run)}, t = {chosen['threshold']:.2f}"
        panels.append(((name, *_agreement(layers, dice, x, window)), slices.sagittal(layers, x, window)))
    with style():
        return _compose([(lines, replace(picture, gray=gray)) for lines, picture in panels])


def _contrast(results: StudyResults) -> tuple[Run, ...]:
    """Return the run that is shown next to the best one; nothing where there is one run only."""
    others = results.ranked[1:]
    return tuple(sorted(others, key=lambda run: run.loss != "dice")[:1])


def _agreement(layers: Layers, dice: float, x: int, window: tuple[slice, slice]) -> Iterator[str]:
    """Describe how well a mask agrees in the whole scan and in the slice, and what lies outside the frame."""
    assert layers.mask is not None
    assert layers.reference is not None
    mask, reference = layers.mask[x], layers.reference[x]
    in_slice = 2 * np.count_nonzero(mask & reference) / (np.count_nonzero(mask) + np.count_nonzero(reference))
    yield f"overlap {dice:.2f} (slice {in_slice:.2f})"
    if beyond := np.count_nonzero(layers.lesions[x]) - np.count_nonzero(layers.lesions[x][window]):
        yield f"{beyond} marked voxels not shown"


def _window(truth: Layers, compared: Sequence[Layers], x: int) -> tuple[slice, slice]:
    """Frame all that is marked along the cord on slice ``x``, with a margin; a long stretch around the reference."""
    _, depth_mm, height_mm = truth.scan.spacing_mm
    _, n_depth, n_height = truth.scan.data.shape
    reference = np.argwhere(truth.lesions[x])
    everything = np.concatenate([np.argwhere(one.lesions[x]) for one in compared])
    front, upper = reference.min(axis=0) + reference.max(axis=0)
    low, high = everything[:, 1].min(), everything[:, 1].max()
    wanted_mm = (high - low + 1) * height_mm + 2 * MARGIN_MM
    center = (low + high) / 2 if wanted_mm <= MOST_HEIGHT_MM else upper / 2
    depth = slices.centered_range(front / 2, DEPTH_MM / depth_mm, n_depth)
    return depth, slices.centered_range(center, min(wanted_mm, MOST_HEIGHT_MM) / height_mm, n_height)


def _compose(panels: Sequence[tuple[tuple[str, ...], Picture]]) -> Figure:
    width_mm, height_mm = panels[0][1].size_mm
    panel = min(WIDTH_INCHES / len(panels), MOST_HEIGHT_INCHES * width_mm / height_mm)
    text_inches = 0.13 * max(len(lines) for lines, _ in panels) + 0.35
    size = max(panel * len(panels), LEGEND_INCHES), panel * height_mm / width_mm + text_inches
    figure = Figure(figsize=size, layout="constrained")
    grid = np.ravel(figure.subplots(1, len(panels)))
    for letter, axes, (lines, picture) in zip("abcd", grid, panels, strict=False):
        draw(axes, picture, bar_mm=10, reference_opacity=REFERENCE_OPACITY)
        axes.set_title("\n".join((f"({letter}) {lines[0]}", *lines[1:])), fontsize=7.5)
    handles = [Patch(facecolor=REFERENCE, edgecolor=MUTED, label="reference"), *legend_handles(agreement=True)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _words(findings: Findings) -> Mapping[str, object]:
    results = findings.results
    return {"example": choose_example(results), "label": results.label, "tuned": results.tuned}


SECTION = Section(
    key="example",
    title="Example",
    figures=(ReportFigure("figure3_example", example_figure),),
    words=_words,
)
