"""Scans, references and masks of a finished study, read again for its pictures."""

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Mask
from cordlesion.io.volume import Volume, read_mask, read_probability, read_scan
from cordlesion.study_folder.derivatives import mask_path
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import Run
from cordlesion.study_folder.stages import run_stage
from cordlesion.threshold import GlobalThreshold
from cordlesion.threshold.postprocess import make_mask, read_cord


def read_with_reference(results: StudyResults, scan_id: str) -> tuple[Volume, Volume]:
    """Read a scan and its reference mask.

    Raises:
        CordlesionError: The manifest does not record where they are, or a file is missing.
    """
    files = results.manifest.get("scans", {}).get(scan_id) or {}
    if not all(isinstance(files.get(kind), str) and files[kind] for kind in ("image", "reference")):
        raise CordlesionError(
            f"{results.folder.manifest}: does not say where the image and the reference of {scan_id} lie; "
            f"its pictures need both. {run_stage('split')}"
        )
    scan = read_scan(results.folder.root / files["image"])
    value = results.config.patterns.lesion_value
    return scan, read_mask(results.folder.root / files["reference"], like=scan, value=value)


def cut_mask(results: StudyResults, scan_id: str, run: Run, scan: Volume, threshold: float | None = None) -> Mask:
    """Make a run's mask of a test scan as the evaluation did: its map post-processed and cut.

    Args:
        results: The study.
        scan_id: Of the scan.
        run: Whose mask; of several folds, that of the one that tested the scan.
        scan: The image, for its grid.
        threshold: Where to cut; the tuned threshold by default. Masks that were given as such are read as they are.

    Raises:
        CordlesionError: The map or the mask is missing.
    """
    if run not in results.tuned:
        path = mask_path(results.folder.probability(scan_id, results.maps_name(run)))
        return read_mask(path, like=scan).data.astype(bool)
    training, chosen = results.tested_by(run, scan_id)
    removal = results.config.postprocess
    if "minimum_volume_mm3" in chosen:
        removal = removal.model_copy(update={"minimum_volume_mm3": float(chosen["minimum_volume_mm3"])})
    t = float(chosen["threshold"]) if threshold is None else threshold
    cord_mask = results.manifest.get("scans", {}).get(scan_id, {}).get("cord_mask")
    cord = read_cord(cord_mask and results.folder.root / cord_mask, scan, removal)
    rule = GlobalThreshold(value=t, objective="that of the study", interval=None)
    mask, _ = make_mask(_read_map(results, scan_id, training, scan), rule, removal, cord)
    return mask


def _read_map(results: StudyResults, scan_id: str, run: Run, scan: Volume) -> Volume:
    path = results.folder.probability(scan_id, results.maps_name(run))
    if not path.is_file():
        raise CordlesionError(f"{path}: no such probability map; its picture needs it. {run_stage('evaluate')}")
    return read_probability(path, like=scan)
