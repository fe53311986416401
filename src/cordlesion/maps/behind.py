"""The scans behind references, for pictures of masks: given, or those of the references' dataset (no torch)."""

from collections.abc import Sequence
from pathlib import Path

from cordlesion.config import FilePatterns
from cordlesion.dataset.bids import read_dataset
from cordlesion.dataset.matching import MapPair, images_behind, named_files
from cordlesion.dataset.scan_names import scan_file
from cordlesion.errors import CordlesionError
from cordlesion.io.progress import show_message
from cordlesion.nnunet.predictions import list_part


def find_images(reference: Path, images: Path | None, pairs: Sequence[MapPair]) -> dict[str, Path]:
    """Find the scans behind references: among ``images``, or in the BIDS dataset that the references belong to."""
    if images is not None and images.is_file() and len(pairs) == 1:
        return {pairs[0].scan_id: images}
    if images is not None:
        root = images
        given = named_files(list_part(images, "images"), FilePatterns().image)
        found = images_behind(pairs, [file for file in given if not file.is_derived], root, reference)
    else:
        root = _dataset_of(reference)
        try:
            found = images_behind(pairs, [scan_file(scan.image) for scan in read_dataset(root).scans], root, reference)
        except CordlesionError:
            found = {}
    missing = [pair.scan_id for pair in pairs if pair.scan_id not in found]
    if missing:
        show_message(
            f"{root}: has no scan for {len(missing)} of {len(pairs)} references (first: {missing[0]}), so that their "
            "masks are drawn on black. Name the folder of the scans with --images."
        )
    return found


def _dataset_of(reference: Path) -> Path:
    """Return the BIDS dataset of the references; their own folder if they are no derivatives."""
    folder = reference.resolve() if reference.is_dir() else reference.resolve().parent
    return next((above.parent for above in (folder, *folder.parents) if above.name == "derivatives"), folder)
