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
    columns = [
        (run, t, slices.layers(scan, cut_mask(results, scan_id, run, scan, cut), reference))
        for run, t, cut in _columns(results, runs)
    ]
    best, cord = columns[0][2], find_cord_place(results, scan_id, scan)
    found = [_lesions(results, best, layer) for layer in (best.mask, best.reference)]
    outside = [[one for one in lesions if cord.is_outside(one, best.scan.spacing_mm)] for lesions in found]
    sections = slices.widest_indices(best.scan.data.shape[2], [*found[0], *found[1]], MOST_SECTIONS)
    sections.sort(reverse=True)
    x, window = slices.sagittal_index(best), _window([one for *_, one in columns])
    first, *others = (
        Panel((slices.sagittal(one, x, window),), _lines(results, scan_id, run, t)) for run, t, one in columns
    )
    plain = slices.sagittal(Layers(best.scan, None, None), x, window)
    truth = slices.sagittal(Layers(best.scan, None, best.reference), x, window)
    profiles = [
        Panel((plain, *first.pictures), first.lines, _ticks(sections, window[1])),
        *(Panel((truth,), ("Reference",)), *others),
    ]
    wanted = _PROFILE_WIDTH / panel_width(plain, 1.0)
    axial = [_section(best, number, z, cord, outside) for number, z in enumerate(sections, start=1)]
    return Layout([(profiles, float(np.clip(wanted, *_PROFILE))), (axial, SECTION)], len(outside[0]))


def _columns(results: StudyResults, runs: Sequence[Run]) -> list[tuple[Run, float | None, float | None]]:
    """Return whose masks are shown, at which threshold of the evaluation, and where maps are cut that are not tuned."""
    best, *others = runs
    half = [] if set(results.chosen(best).values()) == {DEFAULT_THRESHOLD} else [DEFAULT_THRESHOLD]
    at_half = [(best, t, t) for t in half]
    return [(best, results.tuned[best], None), *at_half, *((run, results.tuned.get(run), None) for run in others)]


def _lesions(results: StudyResults, shown: Layers, layer: Mask | None) -> tuple[Int32Array, ...]:
    if layer is None:
        return ()
    rule = resolve_rule(results.config.evaluation.rule)
    return number_lesions(layer, float(np.prod(shown.scan.spacing_mm)), rule).voxels


def _ticks(sections: Sequence[int], height: slice) -> tuple[Tick, ...]:
    """Mark the axial slices, by their numbers, on a sagittal one that shows the indices ``height``."""
    n = height.stop - height.start
    return tuple(Tick((height.stop - 0.5 - z) / n, str(number)) for number, z in enumerate(sections, start=1))


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


def _window(shown: Sequence[Layers]) -> tuple[slice, slice]:
    """Frame all lesions, marked and real, and a margin; the whole height where there are none."""
    scan = shown[0].scan
    _, depth_mm, height_mm = scan.spacing_mm
    _, n_depth, n_height = scan.data.shape
    index = np.argwhere(np.logical_or.reduce([one.lesions.any(axis=0) for one in shown]))
    if not len(index):
        return slices.sagittal_window(shown[0])
    low, high = index.min(axis=0), index.max(axis=0)
    depth_mm_wanted = max((high[0] - low[0] + 1) * depth_mm + _MARGIN_MM, _DEPTH_MM)
    margin = round(_MARGIN_MM / height_mm)
    height = slice(max(low[1] - margin, 0), min(high[1] + margin + 1, n_height))
    return slices.centered_range((low[0] + high[0]) / 2, depth_mm_wanted / depth_mm, n_depth), height
