"""What is written of one segmented scan: probability map, mask, rows of the tables, picture, report, entry for SCT."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cordlesion import __version__
from cordlesion.centerlines import CordGiven
from cordlesion.cord.centerline import Centerline, coverage_remark
from cordlesion.dataset.scan_names import scan_file
from cordlesion.errors import CordlesionError
from cordlesion.io.fingerprints import file_hash
from cordlesion.io.outputs import portable_path
from cordlesion.io.progress import say
from cordlesion.io.reading import read_json
from cordlesion.io.volume import Volume, placement_remark, read_mask, transform_used, write_volume
from cordlesion.io.writing import write_json
from cordlesion.lesions.measure import Lesion, LesionList, LesionLoad
from cordlesion.lesions.tables import Segmented, add_to_tables
from cordlesion.model.architectures import Card
from cordlesion.model.bundle import read_card
from cordlesion.model.experience import describe_error, describe_training
from cordlesion.threshold.rules import ThresholdRule, describe_origin

_SOURCE, _MASK = "SourceSHA256", "MaskVoxelsSHA256"
"""Keys of a mask's JSON file: what it was made from, and what was written, so that a correction by hand is seen."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a model finds in a scan; arrays lie on the scan's own grid."""

    scan: Volume
    given: CordGiven
    centerline: Centerline | None
    probability: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_]
    threshold: float
    lesions: tuple[Lesion, ...]
    load: LesionLoad
    rule: ThresholdRule
    """What made the mask of the map; ``threshold`` is what it applied in this scan."""


def write_segmentation(result: Segmentation, folder: Path, bundle: Path, *, pictures: bool = True) -> None:
    """Write everything about one scan: maps, description, rows of the folder's tables, picture and one-page report.

    The pictures come last, so that an interrupt leaves no mask without its rows.

    Args:
        result: What was found.
        folder: Where to write.
        bundle: The model it was found with.
        pictures: Write picture and report; without them the folder has none of this scan.

    Raises:
        CordlesionError: The folder cannot be written.
    """
    card = read_card(bundle)
    try:
        files = _write_maps(result, folder, bundle, card)
        rows = Segmented(result.threshold, result.load, result.lesions)
        add_to_tables(folder, {output_name(result.scan.path): rows})
        for path in [*files, *(_write_pictures(result, folder, card) if pictures else [])]:
            say(f"{path}")
    except CordlesionError as error:
        raise CordlesionError(f"{error} What {folder} holds of it may be incomplete: segment it again.") from error


def add_to_qc(qc: Path, result: Segmentation, bundle: Path, folder: Path) -> None:
    """Add a scan to a quality-control report of the Spinal Cord Toolbox, with the command that makes the same again.

    Args:
        qc: The report, existing or not.
        result: What was found.
        bundle: The model it was found with.
        folder: Where the results lie.

    Raises:
        CordlesionError: The report cannot be written.
    """
    from cordlesion.sct.qc_report import write_qc_entry

    here, scan = Path.cwd(), result.scan.path
    places = {"-m": bundle, "-o": folder, "--qc": qc, **result.given.options}
    options = [part for option, place in places.items() for part in (option, portable_path(place, here))]
    named = portable_path(scan, here) if scan else ""
    command_line = ["cordlesion", "segment", named, *options, "--threshold", f"{result.threshold:g}"]
    say(f"{write_qc_entry(qc, result.scan, result.mask, result.centerline, command_line)}")


def output_name(scan: Path | None) -> str:
    """Name a scan's outputs by its BIDS entities and suffix, or by its file name where it has none."""
    return scan_file(scan or "scan.nii.gz").as_image().name


def check_earlier(folder: Path, scan: Path, *, overwrite: bool = False) -> None:
    """Refuse to replace what a folder holds of another scan of this name, or a mask that was corrected by hand.

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
    if mask.is_file() and not _is_as_written(mask, written):
        raise CordlesionError(
            f"{mask}: is not what its JSON file records, so it may have been corrected by hand; nothing is replaced. "
            "Choose another output folder, or replace it with --overwrite."
        )


def _record(path: Path) -> dict[str, Any]:
    held = read_json(path) if path.is_file() else {}
    return held if isinstance(held, dict) else {}


def _other_source(written: Mapping[str, Any], scan: Path) -> str | None:
    """Return what another image was that a record is of; None where it is of this one, or does not say."""
    names = written.get("Sources")
    name = names[0] if isinstance(names, list) and names else None
    if isinstance(name, str) and name != scan.name:
        return name
    if isinstance(digest := written.get(_SOURCE), str) and digest != file_hash(scan):
        return f"another image named {scan.name}"
    return None


def _is_as_written(mask: Path, written: Mapping[str, Any]) -> bool:
    recorded = written.get(_MASK)
    try:
        return isinstance(recorded, list) and _mask_hash(read_mask(mask).data) in recorded
    except CordlesionError:
        # We write no mask that cannot be read as one: somebody changed it.
        return False


def _mask_hash(mask: npt.NDArray[Any]) -> str:
    """Return a hash of a mask's voxels, which are the same however a program stores them."""
    return hashlib.sha256(repr(mask.shape).encode() + np.packbits(mask.astype(np.bool_)).tobytes()).hexdigest()


