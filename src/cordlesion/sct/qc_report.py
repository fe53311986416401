"""Entries for the quality-control report of the Spinal Cord Toolbox (SCT), a page to browse through cases.

Such a report is a folder: ``_json/qc_<time>.json`` for each entry, two pictures below ``dataset/subject/contrast/
command/time/``, and a page that SCT makes of the entries whenever one of its commands adds another. Keys and places are
those that SCT writes.
"""

import html
import re
import shlex
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import matplotlib.image
import numpy as np
from matplotlib.colors import to_rgb
from scipy import ndimage

from cordlesion import __version__
from cordlesion.cord.centerline import Centerline
from cordlesion.dataset.scan_names import scan_file
from cordlesion.io.arrays import FloatArray, Mask
from cordlesion.io.outputs import portable_path
from cordlesion.io.volume import Volume
from cordlesion.io.writing import atomic_path, waiting_lock, write_json
from cordlesion.pictures import slices
from cordlesion.pictures.slices import Picture
from cordlesion.pictures.style import SEGMENTED

COMMAND = "cordlesion_segment"
TILE = 96
"""Edge of an axial picture in pixels."""
COLUMNS = 12
_OPACITY = 0.6
_TIME = "%Y_%m_%d_%H%M%S.%f"

Pixels = FloatArray


def write_qc_entry(
    folder: Path, scan: Volume, mask: Mask, centerline: Centerline | None, command_line: Sequence[str]
) -> Path:
    """Add a segmentation to a report of SCT: axial pictures along the cord, superior first, lesions as the overlay.

    Args:
        folder: The report, existing or not.
        scan: The image, read from a file.
        mask: Segmented lesions on the scan's grid.
        centerline: The cord's centre; without it the whole image is shown.
        command_line: What made the segmentation.

    Returns:
        The JSON file of the entry.

    Raises:
        CordlesionError: The folder cannot be written.
    """
    with waiting_lock(folder / ".cordlesion.lock"):
        return _write_entry(folder, scan, mask, centerline, command_line, _free_time(folder))


def _free_time(folder: Path) -> datetime:
    """Return a time that names no entry yet; hold the folder's lock until one does."""
    now = datetime.now()
    while _entry(folder, now).exists():
        now += timedelta(microseconds=1)
    return now


def _entry(folder: Path, now: datetime) -> Path:
    return folder / "_json" / f"qc_{now:{_TIME}}.json"


def _write_entry(
    folder: Path, scan: Volume, mask: Mask, centerline: Centerline | None, command_line: Sequence[str], now: datetime
) -> Path:
    image = (scan.path or Path("scan.nii.gz")).resolve()
    # They become folders that the page links to.
    dataset, subject, contrast = (re.sub(r"[^\w.+-]", "_", name) for name in _place(image))
    pictures = Path(dataset, subject, contrast, COMMAND, f"{now:{_TIME}}")
    tiles = _axial_tiles(scan, mask, centerline)
    _save(_background([picture for picture, _ in tiles]), folder / pictures / "background_img.png")
    _save(_overlay([inside for _, inside in tiles]), folder / pictures / "overlay_img.png")
    entry = {
        "path": portable_path(Path.cwd(), folder),
        "cmdline": shlex.join(command_line),
        "command": COMMAND,
        "sctVersion": f"cordlesion {__version__}",
        "dataset": dataset,
        "subject": subject,
        "contrast": contrast,
        "inputFile": image.name,
        "plane": "Axial",
        "backgroundImage": (pictures / "background_img.png").as_posix(),
        "overlayImage": (pictures / "overlay_img.png").as_posix(),
        "date": now.strftime("%Y-%m-%d %H:%M:%S"),
        "rank": "",
        "qc": "",
    }
    path = _entry(folder, now)
    # SCT's page shows these texts as HTML, in attributes too.
    write_json(path, {key: html.escape(value) for key, value in entry.items()})
    return path


def _place(image: Path) -> tuple[str, str, str]:
    """Name dataset, subject and contrast: by the folders of BIDS where there are any, else by the file's own."""
    subject = next((part for part in image.parts[:-1] if part.startswith("sub-")), "")
    above = image.parts[image.parts.index(subject) - 1] if subject else image.parent.name
    file = scan_file(image).as_image()
    contrast = file.words[-1] if file.words else file.base
    return above.strip("/") or "dataset", subject or file.subject, contrast


def _axial_tiles(scan: Volume, mask: Mask, centerline: Centerline | None) -> list[tuple[Pixels, Pixels]]:
    stack = slices.layers(scan, mask)
    first, last = 0, stack.scan.data.shape[2] - 1
    if centerline is not None:
        first, last = max(first, round(centerline.z[0])), min(last, round(centerline.z[-1]))
    shown = (slices.axial(stack, z, slices.axial_window(stack, z, centerline)) for z in range(last, first - 1, -1))
    return [_tile(picture) for picture in shown]


def _tile(picture: Picture) -> tuple[Pixels, Pixels]:
    """Scale a picture to the common size with its proportions, centred: intensities (NaN around it), lesion."""
    width, height = picture.size_mm
    pixel_mm = max(width, height) / TILE
    middle = [(n - 1) / 2 for n in picture.image.shape]
    steps = [pixel_mm * n / size for n, size in zip(picture.image.shape, (height, width), strict=True)]
    offsets = np.arange(TILE) - (TILE - 1) / 2
    points = np.meshgrid(*[m + step * offsets for m, step in zip(middle, steps, strict=True)], indexing="ij")
    values = ndimage.map_coordinates(picture.image.astype(np.float64), points, order=1, mode="nearest")
    lesion = np.zeros(picture.image.shape) if picture.mask is None else picture.mask.astype(np.float64)
    edges = zip(points, picture.image.shape, strict=True)
    outside = np.any([(p < -0.5) | (p > n - 0.5) for p, n in edges], axis=0)
    inside = ndimage.map_coordinates(lesion, points, order=0, mode="nearest")
    return np.where(outside, np.nan, values), np.where(outside, 0.0, inside)


def _mosaic(tiles: Sequence[Pixels], empty: float) -> Pixels:
    columns = min(COLUMNS, len(tiles))
    spare = [np.full((TILE, TILE), empty)] * (-len(tiles) % columns)
    rows = np.array([*tiles, *spare]).reshape(-1, columns, TILE, TILE)
    return rows.transpose(0, 2, 1, 3).reshape(-1, columns * TILE)


def _background(tiles: Sequence[Pixels]) -> Pixels:
    gray = _mosaic(tiles, np.nan)
    low, high = np.nanpercentile(gray, (1, 99.5))
    scaled = np.clip((np.nan_to_num(gray, nan=low) - low) / max(high - low, 1e-6), 0, 1)
    return np.stack([scaled, scaled, scaled, np.ones_like(scaled)], axis=-1)


def _overlay(tiles: Sequence[Pixels]) -> Pixels:
    inside = _mosaic(tiles, 0.0) > 0
    pixels = np.zeros((*inside.shape, 4))
    pixels[inside] = (*to_rgb(SEGMENTED), _OPACITY)
    return pixels


def _save(pixels: Pixels, path: Path) -> None:
    with atomic_path(path) as temporary:
        matplotlib.image.imsave(temporary, pixels, format="png")
