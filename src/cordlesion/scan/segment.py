"""One scan, one bundle: probability map, mask, list of lesions; and scan after scan into one folder."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cordlesion.centerlines import BY_OPTION, CordInput, CordSource, cord_finder, network_file
from cordlesion.cord.centerline import (
    Centerline,
    Finder,
    centerline_from_cord_mask,
    coverage_remark,
    lost_remark,
    read_centerline,
)
from cordlesion.errors import CordlesionError, PartialSearchWarning
from cordlesion.io.outputs import check_output_file, check_output_folder
from cordlesion.io.progress import bar, show_message
from cordlesion.io.volume import Volume, placement_remark, read_scan, write_volume
from cordlesion.lesions.measure import measure_lesions
from cordlesion.lesions.tables import check_tables
from cordlesion.model.architectures import Card, Predictor
from cordlesion.model.bundle import bundle_files, load_bundle
from cordlesion.model.packaged_model import announcer, bundle_folder
from cordlesion.prediction import cut_scan, predict, predict_scan
from cordlesion.scan.earlier import check_earlier, doubt_files, map_files, output_name
from cordlesion.scan.guard import compare_result, compare_scan, show_verdict
from cordlesion.scan.mask_rule import applied_rule
from cordlesion.scan.outputs import Segmentation, partial_remark, write_segmentation
from cordlesion.scan.qc_entry import add_to_qc
from cordlesion.scan.segmented_scans import SegmentedScans
from cordlesion.threshold.postprocess import make_mask, read_cord
from cordlesion.threshold.rules import ThresholdRule


def segment(
    scan: Path | str,
    bundle: Predictor | Path | str | None = None,
    *,
    centerline: Path | str | None = None,
    cord_mask: Path | str | None = None,
    centerline_source: CordSource = "auto",
    threshold: float | None = None,
    threshold_rule: str | None = None,
    code: Path | str | None = None,
    allow_partial: bool = False,
    force: bool = False,
) -> Segmentation:
    """Segment the MS lesions of one T2w scan of the spinal cord.

    Args:
        scan: NIfTI file.
        bundle: A trained model, or its folder; by default the model in the package, which was trained on simulated
            scans only and is no clinical tool.
        centerline: A curve drawn on a NIfTI grid.
        cord_mask: A cord mask on the scan's grid, of which the centre is taken; give this or ``centerline``, or both to
            a model that restricts lesions to the cord. Without either the cord is found in the scan.
        centerline_source: How it is found: ``auto`` (our own detector), ``sct`` (the Spinal Cord Toolbox, where it is
            installed) or the file of SCT's centerline network (``t2_ctr.h5``).
        threshold: A voxel is lesion when p >= threshold; the bundle's own rule by default.
        threshold_rule: Name of another rule of the bundle, such as ``peak``: one of ``further_rules`` of its card.
        code: Folder of the module of a bundle whose network is a user's own code, as for :func:`load_bundle`.
        allow_partial: Give no warning if the cord is lost inside the scan, so that only a part of it is searched.
        force: Segment a scan that the guard refuses, because it looks unlike the scans that the model was trained on.

    Raises:
        CordlesionError: A file cannot be used, centerline and cord mask are both given, no cord is found, or the guard
            refuses the scan.

    Warns:
        PartialSearchWarning: The cord is lost inside the scan. The result is that of the searched part, which
            ``coverage`` describes.

    Examples:
        Here ``scan.nii.gz`` is a scan, ``centerline.nii.gz`` a curve drawn in it, and ``bundle`` a trained model.

        >>> import cordlesion
        >>> result = cordlesion.segment("scan.nii.gz", "bundle", centerline="centerline.nii.gz", threshold=0.4)
        >>> result.threshold, result.mask.dtype
        (0.4, dtype('bool'))
        >>> files = result.save("segmented", pictures=False)
    """
    given = CordInput(_path(centerline), _path(cord_mask), centerline_source)
    image = _read(scan)
    folder = None
    if bundle is None or isinstance(bundle, Path | str):
        announcer(bundle)(*given.files)
        folder = bundle_folder(bundle)
        bundle = load_bundle(folder, code)
    model, rule = applied_rule(bundle, threshold, threshold_rule, folder or "the bundle")
    result = _segment(image, model, given, rule, bundle=folder, force=force)
    if not allow_partial and (remark := partial_remark(result)):
        warnings.warn(remark, PartialSearchWarning, stacklevel=2)
    return result


def _segment(
    image: Volume,
    model: Predictor,
    given: CordInput,
    rule: ThresholdRule,
    find: Finder | None = None,
    bundle: Path | None = None,
    *,
    force: bool = False,
) -> Segmentation:
    cord = read_cord(given.cord_mask, image, model.card.postprocess)
    guide = replace(given, cord_mask=None) if cord is not None and given.centerline else given
    curve = _centerline(image, guide, model.card, find)
    cut = cut_scan(model, image, curve)
    verdict = compare_scan(model, image, cut, force=force)
    predicted = predict(model, image, curve, cut)
    mask, threshold = make_mask(replace(image, data=predicted.probability), rule, model.card.postprocess, cord)
    p = predicted.probability if model.card.built_in_threshold is None else None
    found = measure_lesions(image, mask, p, curve, members=predicted.members, threshold=threshold)
    return Segmentation(
        image, given, curve, predicted.probability, mask, threshold, found.lesions, found.load, rule, model.card,
        bundle, compare_result(verdict, model, found), predicted.spread,
    )  # fmt: skip


def segment_files(
    scans: Sequence[Path],
    bundle: Path | None,
    folder: Path,
    *,
    centerlines: Sequence[Path] = (),
    cord_masks: Sequence[Path] = (),
    centerline_source: CordSource = "auto",
    threshold: float | None = None,
    threshold_rule: str | None = None,
    qc: Path | None = None,
    pictures: bool = True,
    overwrite: bool = False,
    code: Path | None = None,
    force: bool = False,
) -> SegmentedScans:
    """Segment scans and write everything about them to ``folder``, with one table of all their lesions.

    Args:
        scans: NIfTI files.
        bundle: Folder of a trained model; None: the one in the package.
        folder: Where to write.
        centerlines: One for each scan, in the order of the scans; or give ``cord_masks``.
        cord_masks: One for each scan, in the order of the scans; give both only to a model that restricts lesions to
            the cord.
        centerline_source: How the cord is found where neither is given, as for :func:`segment`.
        threshold: As for :func:`segment`.
        threshold_rule: As for :func:`segment`.
        qc: A quality-control report of the Spinal Cord Toolbox; every scan is added to it.
        pictures: Write a picture and a one-page report of every scan.
        overwrite: Replace masks that were corrected by hand, or that are of another scan of the same name; without it
            such scans are refused.
        code: As for :func:`segment`.
        force: As for :func:`segment`.

    Returns:
        The scans that could not be segmented, each with the reason; what the folder held of them stays as it was. And
        those that were searched in part, because the cord was lost; their files are written.

    Raises:
        CordlesionError: No scan could be segmented, one is a folder, two scans have one name, an output would replace
            an input, there is not one centerline or cord mask per scan, the folder cannot be one, or there is no valid
            threshold.
    """
    for written in (folder, qc or folder):
        check_output_folder(written)
    check_tables(folder)
    cords = _cords(scans, centerlines, cord_masks, centerline_source)
    for written in (file for scan in scans for file in (*map_files(folder, scan), *doubt_files(folder, scan))):
        check_output_file(written, *scans, *centerlines, *cord_masks)
    place, announce = bundle_folder(bundle), announcer(bundle)
    model, rule = applied_rule(load_bundle(place, code), threshold, threshold_rule, place)
    find = cord_finder(centerline_source, BY_OPTION)
    faults, partial = dict[str, str](), dict[str, str]()
    n_written = 0
    with bar("segment", len(scans)) as advance:
        for scan, given in zip(scans, cords, strict=True):
            name = output_name(scan)
            try:
                image = _read(scan)
                check_earlier(folder, scan, overwrite=overwrite)
                announce(*given.files)
                result = _segment(image, model, given, rule, find, place, force=force)
            except CordlesionError as error:
                faults[name] = f"{error}{_kept(folder, name)}"
                continue
            try:
                show_verdict(name, result.verdict)
                write_segmentation(result, folder, pictures=pictures)
                n_written += 1
                if remark := partial_remark(result):
                    partial[name] = remark
                advance()
                if qc is not None:
                    add_to_qc(qc, result, folder)
            except CordlesionError as error:
                faults[name] = str(error)
    if not n_written:
        raise CordlesionError(next(iter(faults.values())))
    return SegmentedScans(faults, partial)


def _cords(
    scans: Sequence[Path], centerlines: Sequence[Path], cord_masks: Sequence[Path], source: CordSource
) -> list[CordInput]:
    """Return the cord input of each scan; first check that the scans can be segmented into one folder."""
    names = [output_name(scan) for scan in scans]
    for scan in scans:
        if scan.is_dir():
            raise CordlesionError(f"{scan}: is a folder; scans are needed. Give the scans in it, one by one.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        first, second = [scan for scan, name in zip(scans, names, strict=True) if name == twice][:2]
        raise CordlesionError(
            f"{second}: its outputs would get the same name ({twice}) as those of {first}; names must "
            "differ. Segment them into two folders."
        )
    for option, files in (("--centerline", centerlines), ("--cord-mask", cord_masks)):
        if files and len(files) != len(scans):
            raise CordlesionError(
                f"{option} was given {len(files)} times for {len(scans)} scans; one for each scan, in their order, is "
                "needed. Repeat the option."
            )
    none: Sequence[Path | None] = [None] * len(scans)
    return [CordInput(*given, source) for given in zip(centerlines or none, cord_masks or none, strict=True)]


def _kept(folder: Path, name: str) -> str:
    earlier = (folder / f"{name}_label-lesion_mask.nii.gz").is_file()
    return f" What {folder} holds of this scan is of an earlier run and was left as it is." if earlier else ""


def predict_file(
    scan: Path,
    bundle: Path | None,
    output: Path,
    *,
    centerline: Path | None = None,
    cord_mask: Path | None = None,
    centerline_source: CordSource = "auto",
    code: Path | None = None,
    force: bool = False,
) -> str | None:
    """Write the probability map of one scan, by the model in the package where no bundle is given.

    Returns:
        A warning if the cord was lost inside the scan, so that the map is 0 beyond the place; else None.

    Raises:
        CordlesionError: As :func:`segment`.
    """
    folder = bundle_folder(bundle)
    check_output_file(output, scan, centerline, cord_mask, network_file(centerline_source), *bundle_files(folder))
    image, model = _read(scan), load_bundle(folder, code)
    curve = _centerline(image, CordInput(centerline, cord_mask, centerline_source), model.card, None)
    announcer(bundle)()
    cut = cut_scan(model, image, curve)
    show_verdict(output_name(scan), compare_scan(model, image, cut, force=force))
    write_volume(output, predict_scan(model, image, curve, cut), image)
    show_message(
        f"{output}: lesion probabilities. Tune a threshold with `cordlesion tune`, or cut them at the model's own."
    )
    return lost_remark(curve, image) if curve is not None else None


def _read(path: Path | str) -> Volume:
    image = read_scan(path)
    if remark := placement_remark(image):
        show_message(remark)
    return image


def _path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)


def _centerline(image: Volume, given: CordInput, card: Card, find: Finder | None) -> Centerline | None:
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
    elif card.cord_settings.region == "cord":
        curve = (find or cord_finder(given.source, BY_OPTION))(image)
    else:
        return None
    if card.cord_settings.region == "cord" and (remark := coverage_remark(curve, image)):
        show_message(remark)
    return curve
