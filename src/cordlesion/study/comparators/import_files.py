"""Import of a comparator's maps and masks into the study folder, on the scan's own grid, with checks."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cordlesion.config import ComparatorConfig, PreprocessConfig
from cordlesion.cord.centerline import Finder
from cordlesion.dataset.scan import Scan, read_reference
from cordlesion.io.arrays import Float32Array
from cordlesion.io.volume import Volume, read_grid, read_mask, read_probability, read_scan, write_volume
from cordlesion.metrics import binarize
from cordlesion.nnunet.softmax import read_softmax
from cordlesion.preprocess.stack_file import scan_centerline
from cordlesion.study.comparators.content import FileContent, describe_content
from cordlesion.study.comparators.match import Comparator

if TYPE_CHECKING:
    from cordlesion.model.architectures import Predictor


def import_file(comparator: Comparator, scan: Scan, probability: Path, mask: Path) -> FileContent:
    """Copy a comparator's map or mask of a scan into the study folder, and return what it holds.

    Args:
        comparator: One that is given as files.
        scan: The scan, with the grid of its image; the file must not be a copy of its reference.
        probability: Path of the map, if there is one.
        mask: Path of the mask, if the threshold is not tuned.

    Raises:
        CordlesionError: The file is damaged, lies on another grid, or is no map or mask.
    """
    grid = read_grid(scan.image)
    volume = _read(comparator, scan, grid)
    if comparator.config.kind == "masks":
        write_volume(mask, volume.data, grid)
    else:
        _write(comparator.config, volume.data.astype(np.float32, copy=False), grid, probability, mask)
    return _content(comparator, scan, volume, grid)


def check_file(comparator: Comparator, scan: Scan) -> FileContent:
    """Return what a comparator's map or mask of a scan holds; nothing is written.

    Raises:
        CordlesionError: As for :func:`import_file`.
    """
    grid = read_grid(scan.image)
    return _content(comparator, scan, _read(comparator, scan, grid), grid)


def predict_bundle(
    comparator: Comparator,
    bundle: "Predictor",
    own: PreprocessConfig,
    find: Finder | None,
    scan: Scan,
    probability: Path,
    mask: Path,
) -> None:
    """Predict a scan with a comparator's model and the model's own preprocessing.

    Args:
        comparator: The comparator.
        bundle: The model.
        own: Preprocessing of the model in this study: region, and the source of centerlines.
        find: Finds the cord, if the source of the centerline is no file of the scan.
        scan: The image, and its centerline or cord mask.
        probability: Path of the map.
        mask: Path of the mask, if the threshold is not tuned.

    Raises:
        CordlesionError: The model needs a centerline, and the scan has none.
    """
    from cordlesion.prediction import predict_scan

    image = read_scan(scan.image)
    centerline = scan_centerline(scan, image, own, find)
    _write(comparator.config, predict_scan(bundle, image, centerline), image, probability, mask)


def _read(comparator: Comparator, scan: Scan, grid: Volume) -> Volume:
    config, source = comparator.config, comparator.files[scan.scan_id]
    if config.kind == "masks":
        return read_mask(source, like=grid, value=config.lesion_value)
    if config.kind == "npz":
        return replace(grid, data=read_softmax(source, grid, config.lesion_class))
    return read_probability(source, like=grid)


def _content(comparator: Comparator, scan: Scan, volume: Volume, grid: Volume) -> FileContent:
    reference = read_reference(scan, grid).data.astype(bool, copy=False) if scan.reference else None
    return replace(describe_content(comparator.config, volume.data, reference), mask_value=volume.mask_value)


def _write(config: ComparatorConfig, data: Float32Array, grid: Volume, probability: Path, mask: Path) -> None:
    write_volume(probability, data, grid)
    if config.threshold is not None:
        write_volume(mask, binarize(data, config.threshold), grid)
