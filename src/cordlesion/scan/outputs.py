"""The outputs of one segmented scan: probability map, mask, rows of the tables, picture, report, entry for SCT."""

import warnings
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from cordlesion import __version__
from cordlesion.centerlines import CordInput
from cordlesion.config import PACKAGED_BUNDLE
from cordlesion.cord.centerline import Centerline, coverage_remark, lost_remark
from cordlesion.errors import CordlesionError
from cordlesion.guard.verdict import NOT_COMPARED, Verdict
from cordlesion.io.arrays import Float32Array, Mask
from cordlesion.io.fingerprints import file_hash
from cordlesion.io.html import html_rows
from cordlesion.io.outputs import check_output_file, check_output_folder, portable_path
from cordlesion.io.progress import show_message
from cordlesion.io.volume import Volume, placement_remark, transform_used, write_volume
from cordlesion.io.writing import write_json
from cordlesion.lesions.coverage import Coverage, measure_coverage
from cordlesion.lesions.measure import Lesion, LesionList, LesionLoad
from cordlesion.lesions.tables import Segmented, add_to_tables, check_tables
from cordlesion.metrics.uncertainty import entropy_map
from cordlesion.model.architectures import Card
from cordlesion.model.experience import describe_error, describe_training
from cordlesion.scan.earlier import (
    MASK_KEY,
    SOURCE_KEY,
    check_earlier,
    doubt_files,
    map_files,
    masks_written,
    output_name,
)
from cordlesion.threshold.rules import ThresholdRule, describe_origin


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a model finds in one scan; arrays lie on the scan's own grid, shape (X, Y, Z).

    Examples:
        Here ``scan.nii.gz`` is a scan, ``centerline.nii.gz`` a curve drawn in it, and ``bundle`` a trained model.

        >>> import cordlesion
        >>> result = cordlesion.segment("scan.nii.gz", "bundle", centerline="centerline.nii.gz")
        >>> result.mask.shape == result.probability.shape == result.scan.data.shape
        True
        >>> result.load.n_lesions == len(result.lesions)
        True
    """

    scan: Volume
    """The scan as it was read."""
    cord_input: CordInput
    """What was known about the cord beforehand."""
    centerline: Centerline | None
    """The cord's centre; None where the model needs none and none was given."""
    probability: Float32Array
    """Probability of lesion, in [0, 1]."""
    mask: Mask
    """Voxels with a probability of at least the threshold that post-processing keeps."""
    threshold: float
    """The decision threshold t; a voxel is lesion when p >= t."""
    lesions: tuple[Lesion, ...]
    """Each lesion with its size in mm and its place along the cord, the largest first."""
    load: LesionLoad
    """The lesions taken together: their number, volume in mm3, and length of affected cord in mm."""
    rule: ThresholdRule
    """How the mask was made from the map; ``threshold`` is what it applied in this scan."""
    model: Card
    """What is known about the model; contents of its ``model.json``."""
    bundle: Path | None = None
    """Folder of the model; None where a loaded model was given."""
    verdict: Verdict = NOT_COMPARED
    """How scan and lesions compare with the scans that the model was trained on."""
    spread: Float32Array | None = None
    """Standard deviation of the probability over the networks of an ensemble, from 0 to 0.5; None for one network."""

    @cached_property
    def coverage(self) -> Coverage | None:
        """Which part of the scan was searched, and why the search ended there; None for a model of the whole image.

        Examples:
            >>> import cordlesion
            >>> result = cordlesion.segment("scan.nii.gz", "bundle", centerline="centerline.nii.gz")
            >>> result.coverage.searched_slices, result.coverage.superior_end, result.coverage.is_partial
            (36, 'drawn', False)
        """
        along_cord = self.model.cord_settings.region == "cord"
        return measure_coverage(self.scan, self.centerline) if along_cord and self.centerline is not None else None

    @property
    def given(self) -> CordInput:
        """The former name of ``cord_input``."""
        warnings.warn("Segmentation.given is deprecated; use cord_input.", DeprecationWarning, stacklevel=2)
        return self.cord_input

    def save(self, folder: Path | str, *, pictures: bool = True, overwrite: bool = False) -> list[Path]:
        """Write what ``cordlesion segment`` writes: maps, description, rows of the tables, picture and report.

        Args:
            folder: Where to write; several scans may share one.
            pictures: Write the picture and the one-page report of the scan.
            overwrite: Replace a mask that was corrected by hand, or that is of another scan of the same name.

        Returns:
            The files of this scan; ``lesions.tsv`` and ``lesion_load.tsv`` of the folder are extended.

        Raises:
            CordlesionError: The folder cannot be written, a file would replace the scan, or something that
                ``overwrite`` protects would be lost.

        Examples:
            >>> import cordlesion
            >>> result = cordlesion.segment("scan.nii.gz", "bundle", centerline="centerline.nii.gz")
            >>> for path in result.save("out", pictures=False):
            ...     print(path.name)
            scan_label-lesion_probseg.nii.gz
            scan_label-lesion_mask.nii.gz
            scan_label-lesion_mask.json
        """
        folder, scan, cord = Path(folder), self.scan.path, self.cord_input
        check_output_folder(folder)
        check_tables(folder)
        for written in map_files(folder, scan):
            check_output_file(written, scan, cord.centerline, cord.cord_mask)
        if scan is not None:
            check_earlier(folder, scan, overwrite=overwrite)
        return write_segmentation(self, folder, pictures=pictures)

    def __repr__(self) -> str:
        name = self.scan.path.name if self.scan.path else "a scan"
        return f"Segmentation({name!r}, threshold={self.threshold:g}, {self.load.n_lesions} lesions)"

    def _repr_html_(self) -> str:
        load = self.load
        rows = {
            "scan": self.scan.path.name if self.scan.path else "",
            "threshold": f"{self.threshold:g}",
            "lesions": load.n_lesions,
            "volume": f"{load.volume_mm3:.0f} mm³",
            "affected cord": f"{load.affected_mm:.0f} mm",
            "guard": self.verdict.status,
        } | ({"searched": self.coverage.describe()} if self.coverage else {})
        return html_rows("Segmentation (research use only)", rows)


