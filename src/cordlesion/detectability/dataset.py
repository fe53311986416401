"""The scans, masks and table of true lesions of a dataset from ``implant`` or ``simulate`` (no torch)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cordlesion.dataset.bids import find_scans
from cordlesion.dataset.matching import MASK_NAMES, PROBABILITY_NAMES, list_files, named_files, one_file_each
from cordlesion.dataset.scan import Scan
from cordlesion.dataset.scan_names import scan_file
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import UInt8Array
from cordlesion.io.outputs import require_finished
from cordlesion.io.tables import read_table
from cordlesion.io.volume import Volume, read_volume, require_same_grid
from cordlesion.simulate.bids import LABELS
from cordlesion.simulate.true_lesions import NUMBERED, TRUE_LESIONS

_COPY = re.compile(r"_rec-([A-Za-z0-9]*?)implant\d+")


@dataclass(frozen=True, eq=False)
class LesionDataset:
    """Scans with known lesions."""

    root: Path
    scans: Sequence[Scan]
    lesions: pd.DataFrame
    """The table of true lesions."""

    def of_scan(self, scan: Scan) -> pd.DataFrame:
        """Return the true lesions of a scan."""
        return self.lesions[self.lesions["scan_id"] == scan.scan_id]

    @property
    def lesion_free(self) -> list[Scan]:
        """The scans without lesions."""
        with_lesions = set(self.lesions["scan_id"])
        return [scan for scan in self.scans if scan.scan_id not in with_lesions]

    def unchanged(self, scan: Scan) -> str | None:
        """Return the name of the scan that lesions were put into, if it is in the dataset."""
        name = _COPY.sub(r"_rec-\1unchanged", scan.scan_id)
        return name if name != scan.scan_id and any(name == other.scan_id for other in self.scans) else None

    def numbered(self, scan: Scan, like: Volume) -> UInt8Array:
        """Read the mask of a scan that holds the numbers of its lesions.

        Raises:
            CordlesionError: It is missing, damaged, or on another grid.
        """
        folder = self.root / LABELS / scan.image.parent.relative_to(self.root)
        path = folder / f"{scan.scan_id}_{NUMBERED}.nii.gz"
        is_free = not len(self.of_scan(scan))
        if is_free and not path.exists():
            return np.zeros(like.data.shape, np.uint8)
        mask = read_volume(path)
        require_same_grid(mask, like)
        if is_free and mask.data.any():
            raise CordlesionError(
                f"{path}: marks lesions that {TRUE_LESIONS.file} lacks; a dataset as it was written is needed. "
                "Make it again."
            )
        return mask.data.astype(np.uint8)


def read_lesion_dataset(root: Path) -> LesionDataset:
    """Read a dataset of ``implant`` or ``simulate``.

    Raises:
        CordlesionError: It is no such dataset, or its table is damaged.
    """
    table = root / LABELS / TRUE_LESIONS.file
    if root.is_dir() and not table.is_file():
        raise CordlesionError(
            f"{root}: has no table of known lesions ({LABELS / TRUE_LESIONS.file}); a dataset that `implant` or "
            "`simulate` wrote is needed. Make one with `cordlesion implant`."
        )
    require_finished(root, "Make it again in a new folder.")
    scans, _ = find_scans(root)
    lesions = read_table(table, TRUE_LESIONS)
    known = {scan.scan_id for scan in scans}
    return LesionDataset(root, scans, lesions[lesions["scan_id"].isin(known)].reset_index(drop=True))


def predictions_by_scan(
    folder: Path, scans: Sequence[Scan], *, are_maps: bool
) -> tuple[dict[str, Path], dict[str, str]]:
    """Find the map or mask of each scan in a folder; also returns why scans have none.

    Raises:
        CordlesionError: There is no such folder, no file fits a scan, or two fit one.
    """
    files = named_files(list_files(folder), PROBABILITY_NAMES if are_maps else MASK_NAMES)
    names: Mapping[str, object] = {scan.scan_id: scan_file(scan.image) for scan in scans}
    found = one_file_each(files, {scan.scan_id: scan_file(scan.image) for scan in scans})
    kind = "probability map" if are_maps else "mask"
    if not files:
        raise CordlesionError(f"{folder}: holds no {kind}; one per scan is needed. Check the path.")
    if not found:
        raise CordlesionError(
            f"{folder}: none of its {len(files)} files is of one of the {len(names)} scans; names with the BIDS "
            "entities of the scans are needed. Rename them."
        )
    missing = {
        name: f"{folder}: no {kind} for {name}; one per scan is needed. Add it." for name in names if name not in found
    }
    return found, missing
