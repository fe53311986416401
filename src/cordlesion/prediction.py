"""Model and scan in, probability map in the scan's own space out (Hussein et al. 2023, section 2.5)."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from cordlesion.cord.centerline import Centerline
from cordlesion.io.arrays import Float32Array
from cordlesion.io.orient import from_las
from cordlesion.io.volume import Volume, read_grid, write_volume
from cordlesion.lesions.members import MemberMaps, Place
from cordlesion.model.architectures import Predictor
from cordlesion.model.bundle import Bundle
from cordlesion.model.hardware import give_back_memory
from cordlesion.model.patch_prediction import require_finite
from cordlesion.preprocess.cord_stack import StackGeometry, map_back, map_back_box
from cordlesion.preprocess.stack_file import read_stack

Cut: TypeAlias = tuple[Float32Array, StackGeometry]
"""The stack of a scan and its place."""


def cut_scan(model: Predictor, scan: Volume, centerline: Centerline | None) -> Cut | None:
    """Return what a model that was trained with this program sees of a scan; None for one with steps of its own."""
    return model.cut(scan, centerline) if isinstance(model, Bundle) else None


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says about a scan; arrays are on the scan's own grid and in its own index order."""

    probability: Float32Array
    """Of lesion, in [0, 1]; 0 outside the stack."""
    members: MemberMaps | None = None
    """The map of each network of an ensemble, in LAS order; None for a model of one network."""
    spread: Float32Array | None = None
    """Standard deviation over the networks of an ensemble; None for a model of one network."""


def predict_scan(model: Predictor, scan: Volume, centerline: Centerline | None, cut: Cut | None = None) -> Float32Array:
    """Predict the lesion probability of every voxel of a scan; see :func:`predict`."""
    return predict(model, scan, centerline, cut).probability


def predict(model: Predictor, scan: Volume, centerline: Centerline | None, cut: Cut | None = None) -> Prediction:
    """Predict a scan; the networks of an ensemble run one after the other on the same patches.

    Args:
        model: The trained model.
        scan: The image.
        centerline: The cord's centre; not needed by a model of the foreground.
        cut: What :func:`cut_scan` returned, so that the scan is not cut again.

    Raises:
        CordlesionError: The network gives no numbers.
    """
    cut = cut_scan(model, scan, centerline) if cut is None else cut
    if not isinstance(model, Bundle) or cut is None:
        las = model.predict(scan, centerline)
    elif len(model.networks) > 1:
        return _predict_members(model, scan, cut)
    else:
        las = map_back(require_finite(model.predict_stack(*cut), scan.path), cut[1])
    give_back_memory()
    return Prediction(_on_grid(las, scan))


def _predict_members(model: Bundle, scan: Volume, cut: Cut) -> Prediction:
    boxes, places = zip(*(_native_box(p, cut[1], scan.path) for p in model.predict_members(*cut)), strict=True)
    give_back_memory()
    x, y, z = cut[1].native_shape
    members = MemberMaps(np.stack(boxes), places[0], (x, y, z))
    return Prediction(_on_grid(members.mean(), scan), members, _on_grid(members.spread(), scan))


def _native_box(probability: Float32Array, geometry: StackGeometry, scan: Path | None) -> tuple[Float32Array, Place]:
    return map_back_box(require_finite(probability, scan), geometry)


def _on_grid(las: Float32Array, scan: Volume) -> Float32Array:
    """Return values in LAS order in the scan's own index order."""
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
