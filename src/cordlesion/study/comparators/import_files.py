"""A comparator's maps and masks are brought into the study folder, on the scan's own grid, checked on the way."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cordlesion.config import ComparatorConfig, PreprocessConfig
from cordlesion.cord.centerline import Finder
from cordlesion.dataset.scan import Scan, read_reference
from cordlesion.io.volume import Volume, read_grid, read_mask, read_probability, read_scan, write_volume
from cordlesion.metrics import binarize
from cordlesion.nnunet.softmax import read_softmax
from cordlesion.preprocess.stack_file import scan_centerline
from cordlesion.study.comparators.content import FileContent, look_at
from cordlesion.study.comparators.match import Comparator

if TYPE_CHECKING:
    from cordlesion.model.bundle import AnyBundle

FloatArray = npt.NDArray[np.float32]


def bring_file(comparator: Comparator, scan: Scan, probability: Path, mask: Path) -> FileContent:
    """Copy a comparator's map or mask of a scan into the study folder, and tell what it holds.

    Args:
        comparator: One that is given as files.
        scan: The grid of its image, and its reference, which the file must not be.
        probability: Where the map goes, if there is one.
        mask: Where the mask goes, if the comparator is not tuned.

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
    """Tell what a comparator's map or mask of a scan holds, and write nothing.

    Raises:
        CordlesionError: As for :func:`bring_file`.
    """
    grid = read_grid(scan.image)
    return _content(comparator, scan, _read(comparator, scan, grid), grid)


def predict_bundle(
    comparator: Comparator,
    bundle: "AnyBundle",
    own: PreprocessConfig,
    find: Finder | None,
    scan: Scan,
    probability: Path,
    mask: Path,
) -> None:
    """Predict a scan with a comparator's model, under the model's own preprocessing.

    Args:
        comparator: Whose model it is.
        bundle: The model.
        own: Its preprocessing in this study: region, and where centerlines come from.
        find: Looks for the cord, where the source of the centerline is no file of the scan.
        scan: Image, and where its cord is.
        probability: Where the map goes.
        mask: Where the mask goes, if the comparator is not tuned.

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
    return replace(look_at(comparator.config, volume.data, reference), mask_value=volume.mask_value)


def _write(config: ComparatorConfig, data: FloatArray, grid: Volume, probability: Path, mask: Path) -> None:
    write_volume(probability, data, grid)
    if config.threshold is not None:
        write_volume(mask, binarize(data, config.threshold), grid)
