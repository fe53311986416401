"""One scan, one bundle: probability map, mask, list of lesions, picture."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cordlesion import __version__
from cordlesion.artifacts import check_output_file, check_output_folder, file_hash, portable_path, write_json
from cordlesion.centerlines import BY_OPTION, CordSource, cord_finder
from cordlesion.dataset.bids import scan_name
from cordlesion.errors import CordlesionError
from cordlesion.lesion_files import Segmented, add_to_tables, check_tables
from cordlesion.lesion_table import Lesion, LesionList, LesionLoad, measure_lesions
from cordlesion.metrics import binarize
from cordlesion.model.bundle import AnyBundle, Card, load_bundle, read_card
from cordlesion.model.cut import choose_cut, describe_cut
from cordlesion.model.wording import describe_model
from cordlesion.postprocess import postprocess, read_cord
from cordlesion.prediction import predict_scan
from cordlesion.preprocess.centerline import (
    Centerline,
    centerline_from_cord_mask,
    coverage_remark,
    read_centerline,
)
from cordlesion.progress import say, track
from cordlesion.volume import Volume, placement_remark, read_scan, transform_used, write_volume


@dataclass(frozen=True)
class CordGiven:
    """What is known of the cord of a scan beforehand."""

    centerline: Path | None = None
    """A curve drawn on a NIfTI grid."""
    cord_mask: Path | None = None
    """A cord mask on the scan's grid, of which the centre is taken where there is no curve."""
    source: CordSource = "auto"
    """What looks for the cord where neither is given: ``auto``, ``sct`` or the file of SCT's centerline network."""

    @property
    def origin(self) -> str:
        """Where the centerline comes from, in the words of ``preprocess.centerline``; a network by its name."""
        drawn = "file" if self.centerline else "cord_mask" if self.cord_mask else None
        return drawn or Path(self.source).name

    @property
    def options(self) -> Mapping[str, Path]:
        """The same as options of the command line, those that differ from the defaults."""
        source = None if self.source == "auto" else Path(self.source)
        given = {"--centerline": self.centerline, "--cord-mask": self.cord_mask, "--centerline-source": source}
        return {option: place for option, place in given.items() if place is not None}


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


def segment(
    scan: Path | str,
    bundle: AnyBundle | Path | str,
    *,
    centerline: Path | str | None = None,
    cord_mask: Path | str | None = None,
    centerline_source: CordSource = "auto",
    threshold: float | None = None,
) -> Segmentation:
    """Segment the MS lesions of one T2w scan of the spinal cord.

    Args:
        scan: NIfTI file.
        bundle: A trained model, or its folder.
        centerline: A curve drawn on a NIfTI grid.
        cord_mask: A cord mask on the scan's grid, of which the centre is taken; give this or ``centerline``, or both to
            a model that restricts lesions to the cord. Without either the cord is found in the scan.
        centerline_source: What finds it: ``auto`` (our own detector), ``sct`` (the Spinal Cord Toolbox, where it is
            installed) or the file of SCT's centerline network (``t2_ctr.h5``).
        threshold: A voxel is lesion when p >= threshold; the bundle's own by default.

    Raises:
        CordlesionError: A file cannot be used, centerline and cord mask are both given, or no cord is found.
    """
    given = CordGiven(_path(centerline), _path(cord_mask), centerline_source)
    image = _read(scan)
    model = load_bundle(bundle) if isinstance(bundle, Path | str) else bundle
    cut = choose_cut(model, threshold, bundle if isinstance(bundle, Path | str) else "the bundle")
    removal = model.card.postprocess
    cord = read_cord(cord_mask, image, removal)
    guide = replace(given, cord_mask=None) if cord is not None and given.centerline else given
    curve = _centerline(image, guide, model.card)
    probability = predict_scan(model, image, curve)
    mask = binarize(postprocess(replace(image, data=probability), [cut], removal, cord), cut)
    found = measure_lesions(image, mask, probability, curve)
    return Segmentation(image, given, curve, probability, mask, cut, found.lesions, found.load)