def write_segmentation(result: Segmentation, folder: Path, *, pictures: bool = True) -> list[Path]:
    """Write everything about one scan: maps, description, rows of the folder's tables, picture and one-page report.

    The pictures come last, so that an interrupt leaves no mask without its rows.

    Args:
        result: What was found.
        folder: Where to write.
        pictures: Write picture and report; without them the folder has none of this scan.

    Returns:
        The files of this scan.

    Raises:
        CordlesionError: The folder cannot be written.
    """
    try:
        files = _write_maps(result, folder)
        rows = Segmented(result.threshold, result.load, result.lesions, result.coverage)
        add_to_tables(folder, {output_name(result.scan.path): rows})
        files += _write_pictures(result, folder) if pictures else []
    except CordlesionError as error:
        raise CordlesionError(f"{error} What {folder} holds of it may be incomplete: segment it again.") from error
    for path in files:
        show_message(f"{path}")
    return files


def _write_maps(result: Segmentation, folder: Path) -> list[Path]:
    files, card = map_files(folder, result.scan.path), result.model
    name = result.scan.path.name if result.scan.path else ""
    # Before the mask: after an interrupt in between, our own mask must not look like a corrected one.
    write_json(
        files[2],
        {
            "Description": "MS lesions of the spinal cord (research use only)",
            "Sources": [name],
            SOURCE_KEY: file_hash(result.scan.path) if result.scan.path else None,
            MASK_KEY: masks_written(result.mask, files[2]),
            "Centerline": _curve_record(result),
            "Coverage": None if result.coverage is None else asdict(result.coverage),
            "Transform": transform_used(result.scan),
            "Remarks": _remarks(result),
            "Guard": result.verdict.record(),
            "Threshold": result.threshold,
            "ThresholdRule": result.rule.model_dump(mode="json"),
            "Prediction": card.prediction.model_dump(mode="json"),
            "Postprocessing": card.postprocess.model_dump(mode="json"),
            "Model": _experience(card),
            "LesionLoad": asdict(result.load),
            "Lesions": [asdict(lesion) for lesion in result.lesions],
            "GeneratedBy": {"Name": "cordlesion", "Version": __version__, **_bundle_record(result, folder)},
        },
    )  # fmt: skip
    write_volume(files[0], result.probability, result.scan)
    write_volume(files[1], result.mask, result.scan)
    entropy, spread = doubts = doubt_files(folder, result.scan.path)
    for stale in (*_pictures(result, folder), *doubts):
        stale.unlink(missing_ok=True)
    if result.spread is None:
        return list(files)
    write_volume(entropy, entropy_map(result.probability), result.scan)
    write_volume(spread, result.spread, result.scan)
    return [*files, *doubts]