def _masks_written(result: Segmentation, record: Path) -> list[str]:
    """Return the hashes of the masks that may lie beside a record: the new one, and until it is there the last one."""
    held = _record(record).get(_MASK)
    return list(dict.fromkeys([_mask_hash(result.mask), *(held[:1] if isinstance(held, list) else [])]))


def map_files(folder: Path, scan: Path | None) -> tuple[Path, Path, Path]:
    """Return the paths of a scan's probability map, mask, and the description of both."""
    stem = f"{output_name(scan)}_label-lesion"
    return folder / f"{stem}_probseg.nii.gz", folder / f"{stem}_mask.nii.gz", folder / f"{stem}_mask.json"


def _write_maps(result: Segmentation, folder: Path, bundle: Path, card: Card) -> list[Path]:
    files = map_files(folder, result.scan.path)
    name = result.scan.path.name if result.scan.path else ""
    # Before the mask: what is killed in between must not take its own mask for a corrected one.
    write_json(
        files[2],
        {
            "Description": "MS lesions of the spinal cord (research use only)",
            "Sources": [name],
            _SOURCE: file_hash(result.scan.path) if result.scan.path else None,
            _MASK: _masks_written(result, files[2]),
            "Centerline": _curve_record(result),
            "Transform": transform_used(result.scan),
            "Remarks": _remarks(result, card),
            "Threshold": result.threshold,
            "Prediction": card.prediction.model_dump(mode="json"),
            "Postprocessing": card.postprocess.model_dump(mode="json"),
            "Model": _experience(card),
            "LesionLoad": asdict(result.load),
            "Lesions": [asdict(lesion) for lesion in result.lesions],
            "GeneratedBy": {"Name": "cordlesion", "Version": __version__, "Bundle": portable_path(bundle, folder),
                            "WeightsSHA256": file_hash(bundle / "model.safetensors")},
        },
    )  # fmt: skip
    write_volume(files[0], result.probability, result.scan)
    write_volume(files[1], result.mask, result.scan)
    for stale in _pictures(result, folder):
        stale.unlink(missing_ok=True)
    return list(files)


def _experience(card: Card) -> dict[str, object]:
    """Return what is known of a model's training and errors; null where nothing is."""
    data, error = card.experience or (None, None)
    known = {"TrainingData": data, "TestError": error}
    return {name: None if one is None else one.model_dump(mode="json") for name, one in known.items()}


def _remarks(result: Segmentation, card: Card) -> list[str]:
    scan, name = result.scan, result.scan.path.name if result.scan.path else ""
    curve = result.centerline if card.cord_settings.region == "cord" else None
    of_curve = [f"{name}: {remark}" for remark in curve.remarks] if curve else []
    remarks = (placement_remark(scan, name), *of_curve, curve and coverage_remark(curve, scan, name))
    return [remark for remark in remarks if remark]


def _pictures(result: Segmentation, folder: Path) -> tuple[Path, Path]:
    stem = f"{output_name(result.scan.path)}_label-lesion"
    return folder / f"{stem}_mask.png", folder / f"{stem}_report.html"


def _write_pictures(result: Segmentation, folder: Path, card: Card) -> list[Path]:
    from cordlesion.pictures.montage import montage
    from cordlesion.pictures.overlay import save_png
    from cordlesion.scan.report import Source, write_lesion_report

    picture, page = _pictures(result, folder)
    scan, cord_only = output_name(result.scan.path), card.cord_settings.region == "cord"
    title = f"{scan} · p ≥ {result.threshold:g} · research use only"
    figure = montage(result.scan, result.mask, result.centerline, title=title, cord_only=cord_only)
    save_png(figure, picture)
    source = Source(
        scan=scan,
        file=result.scan.path.name if result.scan.path else "",
        model=card.describe(),
        threshold=result.threshold,
        threshold_origin=describe_origin(card.threshold, result.rule),
        **_experience_in_words(card, result.threshold),
        removal=card.postprocess,
        centerline=_curve_record(result),
        peak_probability=float(result.probability.max()) if card.built_in_threshold is None else None,
        remarks=_remarks(result, card),
        cord_only=cord_only,
    )
    return [picture, write_lesion_report(page, source, LesionList(result.lesions, result.load), figure)]


def _experience_in_words(card: Card, threshold: float) -> dict[str, str]:
    if card.experience is None:
        return {}
    data, error = card.experience
    return {"trained_on": describe_training(data), "errors": describe_error(error, threshold)}


def _curve_record(result: Segmentation) -> dict[str, object] | None:
    """Tell where a centerline comes from: file names only, because folders are those of one machine."""
    curve, given = result.centerline, result.given
    if curve is None:
        return None
    file = given.centerline or given.cord_mask
    return {"Source": given.origin, "File": file.name if file else None, "Confidence": curve.confidence}