def write_segmentation(result: Segmentation, folder: Path, bundle: Path, *, pictures: bool = True) -> list[Path]:
    """Write probability map, mask, description, picture and one-page report of a scan; returns the files.

    The lesions of several scans belong in one table: see :func:`cordlesion.lesion_files.add_to_tables`.

    Args:
        result: What was found.
        folder: Where to write.
        bundle: The model it was found with.
        pictures: Write picture and report; without them the folder has none of this scan.

    Raises:
        CordlesionError: The folder cannot be written.
    """
    stem = f"{output_name(result.scan.path)}_label-lesion"
    probability, mask, description = (
        folder / f"{stem}_{end}" for end in ("probseg.nii.gz", "mask.nii.gz", "mask.json")
    )
    write_volume(probability, result.probability, result.scan)
    write_volume(mask, result.mask, result.scan)
    card, name = read_card(bundle), result.scan.path.name if result.scan.path else ""
    remarks = [placement_remark(result.scan, name)]
    if result.centerline is not None:
        remarks.append(coverage_remark(result.centerline, result.scan, name))
    told = [remark for remark in remarks if remark]
    write_json(
        description,
        {
            "Description": "MS lesions of the spinal cord (research use only)",
            "Sources": [name],
            "Centerline": _curve_record(result),
            "Transform": transform_used(result.scan),
            "Remarks": told,
            "Threshold": result.threshold,
            "Prediction": card.prediction.model_dump(mode="json"),
            "Postprocessing": card.postprocess.model_dump(mode="json"),
            "LesionLoad": asdict(result.load),
            "Lesions": [asdict(lesion) for lesion in result.lesions],
            "GeneratedBy": {"Name": "cordlesion", "Version": __version__, "Bundle": portable_path(bundle, folder),
                            "WeightsSHA256": file_hash(bundle / "model.safetensors")},
        },
    )  # fmt: skip
    picture, page = (folder / f"{stem}_{end}" for end in ("mask.png", "report.html"))
    for stale in (picture, page):
        stale.unlink(missing_ok=True)
    return [probability, mask, description, *(_write_pictures(result, card, told, picture, page) if pictures else [])]


def _write_pictures(result: Segmentation, card: Card, remarks: Sequence[str], picture: Path, page: Path) -> list[Path]:
    from cordlesion.report.lesion_report import Source, write_lesion_report
    from cordlesion.report.montage import montage
    from cordlesion.report.overlay import save_png

    figure = montage(result.scan, result.mask, result.centerline)
    save_png(figure, picture)
    source = Source(
        scan=output_name(result.scan.path),
        file=result.scan.path.name if result.scan.path else "",
        model=describe_model(card),
        threshold=result.threshold,
        threshold_origin=describe_cut(card.threshold, result.threshold),
        removal=card.postprocess,
        centerline=_curve_record(result),
        peak_probability=float(result.probability.max()),
        remarks=remarks,
    )
    write_lesion_report(page, source, LesionList(result.lesions, result.load), figure)
    return [picture, page]


def _curve_record(result: Segmentation) -> dict[str, object] | None:
    """Tell where a centerline comes from: file names only, because folders are those of one machine."""
    curve, given = result.centerline, result.given
    if curve is None:
        return None
    file = given.centerline or given.cord_mask
    return {"Source": given.origin, "File": file.name if file else None, "Confidence": curve.confidence}


