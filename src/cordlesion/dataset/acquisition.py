"""The acquisition of a scan: scanner, slice orientation and slice spacing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np

from cordlesion.dataset.scan import Scan
from cordlesion.dataset.scan_names import file_stem
from cordlesion.errors import CordlesionError
from cordlesion.io.progress import show_message
from cordlesion.io.reading import read_json
from cordlesion.io.volume import read_grid

_NEARLY_CUBIC = 1.25
"""If the longest edge of a voxel is less than this times the next, the scan counts as isotropic."""
_ORIENTATIONS = {"L": "sagittal", "R": "sagittal", "A": "coronal", "P": "coronal", "S": "axial", "I": "axial"}


@dataclass(frozen=True)
class Acquisition:
    """Properties by which scans can be grouped, in addition to their site."""

    manufacturer: str
    """From the JSON file of the scan; empty if it is not given."""
    scanner: str
    """Manufacturer, model and field strength (``Siemens Skyra 3T``); empty if unknown."""
    orientation: str
    """``sagittal``, ``coronal`` or ``axial`` (for oblique slices, the nearest), or ``isotropic``."""
    slice_spacing_mm: float
    """Distance between slice centres (thickness plus gap): the longest edge of a voxel."""


def read_acquisitions(scans: Sequence[Scan]) -> dict[str, Acquisition]:
    """Read how scans were acquired, from NIfTI headers, JSON files and participants.tsv.

    The JSON file has priority over participants.tsv, because scans of a subject may come from several scanners. If it
    cannot be read, participants.tsv is used, with one warning for all scans.

    Returns:
        The acquisition by name of the scan.

    Raises:
        CordlesionError: An image is damaged.
    """
    faults: list[str] = []
    found = {scan.scan_id: read_acquisition(scan, faults) for scan in scans}
    if distinct := sorted(set(faults)):
        others = f" The same applies to {len(distinct) - 1} other files." if len(distinct) > 1 else ""
        show_message(f"{distinct[0]} It is not used, so its information about the scanner is missing.{others}")
    return found


def read_acquisition(scan: Scan, faults: list[str] | None = None) -> Acquisition:
    """Read how a scan was acquired, as in :func:`read_acquisitions`.

    Args:
        scan: The scan.
        faults: Collects a sentence for each JSON file that cannot be read.

    Raises:
        CordlesionError: The image is damaged.
    """
    about = _sidecar(scan.image, [] if faults is None else faults)
    manufacturer, model = (_text(about.get(key)) for key in ("Manufacturer", "ManufacturersModelName"))
    strength = about.get("MagneticFieldStrength")
    is_number = isinstance(strength, int | float) and not isinstance(strength, bool) and math.isfinite(strength)
    field = f"{strength:g}T" if is_number else ""
    named = " ".join(part for part in (manufacturer, model, field) if part) if manufacturer or model else scan.scanner
    orientation, slice_spacing_mm = _slices(scan.image)
    return Acquisition(manufacturer, named, orientation, slice_spacing_mm)


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _sidecar(image: Path, faults: list[str]) -> dict[str, Any]:
    """Return the merged content of the JSON files of an image; files closer to it have priority (BIDS inheritance)."""
    about: dict[str, Any] = {}
    for path in _sidecars(image):
        try:
            about |= read_json(path, dict)
        except CordlesionError as error:
            faults.append(str(error))
    return about


def _sidecars(image: Path) -> list[Path]:
    """List the JSON files that apply to an image, from the root down: same suffix, no other entity."""
    parts = file_stem(image).split("_")
    found = []
    for folder in _folders_from_root(image):
        named = {path: path.stem.split("_") for path in sorted(folder.glob(f"*{escape(parts[-1])}.json"))}
        fitting = [path for path, own in named.items() if own[-1] == parts[-1] and set(own) <= set(parts)]
        # A file with more entities has priority.
        found += sorted(fitting, key=lambda path: len(named[path]))
    return [path for path in found if path.is_file()]


def _folders_from_root(image: Path) -> list[Path]:
    """Return the folders from the root of the dataset to an image; outside of BIDS, only the folder of the image."""
    inside = [folder for folder in image.parents if folder.name.startswith("sub-")]
    if not inside:
        return [image.parent]
    root = inside[0].parent
    return [folder for folder in reversed(image.parents) if folder.is_relative_to(root)]


def _slices(image: Path) -> tuple[str, float]:
    grid = read_grid(image)
    spacing_mm = np.array(grid.spacing_mm)
    axis = int(spacing_mm.argmax())
    cubic = spacing_mm[axis] < _NEARLY_CUBIC * np.delete(spacing_mm, axis).max()
    return "isotropic" if cubic else _ORIENTATIONS[grid.orientation[axis]], round(float(spacing_mm[axis]), 3)
