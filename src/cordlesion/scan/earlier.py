"""The files of a segmented scan that a folder holds already: their names, and what must not be replaced."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cordlesion.dataset.scan_names import scan_file
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import AnyArray, Array, Mask
from cordlesion.io.fingerprints import file_hash
from cordlesion.io.reading import read_json
from cordlesion.io.volume import read_mask, read_volume
from cordlesion.lesions.instances import InstanceFiles

SOURCE_KEY, MASK_KEY, INSTANCES_KEY = "SourceSHA256", "MaskVoxelsSHA256", "InstancesVoxelsSHA256"
"""Keys of a mask's JSON file: hashes of the scan, and of the written mask and numbers of lesions, so that a correction
by hand is noticed."""


def output_name(scan: Path | None) -> str:
    """Name a scan's outputs by its BIDS entities and suffix, or by its file name where it has none."""
    return scan_file(scan or "scan.nii.gz").as_image().name


def map_files(folder: Path, scan: Path | None) -> tuple[Path, Path, Path]:
    """Return the paths of a scan's probability map, mask, and the description of both."""
    stem = f"{output_name(scan)}_label-lesion"
    return folder / f"{stem}_probseg.nii.gz", folder / f"{stem}_mask.nii.gz", folder / f"{stem}_mask.json"


def doubt_files(folder: Path, scan: Path | None) -> tuple[Path, Path]:
    """Return the paths of the maps that only an ensemble gives: entropy of the probability, spread of its networks."""
    stem = f"{output_name(scan)}_label-lesion"
    return folder / f"{stem}_entropy.nii.gz", folder / f"{stem}_spread.nii.gz"


def instance_files(folder: Path, scan: Path | None) -> InstanceFiles:
    """Return the paths of the numbered lesions of a scan."""
    return InstanceFiles.of(folder, output_name(scan))


def check_earlier(folder: Path, scan: Path, *, overwrite: bool = False) -> None:
    """Refuse to replace what a folder holds of another scan of this name, or of a reader: a corrected mask, lesions.

    Args:
        folder: Where the scan is going to be written.
        scan: The image.
        overwrite: Replace it all the same.

    Raises:
        CordlesionError: Something would be lost.
    """
    _, mask, record = map_files(folder, scan)
    if overwrite:
        return
    written = _record(record)
    if (source := _other_source(written, scan)) is not None:
        raise CordlesionError(
            f"{mask}: was made from {source}, not from {scan}, which gets the same name; nothing is replaced. Choose "
            "another output folder or rename the scan, or replace what is there with --overwrite."
        )
    numbered = instance_files(folder, scan)
    for path, read, key in ((mask, _read_mask_hash, MASK_KEY), (numbered.image, _read_labels_hash, INSTANCES_KEY)):
        if path.is_file() and not _is_as_written(path, read, written.get(key)):
            raise CordlesionError(
                f"{path}: is not what its JSON file records, so it may have been corrected by hand; nothing is "
                "replaced. Choose another output folder, or replace it with --overwrite."
            )
    # The old numbers of lesions are removed, with and without new ones.
    there = next((path for path in numbered.all if path.exists()), None)
    if there is not None and not numbered.are_of(mask):
        raise CordlesionError(
            f"{there}: {numbered.record.name} does not name {mask.name} as its source, so it may be of somebody else; "
            "nothing is replaced. Choose another output folder, or replace it with --overwrite."
        )


def masks_written(mask: Mask, record: Path) -> list[str]:
    """Return the hashes of the masks that may lie next to a record: the new one, and until it is there the last one."""
    return _new_and_last(_mask_hash(mask), _record(record).get(MASK_KEY))


def instances_written(labels: AnyArray | None, record: Path) -> list[str]:
    """Return the same of numbered lesions; of the last ones alone where there are no new ones."""
    return _new_and_last(None if labels is None else _labels_hash(labels), _record(record).get(INSTANCES_KEY))


def _new_and_last(new: str | None, held: object) -> list[str]:
    last = held[:1] if isinstance(held, list) else []
    return list(dict.fromkeys([*([] if new is None else [new]), *last]))


def _record(path: Path) -> dict[str, Any]:
    held = read_json(path) if path.is_file() else {}
    return held if isinstance(held, dict) else {}


def _other_source(written: Mapping[str, Any], scan: Path) -> str | None:
    """Return the name of the other image that a record describes; None if it describes this one or names none."""
    names = written.get("Sources")
    name = names[0] if isinstance(names, list) and names else None
    if isinstance(name, str) and name != scan.name:
        return name
    if isinstance(digest := written.get(SOURCE_KEY), str) and digest != file_hash(scan):
        return f"another image named {scan.name}"
    return None


def _is_as_written(path: Path, read: Callable[[Path], str], recorded: object) -> bool:
    try:
        return isinstance(recorded, list) and read(path) in recorded
    except CordlesionError:
        # We write nothing that cannot be read: somebody changed it.
        return False


def _read_mask_hash(path: Path) -> str:
    return _mask_hash(read_mask(path).data)


def _read_labels_hash(path: Path) -> str:
    return _labels_hash(read_volume(path).data)


def _labels_hash(labels: AnyArray) -> str:
    """Return a hash of the numbers of lesions, which are the same whatever type a program stores."""
    return hashlib.sha256(repr(labels.shape).encode() + labels.astype("<i4", order="C").tobytes()).hexdigest()


def _mask_hash(mask: Array) -> str:
    """Return a hash of a mask's voxels, which are the same however a program stores them."""
    return hashlib.sha256(repr(mask.shape).encode() + np.packbits(mask.astype(np.bool_)).tobytes()).hexdigest()