def segment_files(
    scans: Sequence[Path],
    bundle: Path,
    folder: Path,
    *,
    centerlines: Sequence[Path] = (),
    cord_masks: Sequence[Path] = (),
    centerline_source: CordSource = "auto",
    threshold: float | None = None,
    qc: Path | None = None,
    pictures: bool = True,
) -> dict[str, str]:
    """Segment scans and write everything about them to ``folder``, with one table of all their lesions.

    Args:
        scans: NIfTI files.
        bundle: Folder of a trained model.
        folder: Where to write.
        centerlines: One for each scan, in the order of the scans; or give ``cord_masks``.
        cord_masks: One for each scan, in the order of the scans; beside the centerlines only for a model that restricts
            lesions to the cord.
        centerline_source: What finds the cord where neither is given, as for :func:`segment`.
        threshold: A voxel is lesion when p >= threshold; the bundle's own by default.
        qc: A quality-control report of the Spinal Cord Toolbox; every scan is added to it.
        pictures: Write a picture and a one-page report of every scan.

    Returns:
        The scans that could not be segmented, each with the reason.

    Raises:
        CordlesionError: No scan could be segmented, two scans have one name, there is not one centerline or cord mask
            per scan, the folder cannot be one, or there is no valid threshold.
    """
    for written in (folder, qc or folder):
        check_output_folder(written)
    check_tables(folder)
    names = [output_name(scan) for scan in scans]
    if len(set(names)) < len(names):
        twice = next(scan for scan, name in zip(scans, names, strict=True) if names.count(name) > 1)
        raise CordlesionError(
            f"{twice}: another scan has the same name, and their outputs would overwrite each other; names must "
            "differ. Segment them into two folders."
        )
    for option, files in (("--centerline", centerlines), ("--cord-mask", cord_masks)):
        if files and len(files) != len(scans):
            raise CordlesionError(
                f"{option} was given {len(files)} times for {len(scans)} scans; one for each scan, in their order, is "
                "needed. Repeat the option."
            )
    curves: Sequence[Path | None] = centerlines or [None] * len(scans)
    cords: Sequence[Path | None] = cord_masks or [None] * len(scans)
    model = load_bundle(bundle)
    cut = choose_cut(model, threshold, bundle)
    cord_finder(centerline_source, BY_OPTION)  # what cannot be used is told once, not for every scan
    found: dict[str, Segmented] = {}
    faults: dict[str, str] = {}
    for name, scan, curve, cord in track(zip(names, scans, curves, cords, strict=True), "segment", len(scans)):
        try:
            result = segment(
                scan, model, centerline=curve, cord_mask=cord, centerline_source=centerline_source, threshold=cut
            )
            for path in write_segmentation(result, folder, bundle, pictures=pictures):
                say(f"{path}")
            found[name] = Segmented(result.threshold, result.load, result.lesions)
            if qc is not None:
                _add_to_qc(qc, result, bundle, folder)
        except CordlesionError as error:
            faults[name] = str(error)
    if not found:
        raise CordlesionError(next(iter(faults.values())))
    add_to_tables(folder, found, names)
    return faults


def _add_to_qc(qc: Path, result: Segmentation, bundle: Path, folder: Path) -> None:
    from cordlesion.report.sct_qc import write_qc_entry

    here, scan = Path.cwd(), result.scan.path
    places = {"-m": bundle, "-o": folder, "--qc": qc, **result.given.options}
    options = [part for option, place in places.items() for part in (option, portable_path(place, here))]
    named = portable_path(scan, here) if scan else ""
    command_line = ["cordlesion", "segment", named, *options, "--threshold", f"{result.threshold:g}"]
    say(f"{write_qc_entry(qc, result.scan, result.mask, result.centerline, command_line)}")


def predict_file(
    scan: Path,
    bundle: Path,
    output: Path,
    *,
    centerline: Path | None = None,
    cord_mask: Path | None = None,
    centerline_source: CordSource = "auto",
) -> None:
    """Write the probability map of one scan.

    Raises:
        CordlesionError: As :func:`segment`.
    """
    check_output_file(output, scan, centerline, cord_mask)
    image, model = _read(scan), load_bundle(bundle)
    curve = _centerline(image, CordGiven(centerline, cord_mask, centerline_source), model.card)
    write_volume(output, predict_scan(model, image, curve), image)
    say(f"{output}: lesion probabilities. Tune a threshold with `cordlesion tune`, or cut them at the model's own.")


def output_name(scan: Path | None) -> str:
    """Name a scan's outputs by its BIDS entities, or by its file name where it has none."""
    file = scan.name if scan else "scan.nii.gz"
    return scan_name(file) or file.split(".")[0]


def _read(path: Path | str) -> Volume:
    image = read_scan(path)
    if remark := placement_remark(image):
        say(remark)
    return image


def _path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)


def _centerline(image: Volume, given: CordGiven, card: Card) -> Centerline | None:
    if given.centerline is not None and given.cord_mask is not None:
        raise CordlesionError(
            f"{image.path}: centerline and cord mask were given; this model needs at most one of them. "
            "Leave out --centerline or --cord-mask."
        )
    if given.source != "auto" and (given.centerline or given.cord_mask):
        raise CordlesionError(
            f"{image.path}: the cord was given, and something to look for it as well ({given.source}); one of them is "
            "needed. Leave out --centerline-source."
        )
    if given.centerline is not None:
        curve = read_centerline(given.centerline, image)
    elif given.cord_mask is not None:
        curve = centerline_from_cord_mask(given.cord_mask, image)
    elif card.preprocess.region == "cord":
        curve = cord_finder(given.source, BY_OPTION)(image)
    else:
        return None
    if remark := coverage_remark(curve, image):
        say(remark)
    return curve
