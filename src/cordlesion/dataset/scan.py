"""A scan and the files that belong to it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cordlesion.errors import CordlesionError
from cordlesion.io.mask_values import MaskValues
from cordlesion.io.progress import show_message
from cordlesion.io.volume import Volume, placement_remark, read_scan
from cordlesion.metrics import LesionRule, evaluate


@dataclass(frozen=True)
class Scan:
    """One T2w image of one subject (and session), with or without a reference mask."""

    scan_id: str
    """The BIDS entities of the scan, e.g. ``sub-001_ses-01_acq-sag``."""
    subject: str
    session: str
    """Empty if the dataset has no sessions."""
    site: str
    """Empty if participants.tsv does not contain it."""
    image: Path
    reference: Path | None = None
    cord_mask: Path | None = None
    centerline: Path | None = None
    scanner: str = ""
    """As in participants.tsv."""
    unclear: tuple[tuple[str, str], ...] = ()
    """Kinds of files that exist but could not be assigned to the scan, each with a reason as a sentence."""
    lesion_value: float | None = None
    """The value of lesions in the reference, if it may contain other values."""

    def files(self) -> dict[str, Path]:
        """Return the files that exist, by kind."""
        kinds = ("image", "reference", "cord_mask", "centerline")
        return {kind: path for kind in kinds if (path := getattr(self, kind)) is not None}

    def why_none(self, kind: str) -> str:
        """Return the reason why a kind of file could not be assigned, to append to a sentence; else an empty text."""
        return next((f" {sentence}" for name, sentence in self.unclear if name == kind), "")


@dataclass(frozen=True)
class ScanContent:
    """The content of a scan that the split depends on."""

    n_lesions: int
    lesion_volume_mm3: float
    image_hash: str
    """SHA-256 of shape and voxel values; independent of the compression of the file."""
    reference_value: float | None = None
    """Value of lesions in the reference; None if it is empty. No result depends on it."""

    @property
    def decisive(self) -> dict[str, object]:
        """All values that a split depends on, as JSON."""
        return {name: value for name, value in vars(self).items() if name != "reference_value"}


def read_reference(scan: Scan, like: Volume, references: MaskValues | None = None) -> Volume:
    """Read the reference of a scan.

    Args:
        scan: The scan.
        like: Its image, or another volume on the same grid.
        references: Collects the values of references.

    Raises:
        CordlesionError: As :func:`cordlesion.io.volume.read_mask`.
    """
    assert scan.reference is not None
    return (references or MaskValues("references", scan.lesion_value)).read(scan.reference, like)


def inspect_scan(scan: Scan, rule: LesionRule | str, references: MaskValues | None = None) -> ScanContent:
    """Read a scan and its reference once: check both, count the lesions, and hash the image.

    Args:
        scan: The scan.
        rule: Definition of a lesion.
        references: Collects the values of references, and defines the value of lesions.

    Raises:
        CordlesionError: There is no reference, a file is missing or damaged, or the grids differ.
    """
    image = read_scan(scan.image)
    if remark := placement_remark(image):
        show_message(remark)
    digest = hashlib.sha256(repr(image.data.shape).encode())
    digest.update(np.ascontiguousarray(image.data).data)
    if scan.reference is None:
        # Without a reference a scan is not lesion-free: a network would learn that its lesions are background.
        raise CordlesionError(
            f"{scan.image}: no reference found; a mask named like *_label-lesion_seg.nii.gz is needed. "
            f"Add it, all zeros if the scan has no lesion.{scan.why_none('reference')}"
        )
    reference = read_reference(scan, image, references)
    load = evaluate(reference.data, reference.data, reference.spacing_mm, rule)
    return ScanContent(load.n_reference_lesions, load.reference_volume_mm3, digest.hexdigest(), reference.mask_value)
