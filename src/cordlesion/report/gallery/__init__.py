"""One picture per test scan, in files next to the page, so that a page about a thousand scans stays light."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import pandas as pd

from cordlesion.execution.local import map_scans
from cordlesion.execution.outcome import Outcome
from cordlesion.io.fingerprints import digest
from cordlesion.io.formats import format_number
from cordlesion.io.writing import write_text
from cordlesion.report.gallery.layout import lay_out
from cordlesion.report.gallery.picture import draw_scan
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import Run

FOLDER = "gallery"
WIDTH = 1020.0
"""Largest of a picture, in points."""


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
    n_outside: int
    """Marked lesions mostly outside the cord; 0 without a picture, or where the place of the cord is unknown."""
    link: str
    """The part of the explorer's address after its page: this scan, this model at its threshold."""

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
    outcomes = map_scans(partial(_draw_and_write, results, shown_runs(results)), list(scores.index), "draw scans")
    folder = results.folder.root / FOLDER
    kept = {outcome.result[0] for outcome in outcomes if outcome.result}
    for path in set(folder.glob("*.svg")) - kept:
        path.unlink()
    entries = [_entry(results, scores.loc[outcome.item], outcome) for outcome in outcomes]
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


def _entry(results: StudyResults, row: pd.Series, outcome: Outcome[str, tuple[Path, int]]) -> Entry:
    path, n_outside = outcome.result or (None, 0)
    n_lesions, n_found = int(row["n_reference_lesions"]), int(row["n_detected_lesions"])
    return Entry(
        scan_id=outcome.item,
        path=f"{FOLDER}/{path.name}" if path else "",
        fault=outcome.fault,
        voxel_f1=float(row["voxel_f1"]),
        n_lesions=n_lesions,
        n_found=n_found,
        n_false=int(row["n_false_lesions"]),
        n_outside=n_outside,
        link=explorer_link(results, outcome.item),
    )


def explorer_link(results: StudyResults, scan_id: str) -> str:
    """Return the part of the explorer's address that shows a test scan by the recommended model at its threshold."""
    threshold = float(results.tested_by(results.best, scan_id)[1]["threshold"])
    return "#" + urlencode({"scan": scan_id, "set": "test", "a": results.best.name, "ta": f"{threshold:g}"})


def _overlap_then_false(one: Entry) -> tuple[bool, float, int, str]:
    undefined = math.isnan(one.voxel_f1)
    return undefined, 0.0 if undefined else one.voxel_f1, -one.n_false, one.scan_id


def _draw_and_write(results: StudyResults, runs: Sequence[Run], scan_id: str) -> tuple[Path, int]:
    path = results.folder.root / FOLDER / f"{_file_name(scan_id)}.svg"
    layout = lay_out(results, scan_id, runs)
    write_text(path, draw_scan(layout.rows, WIDTH))
    return path, layout.n_outside


def _file_name(scan_id: str) -> str:
    """Return a name that any file system and address can hold, of its own for every scan."""
    plain = re.sub(r"[^A-Za-z0-9_.+-]", "_", scan_id)
    return plain if plain == scan_id else f"{plain}_{digest(scan_id)[:8]}"
