"""One scan, one bundle: probability map, mask, list of lesions, picture."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from cordlesion import __version__
from cordlesion.artifacts import check_output_file, check_output_folder, file_hash, write_json
from cordlesion.dataset.bids import scan_name
from cordlesion.errors import CordlesionError
from cordlesion.evaluation import read_table, write_table
from cordlesion.metrics import RULES, binarize, label_components
from cordlesion.metrics.voxel import bounding_box
from cordlesion.model.bundle import AnyBundle, Card, SctBundle, load_bundle, read_card
from cordlesion.postprocess import postprocess, read_cord
from cordlesion.prediction import predict_scan
from cordlesion.preprocess.centerline import Centerline, centerline_from_cord_mask, read_centerline
from cordlesion.preprocess.cord_finder import find_cord
from cordlesion.preprocess.orient import to_las
from cordlesion.progress import say, track
from cordlesion.volume import Volume, placement_remark, read_scan, transform_used, write_volume


@dataclass(frozen=True)
class Lesion:
    """One predicted lesion."""

    lesion: int
    """Number, from the largest."""
    volume_mm3: float
    length_mm: float
    """Extent along the cord: the axial slices it spans."""
    position_mm: float
    """Distance of its middle from the upper end of the centerline, along the cord; without a centerline, from the
    uppermost axial slice."""
    peak_probability: float
    mean_probability: float
    n_voxels: int


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a model finds in a scan; arrays lie on the scan's own grid."""

    scan: Volume
    centerline: Centerline | None
    probability: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_]
    threshold: float
    lesions: tuple[Lesion, ...]


def segment(
    scan: Path | str,
    bundle: AnyBundle | Path | str,
    *,
    centerline: Path | str | None = None,
    cord_mask: Path | str | None = None,
    threshold: float | None = None,
) -> Segmentation:
    """Segment the MS lesions of one T2w scan of the spinal cord.

    Args:
        scan: NIfTI file.
        bundle: A trained model, or its folder.
        centerline: A curve drawn on a NIfTI grid.
        cord_mask: A cord mask on the scan's grid, of which the centre is taken; give this or ``centerline``, or both to
            a model that restricts lesions to the cord. Without either the cord is found in the scan.
        threshold: A voxel is lesion when p >= threshold; the bundle's own by default.

    Raises:
        CordlesionError: A file cannot be used, centerline and cord mask are both given, or no cord is found.
    """
    image = read_scan(scan)
    if remark := placement_remark(image):
        say(remark)
    model = load_bundle(bundle) if isinstance(bundle, Path | str) else bundle
    cut = _threshold(model, threshold, bundle if isinstance(bundle, Path | str) else "the bundle")
    removal = model.card.postprocess
    cord = read_cord(cord_mask, image, removal)
    curve = _centerline(image, centerline, cord_mask if cord is None or centerline is None else None, model.card)
    probability = predict_scan(model, image, curve)
    mask = binarize(postprocess(replace(image, data=probability), [cut], removal, cord), cut)
    return Segmentation(image, curve, probability, mask, cut, tuple(_lesions(image, curve, probability, mask)))


def write_segmentation(result: Segmentation, folder: Path, bundle: Path) -> list[Path]:
    """Write probability map, mask, description and picture of a scan; returns the files.

    The lesions of several scans belong in one ``lesions.tsv``: see :func:`lesion_table`.

    Raises:
        CordlesionError: The folder cannot be written.
    """
    from cordlesion.report.overlay import montage, save_png

    name = output_name(result.scan.path)
    probability, mask = (folder / f"{name}_label-lesion_{kind}.nii.gz" for kind in ("probseg", "mask"))
    picture, description = folder / f"{name}_label-lesion_mask.png", folder / f"{name}_label-lesion_mask.json"
    write_volume(probability, result.probability, result.scan)
    write_volume(mask, result.mask, result.scan)
    card = read_card(bundle)
    save_png(montage(result.scan, result.mask, result.centerline), picture)
    write_json(
        description,
        {
            "Description": "MS lesions of the spinal cord (research use only)",
            "Sources": [result.scan.path.name if result.scan.path else ""],
            "CenterlineConfidence": result.centerline.confidence if result.centerline else None,
            "Transform": transform_used(result.scan),
            "Remarks": [remark for remark in [placement_remark(result.scan)] if remark],
            "Threshold": result.threshold,
            "Prediction": card.prediction.model_dump(mode="json"),
            "Postprocessing": card.postprocess.model_dump(mode="json"),
            "Lesions": [asdict(lesion) for lesion in result.lesions],
            "GeneratedBy": {"Name": "cordlesion", "Version": __version__, "Bundle": str(bundle),
                            "WeightsSHA256": file_hash(bundle / "model.safetensors")},
        },
    )  # fmt: skip
    return [probability, mask, description, picture]


