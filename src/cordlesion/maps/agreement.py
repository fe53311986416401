"""Predicted masks compared with references, scan by scan: pictures of true and false positives, and a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cordlesion import __version__
from cordlesion.cord.centerline import Centerline
from cordlesion.cord.finder import find_cord
from cordlesion.dataset.matching import MapPair
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Array, Int32Array, Mask
from cordlesion.io.formats import plural
from cordlesion.io.mask_values import MaskReader, MaskValues
from cordlesion.io.orient import to_las
from cordlesion.io.progress import track
from cordlesion.io.tables import write_table
from cordlesion.io.volume import Volume, read_scan, require_same_grid
from cordlesion.io.writing import write_json, write_text
from cordlesion.lesions.measure import NumberedLesions, measure_lesions, number_lesions
from cordlesion.lesions.tables import LESION_AGREEMENT, describe_columns
from cordlesion.maps.files import FigureFormat
from cordlesion.maps.sides import Side, read_side
from cordlesion.metrics import RULES, Components, LesionRule, ScanMetrics, evaluate, match_lesions
from cordlesion.metrics.lesion import CheckedLesions
from cordlesion.pictures.html_page import page_environment
from cordlesion.pictures.montage import Mark, montage
from cordlesion.pictures.slices import AXIAL_WINDOW_MM
from cordlesion.pictures.style import FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE, save_figure
from cordlesion.report.pipeline import name_rule

TEMPLATES = Path(__file__).parent / "templates"
_NEAR_SHARE = 0.9
"""Smallest share of lesion voxels near the cord found in the scan; with a smaller share the cord is not used."""
_MARGIN_MM = 10.0
"""Margin around the lesions in pictures without an image."""


@dataclass(frozen=True, eq=False)
class Judged:
    """The numbered lesions of a reference and of a prediction, and which of them the other mask confirms."""

    reference: NumberedLesions
    detected: Mask
    predicted: NumberedLesions
    true: Mask


def judge_lesions(
    reference: CheckedLesions, prediction: CheckedLesions, spacing_mm: tuple[float, float, float], rule: LesionRule
) -> Judged:
    """Number the lesions of two masks in LAS order and find which of them agree under a lesion rule.

    Lesions that are given keep their order, so that those of our own instance maps keep their numbers.
    """
    matches, voxel_mm3 = match_lesions(reference, prediction, spacing_mm, rule), float(np.prod(spacing_mm))
    theirs, ours = (number_lesions(lesions, voxel_mm3, rule) for lesions in (reference, prediction))
    return Judged(theirs, matches.detected[theirs.order], ours, matches.true_predicted[ours.order])


def write_agreement(
    folder: Path,
    pairs: Sequence[MapPair],
    images: Mapping[str, Path],
    rule: str = "study",
    picture_format: FigureFormat = "png",
    predictions: MaskReader | None = None,
    references: MaskReader | None = None,
) -> dict[str, str]:
    """Write a picture of each scan, ``lesion_agreement.tsv`` and a page that shows all pictures, the worst scan first.

    Reference lesions are named R1, R2 .., from the largest; predicted lesions are named P1, P2 ... Those of instance
    maps are named by their numbers. Pictures show the names of all reference lesions and of the predicted lesions that
    the reference does not confirm.

    Args:
        folder: Where to write.
        pairs: References and predictions.
        images: The scan of each pair, by ``scan_id``; without one, masks are shown on black.
        rule: A name in :data:`cordlesion.metrics.RULES`.
        picture_format: Format of the pictures.
        predictions: Reads the predictions; by default they are masks.
        references: The same for references.

    Returns:
        The scans that could not be shown, each with the reason.

    Raises:
        CordlesionError: The folder cannot be written.
    """
    shown: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    faults: dict[str, str] = {}
    for pair in track(pairs, "draw agreement", len(pairs)):
        try:
            scan = _read(pair, images.get(pair.scan_id), predictions, references)
        except CordlesionError as error:
            faults[pair.scan_id] = str(error)
            continue
        metrics = evaluate(scan.reference.lesions, scan.prediction.lesions, scan.image.spacing_mm, rule)
        judged = _judge(scan, RULES[rule])
        picture = folder / f"{pair.scan_id}.{picture_format}"
        save_figure(_picture(scan, judged, f"{pair.scan_id}   {summarize(metrics)}"), picture)
        shown.append(
            {"scan": pair.scan_id, "picture": quote(picture.name), "summary": summarize(metrics)} | asdict(metrics)
        )
        rows += _rows(pair.scan_id, scan, judged, RULES[rule])
    table = pd.DataFrame(rows, columns=list(LESION_AGREEMENT.names))
    write_table(folder / LESION_AGREEMENT.file, table)
    write_json(folder / "lesion_agreement.json", describe_columns(table))
    _write_page(folder / "index.html", shown, rule)
    return faults


def summarize(metrics: ScanMetrics) -> str:
    """Describe in one line how well a mask agrees with its reference."""
    n_false = metrics.n_false_lesions
    if not metrics.reference_volume_mm3:
        return f"lesion-free, {plural(n_false, 'false positive')} ({metrics.predicted_volume_mm3:.0f} mm³)"
    found = f"{metrics.n_detected_lesions} of {plural(metrics.n_reference_lesions, 'lesion')} detected"
    marked = f"{plural(n_false, 'false positive')} among {metrics.n_predicted_lesions} predicted"
    return f"voxel F1 {metrics.voxel_f1:.2f}, {found}, {marked}"


@dataclass(frozen=True, eq=False)
class _Scan:
    """Image, masks and cord of a scan, all on one grid."""

    image: Volume
    reference: Side
    prediction: Side
    centerline: Centerline | None
    has_image: bool = True
    """Without an image the background is black."""


def _read(pair: MapPair, path: Path | None, predictions: MaskReader | None, references: MaskReader | None) -> _Scan:
    reference = read_side(references or MaskValues("references", pair.lesion_value), pair.reference)
    readers = predictions or MaskValues("predictions", pair.predicted_value)
    prediction, mask = read_side(readers, pair.prediction, reference.mask), reference.mask
    if path is None:
        black = np.broadcast_to(np.float32(0), mask.data.shape)
        return _Scan(Volume(black, mask.affine), reference, prediction, None, has_image=False)
    image = read_scan(path)
    require_same_grid(image, mask)
    return _Scan(image, reference, prediction, _cord(image, np.logical_or(mask.data, prediction.mask.data)))


def _cord(image: Volume, lesions: Array) -> Centerline | None:
    """Find the cord, for the pictures to follow; nothing where there is none, or where the lesions are elsewhere."""
    try:
        curve = find_cord(image)
    except CordlesionError:
        return None
    las = to_las(image)
    voxels = np.argwhere(to_las(Volume(lesions, image.affine)).data)
    if not len(voxels):
        return curve
    center = np.stack(curve.at(voxels[:, 2].astype(np.float64)), axis=1)
    away_mm = np.abs(voxels[:, :2] - center) * las.spacing_mm[:2]
    return curve if (away_mm < AXIAL_WINDOW_MM / 2).all(axis=1).mean() >= _NEAR_SHARE else None


def _judge(scan: _Scan, rule: LesionRule) -> Judged:
    lesions = [_in_las(side) for side in (scan.reference, scan.prediction)]
    return judge_lesions(lesions[0], lesions[1], to_las(scan.reference.mask).spacing_mm, rule)


def _in_las(side: Side) -> CheckedLesions:
    """Return the lesions of a file in index order LAS."""
    if not isinstance(side.lesions, Components):
        return to_las(side.mask).data.astype(np.bool_, copy=False)
    return replace(side.lesions, labels=to_las(replace(side.mask, data=side.lesions.labels)).data.astype(np.int32))


def _picture(scan: _Scan, judged: Judged, title: str) -> Figure:
    marks = [
        Mark(f"R{number}", TRUE_POSITIVE if found else FALSE_NEGATIVE, voxels)
        for number, voxels, found in _each(judged.reference, judged.detected)
    ]
    marks += [
        Mark(f"P{number}", FALSE_POSITIVE, voxels)
        for number, voxels, true in _each(judged.predicted, judged.true)
        if not true
    ]
    masks = (scan.prediction.mask, scan.centerline, scan.reference.mask)
    return montage(scan.image, *masks, marks=marks, title=title, crop_mm=None if scan.has_image else _MARGIN_MM)


def _each(lesions: NumberedLesions, verdicts: Mask) -> Iterator[tuple[int, Int32Array, bool]]:
    """Yield number, voxels and verdict of each lesion."""
    yield from zip(lesions.numbers, lesions.voxels, verdicts.tolist(), strict=True)


def _rows(scan_id: str, scan: _Scan, judged: Judged, rule: LesionRule) -> Iterator[dict[str, Any]]:
    """Yield a row for each lesion of both masks."""
    for kind, side, numbered, agrees in (
        ("reference", scan.reference, judged.reference, judged.detected),
        ("prediction", scan.prediction, judged.predicted, judged.true),
    ):
        mask = side.mask.data.astype(np.bool_, copy=False)
        found = measure_lesions(scan.image, mask, None, scan.centerline, rule, numbered=numbered)
        for lesion, agreed in zip(found.lesions, agrees, strict=True):
            named = {
                "scan_id": scan_id,
                "mask": kind,
                "name": f"{kind[0].upper()}{lesion.lesion}",
                "agrees": int(agreed),
            }
            yield named | asdict(lesion)


def _write_page(path: Path, shown: list[dict[str, Any]], rule: str) -> None:
    """Write the page: scans with lesions by increasing voxel F1, then those without by decreasing false volume."""
    order = sorted(
        shown,
        key=lambda one: (
            one["reference_volume_mm3"] == 0,
            one["voxel_f1"] if one["reference_volume_mm3"] else -one["predicted_volume_mm3"],
        ),
    )
    template = page_environment(TEMPLATES).get_template("agreement.html.j2")
    write_text(path, template.render(scans=order, rule=name_rule(rule), version=__version__))
