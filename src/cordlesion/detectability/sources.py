"""The healthy scans that lesions are put into, and what is known of their cords (no torch)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cordlesion.centerlines import CordInput
from cordlesion.dataset.bids import find_scans
from cordlesion.dataset.scan_names import ScanFile, scan_file
from cordlesion.errors import CordlesionError
from cordlesion.io.volume import Volume, read_mask

_ORDER = ("sub", "ses", "task", "acq", "ce", "rec", "dir", "run")
"""Order of the entities of BIDS in a name."""


@dataclass(frozen=True)
class Source:
    """A healthy scan."""

    image: Path
    cord: CordInput
    reference: Path | None = None
    """Its lesion mask, which must be empty."""

    @property
    def file(self) -> ScanFile:
        """The parts of its name."""
        return scan_file(self.image)

    @property
    def name(self) -> str:
        """Its name, for messages."""
        return self.file.name

    @property
    def suffix(self) -> str:
        """``.nii.gz`` or ``.nii``; a copy keeps it, because its bytes are the same."""
        return ".nii.gz" if self.image.name.endswith(".nii.gz") else ".nii"

    def entities(self, label: str) -> dict[str, str]:
        """Return the entities of a copy with a label; a name that is not BIDS becomes the subject."""
        own = {key: value for key, value in self.file.entities.items() if key in _ORDER}
        if "sub" not in own:
            own = {"sub": re.sub("[^A-Za-z0-9]", "", self.file.base) or "scan"}
        own["rec"] = own.get("rec", "") + label
        return {key: own[key] for key in _ORDER if key in own}

    def require_healthy(self, scan: Volume) -> None:
        """Refuse a scan with lesions.

        Raises:
            CordlesionError: Its reference has lesions, or cannot be read.
        """
        if self.reference is not None and read_mask(self.reference, like=scan).data.any():
            raise CordlesionError(
                f"{self.image}: has lesions of its own ({self.reference.name}); lesions are put into healthy scans, "
                "because what else is found must be false. Leave it out."
            )


def find_sources(scans: Sequence[Path], cord_masks: Sequence[Path], centerlines: Sequence[Path]) -> list[Source]:
    """Return the scans of files and BIDS datasets.

    Raises:
        CordlesionError: There is no scan, a dataset has none, there is not one mask or centerline per file, or two
            copies would get the same name.
    """
    for option, files in (("--cord-mask", cord_masks), ("--centerline", centerlines)):
        if files and (len(files) != len(scans) or any(scan.is_dir() for scan in scans)):
            raise CordlesionError(
                f"{option} was given {len(files)} times for {len(scans)} scans; one for each file, in their order, is "
                "needed, and none with a dataset, whose masks are found by their names. Repeat the option."
            )
    if cord_masks and centerlines:
        raise CordlesionError("Cord masks and centerlines were given; one of them is needed. Leave out --centerline.")
    masks: Sequence[Path | None] = cord_masks or [None] * len(scans)
    curves: Sequence[Path | None] = centerlines or [None] * len(scans)
    sources = [
        source
        for scan, mask, curve in zip(scans, masks, curves, strict=True)
        for source in (_of_dataset(scan) if scan.is_dir() else [Source(scan, CordInput(curve, mask))])
    ]
    names: dict[tuple[str, ...], Source] = {}
    for source in sources:
        first = names.setdefault(tuple(source.entities("").values()), source)
        if first is not source:
            raise CordlesionError(
                f"{source.image}: its copies would get the names of those of {first.image}; names must differ. "
                "Rename one of them, or implant into two folders."
            )
    return sources


def _of_dataset(folder: Path) -> list[Source]:
    scans, _ = find_scans(folder)
    return [
        Source(scan.image, CordInput(None if scan.cord_mask else scan.centerline, scan.cord_mask), scan.reference)
        for scan in scans
    ]
