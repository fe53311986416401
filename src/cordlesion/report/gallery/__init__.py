"""One picture per test scan, in files next to the page, so that a page about a thousand scans stays light."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from cordlesion.execution.local import map_scans
from cordlesion.io.arrays import Mask
from cordlesion.io.fingerprints import digest
from cordlesion.io.formats import MISSING, format_number
from cordlesion.io.writing import write_text
from cordlesion.pictures import slices
from cordlesion.pictures.slices import Layers
from cordlesion.report.gallery.picture import Panel, draw_scan, panel_width
from cordlesion.study_folder.masks import cut_mask, read_with_reference
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, StudyResults
from cordlesion.study_folder.runs import Run

FOLDER = "gallery"
WIDTH = 1020.0
"""Largest of a picture, in points."""
_PROFILE, _SECTION = (300.0, 460.0), 130.0
"""Heights of sagittal (least, most) and axial slices."""
_PROFILE_WIDTH = 110.0
"""Sagittal slices are made higher until they are as wide as that."""
_MARGIN_MM = 15.0
"""What is shown beyond the lesions, marked and real."""
_DEPTH_MM = 45.0
"""Smallest anterior-posterior width of a sagittal slice."""


@dataclass(frozen=True)
class Entry:
    """One scan of the gallery: its scores by the recommended model at its threshold, and its picture."""

    scan_id: str
    path: str
    """Of the picture, relative to the page; empty where there is none."""
    fault: str
    """Why there is no picture."""
    voxel_f1: float
    """NaN where the reference holds no lesion."""
    n_lesions: int
    n_found: int
    n_false: int

    @property
    def overlap(self) -> str:
        """The voxel F1 as printed."""
        return format_number(self.voxel_f1)

    @property
    def missed(self) -> int:
        """Lesions that were not found."""
        return self.n_lesions - self.n_found


def write_gallery(results: StudyResults) -> tuple[Entry, ...]:
    """Draw every test scan into ``gallery/``, the recommended model and one model of every other loss.

    A scan whose files are gone has no picture, and the reason in its place. Pictures of an earlier report that are no
    longer part of this one are removed.

    Returns:
        The scans, least overlap first, then those without lesions, most false positives first.

    Raises:
        CordlesionError: The folder cannot be written.
    """
    best = results.best
    scores = results.evaluated(best, "test", results.tuned[best])
    outcomes = map_scans(partial(_draw_and_write, results), list(scores.index), "draw scans")
    folder = results.folder.root / FOLDER
    kept = {outcome.result for outcome in outcomes}
    for path in set(folder.glob("*.svg")) - kept:
        path.unlink()
    entries = [_entry(outcome.item, scores.loc[outcome.item], outcome.result, outcome.fault) for outcome in outcomes]
    return tuple(sorted(entries, key=_overlap_then_false))


def shown_runs(results: StudyResults) -> tuple[Run, ...]:
    """Return whose masks are shown: of each loss the model that came out best on the threshold set, then masks.

    The ensemble of a loss is one of its models here: a picture of each would show nearly the same twice.
    """
    of_loss: dict[str, Run] = {}
    for run in (results.best, *results.ranked, *results.runs):
        members = results.ensembles[run.loss].losses if run.loss in results.ensembles else (run.loss,)
        of_loss.setdefault(members[0] if len(members) == 1 else run.loss, run)
    return tuple(of_loss.values())


def _entry(scan_id: str, row: pd.Series, path: Path | None, fault: str) -> Entry:
    n_lesions, n_found = int(row["n_reference_lesions"]), int(row["n_detected_lesions"])
    name = f"{FOLDER}/{path.name}" if path else ""
    return Entry(scan_id, name, fault, float(row["voxel_f1"]), n_lesions, n_found, int(row["n_false_lesions"]))


def _overlap_then_false(one: Entry) -> tuple[bool, float, int, str]:
    undefined = math.isnan(one.voxel_f1)
    return undefined, 0.0 if undefined else one.voxel_f1, -one.n_false, one.scan_id


def _draw_and_write(results: StudyResults, scan_id: str) -> Path:
    path = results.folder.root / FOLDER / f"{_file_name(scan_id)}.svg"
    write_text(path, draw_scan(_rows(results, scan_id), WIDTH))
    return path


def _file_name(scan_id: str) -> str:
    """Return a name that any file system and address can hold, of its own for every scan."""
    plain = re.sub(r"[^A-Za-z0-9_.+-]", "_", scan_id)
    return plain if plain == scan_id else f"{plain}_{digest(scan_id)[:8]}"


def _rows(results: StudyResults, scan_id: str) -> list[tuple[Sequence[Panel], float]]:
    """Lay out the sagittal slice once per model, and axial slices of the recommended one."""
    scan, reference = read_with_reference(results, scan_id)
    best = results.best
    masks = {run: cut_mask(results, scan_id, run, scan) for run in shown_runs(results)}
    shown = slices.layers(scan, masks[best], reference)
    x = slices.sagittal_index(shown)
    window = _window(slices.layers(scan, _union(list(masks.values())), reference))
    profiles = [Panel(slices.sagittal(slices.layers(scan, None, reference), x, window), ("Reference",))]
    for run, threshold in _columns(results):
        at_half = run in results.tuned and threshold == DEFAULT_THRESHOLD != results.tuned[run]
        mask = cut_mask(results, scan_id, run, scan, DEFAULT_THRESHOLD) if at_half else masks[run]
        lines = _lines(results, scan_id, run, threshold)
        profiles.append(Panel(slices.sagittal(slices.layers(scan, mask, reference), x, window), lines))
    wanted = _PROFILE_WIDTH / panel_width(profiles[0].picture, 1.0)
    return [(profiles, float(np.clip(wanted, *_PROFILE))), (_sections(shown), _SECTION)]


def _columns(results: StudyResults) -> list[tuple[Run, float | None]]:
    """Return which masks are shown: the recommended ones, those of the same model at 0.5, the other models'."""
    best, *others = shown_runs(results)
    half = [] if set(results.chosen(best).values()) == {DEFAULT_THRESHOLD} else [(best, DEFAULT_THRESHOLD)]
    return [(best, results.tuned[best]), *half, *((run, results.tuned.get(run)) for run in others)]


def _lines(results: StudyResults, scan_id: str, run: Run, threshold: float | None) -> tuple[str, ...]:
    row = results.evaluated(run, "test", threshold).T[scan_id]
    cut = threshold
    if threshold is not None and threshold == results.tuned.get(run):
        cut = float(results.tested_by(run, scan_id)[1]["threshold"])
    name = results.label(run) + ("" if cut is None else f", t = {cut:.2f}")
    n_lesions, found = int(row["n_reference_lesions"]), int(row["n_detected_lesions"])
    overlap = format_number(float(row["voxel_f1"]))
    first = f"overlap {overlap}, {found} of {n_lesions} found" if overlap != MISSING else "no lesion to find"
    return name, first, f"{row['n_false_lesions']:.0f} false"


def _sections(shown: Layers) -> list[Panel]:
    """Cut axial slices through the largest lesions, real and marked, for the recommended model."""
    labels, n_lesions = ndimage.label(shown.lesions)
    index, owner = np.argwhere(shown.lesions), labels[shown.lesions]
    lesions = [index[owner == label] for label in range(1, n_lesions + 1)]
    indices = slices.axial_indices(shown, lesions) if lesions else []
    pictures = [slices.axial(shown, z, slices.axial_window(shown, z)) for z in indices]
    return [Panel(picture, (f"z = {picture.position_mm:+.0f} mm".replace("-", "−"),)) for picture in pictures]


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