def segment_files(
    scans: Sequence[Path],
    bundle: Path,
    folder: Path,
    *,
    centerlines: Sequence[Path] = (),
    cord_masks: Sequence[Path] = (),
    threshold: float | None = None,
    qc: Path | None = None,
) -> dict[str, str]:
    """Segment scans and write everything about them to ``folder``, with one ``lesions.tsv``.

    Args:
        scans: NIfTI files.
        bundle: Folder of a trained model.
        folder: Where to write.
        centerlines: One for each scan, in the order of the scans; or give ``cord_masks``.
        cord_masks: One for each scan, in the order of the scans; beside the centerlines only for a model that restricts
            lesions to the cord.
        threshold: A voxel is lesion when p >= threshold; the bundle's own by default.
        qc: A quality-control report of the Spinal Cord Toolbox; every scan is added to it.

    Returns:
        The scans that could not be segmented, each with the reason.

    Raises:
        CordlesionError: No scan could be segmented, two scans have one name, there is not one centerline or cord mask
            per scan, the folder cannot be one, or there is no valid threshold.
    """
    for written in (folder, qc or folder):
        check_output_folder(written)
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
    cut = _threshold(model, threshold, bundle)
    lesions: dict[str, tuple[Lesion, ...]] = {}
    faults: dict[str, str] = {}
    for name, scan, curve, cord in track(zip(names, scans, curves, cords, strict=True), "segment", len(scans)):
        try:
            result = segment(scan, model, centerline=curve, cord_mask=cord, threshold=cut)
            for path in write_segmentation(result, folder, bundle):
                say(f"{path}")
            lesions[name] = result.lesions
            if qc is not None:
                _add_to_qc(qc, result, bundle, folder)
        except CordlesionError as error:
            faults[name] = str(error)
    if not lesions:
        raise CordlesionError(next(iter(faults.values())))
    _add_to_table(folder / "lesions.tsv", lesion_table(lesions), names)
    return faults


def _add_to_qc(qc: Path, result: Segmentation, bundle: Path, folder: Path) -> None:
    from cordlesion.report.sct_qc import write_qc_entry

    options = ["-m", str(bundle), "-o", str(folder), "--threshold", f"{result.threshold:g}"]
    command_line = ["cordlesion", "segment", str(result.scan.path), *options]
    say(f"{write_qc_entry(qc, result.scan, result.mask, result.centerline, command_line)}")


def predict_file(
    scan: Path, bundle: Path, output: Path, *, centerline: Path | None = None, cord_mask: Path | None = None
) -> None:
    """Write the probability map of one scan.

    Raises:
        CordlesionError: As :func:`segment`.
    """
    check_output_file(output, scan, centerline, cord_mask)
    image = read_scan(scan)
    if remark := placement_remark(image):
        say(remark)
    model = load_bundle(bundle)
    write_volume(output, predict_scan(model, image, _centerline(image, centerline, cord_mask, model.card)), image)


def lesion_table(lesions: Mapping[str, Sequence[Lesion]]) -> pd.DataFrame:
    """Return one row per lesion of every scan (``lesions.tsv``)."""
    columns = ["scan_id", *Lesion.__dataclass_fields__]
    rows = [{"scan_id": name} | asdict(lesion) for name, found in lesions.items() for lesion in found]
    return pd.DataFrame(rows, columns=columns)


def _add_to_table(path: Path, lesions: pd.DataFrame, scans: Sequence[str]) -> None:
    """Write the lesions of ``scans``, keeping those that the folder holds of others."""
    if path.is_file():
        others = read_table(path, lesions.columns)
        lesions = pd.concat([others[~others["scan_id"].isin(scans)], lesions], ignore_index=True)
    write_table(path, lesions)


