"""What the picture of a scan shows: the sagittal slice of every model, and axial slices of the recommended one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cordlesion.io.arrays import Int32Array, Mask
from cordlesion.io.formats import MISSING, format_number, plural
from cordlesion.lesions.measure import number_lesions
from cordlesion.metrics import resolve_rule
from cordlesion.pictures import slices
from cordlesion.pictures.slices import Layers
from cordlesion.report.gallery.cord import CordPlace, find_cord_place
from cordlesion.report.gallery.picture import Panel, Tick, panel_width
from cordlesion.study_folder.masks import cut_mask, read_with_reference
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, StudyResults
from cordlesion.study_folder.runs import Run

SECTION, SECTION_MM, MOST_SECTIONS = 200.0, 32.0, 6
"""Height of axial slices in points, what they show around the cord, and their largest number."""
_PROFILE = (300.0, 460.0)
"""Heights of sagittal slices (least, most)."""
_PROFILE_WIDTH = 130.0
"""Sagittal slices are made higher until they are as wide as that."""
_MARGIN_MM = 15.0
"""What is shown beyond the lesions, marked and real."""
_DEPTH_MM = 45.0
"""Smallest anterior-posterior width of a sagittal slice."""
_REFORMATTED = 1.5
"""Axial slices whose voxels are longer by that factor in one direction than in the other are called reformatted."""


@dataclass(frozen=True)
class Layout:
    """The rows of a picture, and what was counted on the way."""

    rows: list[tuple[Sequence[Panel], float]]
    n_outside: int
    """Lesions of the recommended model that lie mostly outside the cord."""


def lay_out(results: StudyResults, scan_id: str, runs: Sequence[Run]) -> Layout:
    """Lay out a sagittal slice of each run and axial slices of the first, each plain and marked side by side.

    Raises:
        CordlesionError: A file of the scan is missing.
    """
    scan, reference = read_with_reference(results, scan_id)
    cord = find_cord_place(results, scan_id, scan)
    masks = {run: cut_mask(results, scan_id, run, scan) for run in runs}
    best, truth = slices.layers(scan, masks[runs[0]], reference), slices.layers(scan, None, reference)
    columns = [(runs[0], results.tuned[runs[0]], best)]
    if set(results.chosen(runs[0]).values()) != {DEFAULT_THRESHOLD}:
        half = cut_mask(results, scan_id, runs[0], scan, DEFAULT_THRESHOLD)
        columns.append((runs[0], DEFAULT_THRESHOLD, slices.layers(scan, half, reference)))
    columns += [(run, results.tuned.get(run), slices.layers(scan, masks[run], reference)) for run in runs[1:]]
    window = _window(slices.layers(scan, _union(list(masks.values())), reference))
    rule = resolve_rule(results.config.evaluation.rule)
    voxel_mm3 = float(np.prod(best.scan.spacing_mm))
    marked = [
        () if layer is None else number_lesions(layer, voxel_mm3, rule).voxels for layer in (best.mask, best.reference)
    ]
    outside = [[one for one in lesions if cord.is_outside(one, best.scan.spacing_mm)] for lesions in marked]
    sections = slices.widest_indices(best.scan.data.shape[2], [*marked[0], *marked[1]], MOST_SECTIONS)
    sections.sort(reverse=True)
    x = slices.sagittal_index(best)
    ticks = tuple(
        Tick((window[1].stop - 0.5 - z) / (window[1].stop - window[1].start), str(n)) for n, z in enumerate(sections, 1)
    )
    first, *others = columns
    plain = slices.sagittal(slices.layers(scan, None), x, window)
    profiles = [
        Panel((plain, slices.sagittal(first[2], x, window)), _lines(results, scan_id, *first[:2]), ticks),
        Panel((slices.sagittal(truth, x, window),), ("Reference",)),
        *(Panel((slices.sagittal(one, x, window),), _lines(results, scan_id, run, t)) for run, t, one in others),
    ]
    wanted = _PROFILE_WIDTH / panel_width(plain, 1.0)
    axial = [_section(best, number, z, cord, outside) for number, z in enumerate(sections, start=1)]
    return Layout([(profiles, float(np.clip(wanted, *_PROFILE))), (axial, SECTION)], len(outside[0]))


def _section(shown: Layers, number: int, z: int, cord: CordPlace, outside: Sequence[Sequence[Int32Array]]) -> Panel:
    """Cut an axial slice, plain and marked; a lesion in it that lies mostly outside the cord is named."""
    window = slices.axial_window(shown, z, cord.centerline, least_mm=SECTION_MM, edge_mm=SECTION_MM)
    picture = slices.axial(shown, z, window)
    plain = slices.axial(Layers(shown.scan, None, None), z, window)
    height = f"{number}: z = {picture.position_mm:+.0f} mm".replace("-", "−")
    wide, deep = shown.scan.spacing_mm[:2]
    blurred = ", reformatted" if max(wide, deep) > _REFORMATTED * min(wide, deep) else ""
    kinds = ("a marked lesion", "a lesion of the reference")
    named = [
        kind for kind, lesions in zip(kinds, outside, strict=True) if any((one[:, 2] == z).any() for one in lesions)
    ]
    warning = f"{' and '.join(named)} mostly outside the cord" if named else ""
    return Panel((plain, picture), (height, f"{cord.level(z)}{blurred}"), warning=warning)


def _lines(results: StudyResults, scan_id: str, run: Run, threshold: float | None) -> tuple[str, ...]:
    row = results.evaluated(run, "test", threshold).T[scan_id]
    cut = threshold
    if threshold is not None and threshold == results.tuned.get(run):
        cut = float(results.tested_by(run, scan_id)[1]["threshold"])
    name = results.label(run) + ("" if cut is None else f", t = {cut:.2f}")
    n_lesions, found = int(row["n_reference_lesions"]), int(row["n_detected_lesions"])
    overlap = format_number(float(row["voxel_f1"]))
    first = f"overlap {overlap}, {found} of {n_lesions} found" if overlap != MISSING else "lesion-free"
    return name, first, plural(int(row["n_false_lesions"]), "false positive")


def _union(masks: Sequence[Mask]) -> Mask:
    union: Mask = np.logical_or.reduce(masks)
    return union


def _window(everything: Layers) -> tuple[slice, slice]:
    """Frame all lesions, marked and real, and a margin; the whole height where there are none."""
    _, depth_mm, height_mm = everything.scan.spacing_mm
    _, n_depth, n_height = everything.scan.data.shape
    index = np.argwhere(everything.lesions.any(axis=0))
    if not len(index):
        return slices.sagittal_window(everything)
    low, high = index.min(axis=0), index.max(axis=0)
    depth_mm_wanted = max((high[0] - low[0] + 1) * depth_mm + _MARGIN_MM, _DEPTH_MM)
    margin = round(_MARGIN_MM / height_mm)
    height = slice(max(low[1] - margin, 0), min(high[1] + margin + 1, n_height))
    return slices.centered_range((low[0] + high[0]) / 2, depth_mm_wanted / depth_mm, n_depth), height
