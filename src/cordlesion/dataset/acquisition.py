"""How a scan was acquired: by which scanner, and how its slices lie."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cordlesion.artifacts import read_json
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError
from cordlesion.volume import read_grid

_NEARLY_CUBIC = 1.25
"""Voxels whose longest edge exceeds the next by less have no slice direction to speak of."""
_ORIENTATIONS = {"L": "sagittal", "R": "sagittal", "A": "coronal", "P": "coronal", "S": "axial", "I": "axial"}


@dataclass(frozen=True)
class Acquisition:
    """What scans can be grouped by besides their site."""

    manufacturer: str
    """As the JSON file beside the scan has it; empty where it tells none."""
    scanner: str
    """Manufacturer, model and field strength (``Siemens Skyra 3T``); empty where nothing tells it."""
    orientation: str
    """``sagittal``, ``coronal`` or ``axial`` slices (oblique ones: the nearest of these), or ``isotropic``."""
    slice_spacing_mm: float
    """Distance between slice centres, thickness and gap together: the longest edge of a voxel."""


def read_acquisition(scan: Scan) -> Acquisition:
    """Tell how a scan was acquired from its NIfTI header, its JSON file and participants.tsv.

    The JSON file comes first where both name a scanner, because a subject's scans may come from several.

    Raises:
        CordlesionError: A file is damaged.
    """
    about = _sidecar(scan.image)
    manufacturer, model = (str(about.get(key) or "").strip() for key in ("Manufacturer", "ManufacturersModelName"))
    strength = about.get("MagneticFieldStrength")
    field = f"{strength:g}T" if isinstance(strength, int | float) else ""
    named = " ".join(part for part in (manufacturer, model, field) if part) if manufacturer or model else scan.scanner
    orientation, slice_spacing_mm = _slices(scan.image)
    return Acquisition(manufacturer, named, orientation, slice_spacing_mm)


def _sidecar(image: Path) -> dict[str, Any]:
    path = image.with_name(image.name.split(".nii")[0] + ".json")
    if not path.is_file():
        return {}
    about = read_json(path)
    if not isinstance(about, dict):
        raise CordlesionError(f"{path}: holds a {type(about).__name__}; a JSON object is needed. Mend or remove it.")
    return about


def _slices(image: Path) -> tuple[str, float]:
    grid = read_grid(image)
    spacing_mm = np.array(grid.spacing_mm)
    axis = int(spacing_mm.argmax())
    cubic = spacing_mm[axis] < _NEARLY_CUBIC * np.delete(spacing_mm, axis).max()
    return "isotropic" if cubic else _ORIENTATIONS[grid.orientation[axis]], round(float(spacing_mm[axis]), 3)