def _bundle_record(result: Segmentation, folder: Path) -> dict[str, str | None]:
    """Return where the model lies and what identifies its weights; a model given without a folder has no place."""
    if result.bundle is None:
        return {"Bundle": None, "WeightsSHA256": result.model.weights_sha256}
    weights = file_hash(result.bundle / "model.safetensors")
    place = "packaged" if result.bundle == PACKAGED_BUNDLE else portable_path(result.bundle, folder)
    return {"Bundle": place, "WeightsSHA256": weights}


def _experience(card: Card) -> dict[str, object]:
    """Return what is known about a model's training and errors; null if nothing is known."""
    data, error = card.experience or (None, None)
    known = {"TrainingData": data, "TestError": error}
    return {name: None if one is None else one.model_dump(mode="json") for name, one in known.items()}


def _remarks(result: Segmentation) -> list[str]:
    scan, name = result.scan, result.scan.path.name if result.scan.path else ""
    curve = result.centerline if result.model.cord_settings.region == "cord" else None
    of_curve = [f"{name}: {remark}" for remark in curve.remarks] if curve else []
    of_coverage = [remark(curve, scan, name) for remark in (coverage_remark, lost_remark)] if curve else []
    return [remark for remark in (placement_remark(scan, name), *of_curve, *of_coverage) if remark]


def partial_remark(result: Segmentation) -> str | None:
    """Return a warning if only a part of the cord was searched, because it was lost at an end; else None."""
    searched = None if result.coverage is None else result.centerline
    return None if searched is None else lost_remark(searched, result.scan)


def _pictures(result: Segmentation, folder: Path) -> tuple[Path, Path]:
    stem = f"{output_name(result.scan.path)}_label-lesion"
    return folder / f"{stem}_mask.png", folder / f"{stem}_report.html"


def _write_pictures(result: Segmentation, folder: Path) -> list[Path]:
    from cordlesion.pictures.montage import montage
    from cordlesion.pictures.overlay import save_png
    from cordlesion.scan.report import Source, write_lesion_report

    (picture, page), card = _pictures(result, folder), result.model
    scan, cord_only = output_name(result.scan.path), card.cord_settings.region == "cord"
    title = f"{scan} · p ≥ {result.threshold:g} · research use only"
    figure = montage(result.scan, result.mask, result.centerline, title=title, cord_only=cord_only)
    save_png(figure, picture)
    source = Source(
        scan=scan,
        file=result.scan.path.name if result.scan.path else "",
        model=card.describe(),
        threshold=result.threshold,
        threshold_origin=_origin(card, result.rule),
        **_experience_in_words(card, result.threshold),
        removal=card.postprocess,
        centerline=_curve_record(result),
        peak_probability=float(result.probability.max()) if card.built_in_threshold is None else None,
        remarks=_remarks(result),
        guard=result.verdict,
        cord_only=cord_only,
        coverage=result.coverage,
    )
    return [picture, write_lesion_report(page, source, LesionList(result.lesions, result.load), figure)]


def _origin(card: Card, rule: ThresholdRule) -> str:
    origin = describe_origin(card.threshold, rule)
    return origin if rule.fixed_threshold is not None else f"by the rule {rule.rule} ({rule.summary}), {origin}"


def _experience_in_words(card: Card, threshold: float) -> dict[str, str]:
    if card.experience is None:
        return {}
    data, error = card.experience
    return {"trained_on": describe_training(data), "errors": describe_error(error, threshold)}


def _curve_record(result: Segmentation) -> dict[str, object] | None:
    """Return where a centerline comes from: file names only, because folders are those of one machine."""
    curve, given = result.centerline, result.cord_input
    if curve is None:
        return None
    file = given.centerline or given.cord_mask
    return {"Source": given.origin, "File": file.name if file else None, "Confidence": curve.confidence}