def output_name(scan: Path | None) -> str:
    """Name a scan's outputs by its BIDS entities, or by its file name where it has none."""
    file = scan.name if scan else "scan.nii.gz"
    return scan_name(file) or file.split(".")[0]


def _threshold(bundle: AnyBundle, threshold: float | None, name: object) -> float:
    if threshold is not None:
        if isinstance(bundle, SctBundle) and bundle.card.prediction.cut not in (None, threshold):
            raise CordlesionError(
                f"{name}: gives the mask that SCT ships, but a threshold was given; probabilities are needed for one. "
                "Leave out --threshold, or import the variant soft."
            )
        if not 0 < threshold <= 1:
            raise CordlesionError(
                f"the threshold is {threshold:g}; a value above 0 and up to 1 is needed. Give another --threshold."
            )
        return threshold
    if bundle.card.threshold is None:
        raise CordlesionError(
            f"{name}: has no tuned threshold; one is needed to make a mask. Tune it in a study, or give --threshold."
        )
    if bundle.card.threshold.value == 0:
        raise CordlesionError(
            f"{name}: its tuned threshold is 0, which marks every voxel: the model learned too little. "
            "Train it longer, or give --threshold."
        )
    return bundle.card.threshold.value


def _centerline(
    image: Volume, centerline: Path | str | None, cord_mask: Path | str | None, card: Card
) -> Centerline | None:
    if centerline is None and cord_mask is None:
        return find_cord(image) if card.preprocess.region == "cord" else None
    if centerline is not None and cord_mask is not None:
        raise CordlesionError(
            f"{image.path}: centerline and cord mask were given; this model needs at most one of them. "
            "Leave out --centerline or --cord-mask."
        )
    if centerline is not None:
        return read_centerline(centerline, image)
    assert cord_mask is not None
    return centerline_from_cord_mask(cord_mask, image)


def _lesions(
    image: Volume, curve: Centerline | None, probability: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]
) -> list[Lesion]:
    """Measure the components above the study's minimum volume, largest first."""
    if not mask.any():
        return []
    inside = to_las(Volume(mask, image.affine)).data.astype(np.bool_, copy=False)
    p = to_las(Volume(probability, image.affine)).data
    spacing, box = to_las(image).spacing_mm, bounding_box(inside)
    # Of the lesions' box alone: labels of a whole image would take four times the memory of the mask.
    components = label_components(inside[box], RULES["study"], float(np.prod(spacing)))
    # Without a cord, depth is measured straight down from the uppermost slice.
    curve = curve or Centerline(np.zeros(1), np.zeros(1), np.array([p.shape[2] - 1.0]))
    places = ndimage.find_objects(components.labels)
    lesions = []
    for number, index in enumerate(np.argsort(-components.sizes, kind="stable"), start=1):
        place = places[index]
        values = p[box][place][components.labels[place] == index + 1]
        slices = slice(box[2].start + place[2].start, box[2].start + place[2].stop)
        lesions.append(_lesion(number, values, slices, spacing, curve))
    return lesions


def _lesion(
    number: int,
    values: npt.NDArray[np.generic],
    slices: slice,
    spacing: tuple[float, float, float],
    curve: Centerline,
) -> Lesion:
    middle = (slices.start + slices.stop - 1) / 2
    return Lesion(
        lesion=number,
        volume_mm3=round(values.size * float(np.prod(spacing)), 2),
        length_mm=round((slices.stop - slices.start) * spacing[2], 2),
        position_mm=round(_depth_mm(curve, spacing, middle), 2),
        peak_probability=round(float(values.max()), 4),
        mean_probability=round(float(values.mean()), 4),
        n_voxels=values.size,
    )


def _depth_mm(curve: Centerline, spacing: tuple[float, float, float], z: float) -> float:
    """Length of the centerline from its upper end down to the slice ``z``."""
    fine = np.linspace(curve.z[-1], z, 200)
    x, y = curve.at(fine)
    steps = np.diff(np.stack([x, y, fine]), axis=1) * np.array(spacing)[:, None]
    return float(np.linalg.norm(steps, axis=0).sum())
