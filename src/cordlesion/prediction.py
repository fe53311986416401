"""Model and scan in, probability map in the scan's own space out (Hussein et al. 2023, section 2.5)."""

from pathlib import Path
from typing import TypeAlias

import numpy as np

from cordlesion.cord.centerline import Centerline
from cordlesion.io.arrays import Float32Array
from cordlesion.io.orient import from_las
from cordlesion.io.volume import Volume, read_grid, write_volume
from cordlesion.model.architectures import Predictor
from cordlesion.model.bundle import Bundle
from cordlesion.model.hardware import give_back_memory
from cordlesion.model.patch_prediction import require_finite
from cordlesion.preprocess.cord_stack import StackGeometry, map_back
from cordlesion.preprocess.stack_file import read_stack

Cut: TypeAlias = tuple[Float32Array, StackGeometry]
"""The stack of a scan and its place."""


def cut_scan(model: Predictor, scan: Volume, centerline: Centerline | None) -> Cut | None:
    """Return what a model that was trained with this program sees of a scan; None for one with steps of its own."""
    return model.cut(scan, centerline) if isinstance(model, Bundle) else None


def predict_scan(model: Predictor, scan: Volume, centerline: Centerline | None, cut: Cut | None = None) -> Float32Array:
    """Predict the lesion probability of every voxel of a scan; 0 outside the stack.

    Args:
        model: The trained model.
        scan: The image.
        centerline: The cord's centre; not needed by a model of the foreground.
        cut: What :func:`cut_scan` returned, so that the scan is not cut again.

    Returns:
        Probabilities in [0, 1] on the scan's own grid and in its own index order.

    Raises:
        CordlesionError: The network gives no numbers.
    """
    if isinstance(model, Bundle) and cut is not None:
        las = map_back(require_finite(model.predict_stack(*cut), scan.path), cut[1])
    else:
        las = model.predict(scan, centerline)
    give_back_memory()
    # A view: of the zeros beyond the stack's box, no memory is taken until they are copied.
    return np.asarray(from_las(las, scan), np.float32)


def predict_to_file(bundle: Bundle, image: Path, stack: Path, output: Path) -> None:
    """Predict from a scan's stack file and write the probability map on the scan's grid.

    Args:
        bundle: The trained model.
        image: The scan; only its header is read.
        stack: The scan's stack.
        output: Path of the map, ``.nii.gz``.
    """
    grid, part = read_grid(image), read_stack(stack)
    probability = bundle.predict_stack(part.image, part.geometry)
    write_volume(output, from_las(map_back(require_finite(probability, image), part.geometry), grid), grid)
