"""The stack of a scan with its reference: written once, read by training and prediction."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cordlesion.config import DRAWN, PreprocessConfig
from cordlesion.cord.centerline import (
    Centerline,
    Finder,
    centerline_from_cord_mask,
    coverage_remark,
    lost_remark,
    read_centerline,
)
from cordlesion.dataset.scan import Scan, read_reference
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import AnyArray, Array, Float32Array, Mask
from cordlesion.io.progress import show_message
from cordlesion.io.reading import parse_json
from cordlesion.io.volume import Volume, read_scan
from cordlesion.io.writing import atomic_path
from cordlesion.preprocess.cord_stack import StackGeometry, sample_reference, sample_stack
from cordlesion.preprocess.region import place_stack

_MAX_LENGTH = 1_000_000
"""Upper limit for the number of voxels along an axis."""


@dataclass(frozen=True, eq=False)
class CordStack:
    """The 48 x 48 x N volume around the centerline, or the block around the foreground, with original intensities."""

    image: Float32Array
    reference: Mask
    """All False if the scan has no reference."""
    geometry: StackGeometry
    lost: str | None = None
    """A warning if the cord was lost at an end of the centerline that was found; it is not in the stack's file."""


_READERS = {"file": read_centerline, "cord_mask": centerline_from_cord_mask}
_WANTED = {"file": "*_label-centerline_seg.nii.gz", "cord_mask": "*_label-cord_seg.nii.gz"}


def scan_centerline(scan: Scan, image: Volume, config: PreprocessConfig, find: Finder | None) -> Centerline | None:
    """Return the centerline of a scan from the configured source; None if the region needs none.

    Args:
        scan: The scan and its files.
        image: The image of the scan.
        config: Region and source of the centerline.
        find: Finds the cord, if the source is not a file.

    Raises:
        CordlesionError: The file is missing or unusable, or the cord is not found.
    """
    if config.region != "cord":
        return None
    source = str(config.centerline)
    if source not in DRAWN:
        assert find is not None
        return find(image)
    file = scan.files().get(DRAWN[source])
    if file is None:
        raise CordlesionError(
            f"{scan.image}: no centerline {source.replace('_', ' ')} found; {_WANTED[source]} is needed next to the "
            "scan or in derivatives. Add it, or set `preprocess.centerline` or `patterns` in the study."
            f"{scan.why_none(DRAWN[source])}"
        )
    curve = _READERS[source](file, image)
    if remark := coverage_remark(curve, image):
        show_message(remark)
    return curve


def make_stack(scan: Scan, config: PreprocessConfig, find: Finder | None) -> CordStack:
    """Cut the stack of a scan and of its reference.

    Args:
        scan: Image, reference and centerline files.
        config: Region, voxel size and source of the centerline.
        find: Finds the cord, if the source of the centerline is not a file.

    Raises:
        CordlesionError: A file is missing or damaged, the grids differ, or the image has no foreground.
    """
    image = read_scan(scan.image)
    curve = scan_centerline(scan, image, config, find)
    geometry = place_stack(image, curve, config)
    stack, lost = sample_stack(image, geometry), None if curve is None else lost_remark(curve, image)
    if scan.reference is None:
        return CordStack(stack, np.zeros(stack.shape, bool), geometry, lost)
    return CordStack(stack, sample_reference(read_reference(scan, image), geometry), geometry, lost)


def stack_content(stack: CordStack) -> bytes:
    """Return the file content of a stack; equal stacks give equal bytes."""
    starts = {"start_x": stack.geometry.start_x.tolist(), "start_y": stack.geometry.start_y.tolist()}
    tensors: dict[str, AnyArray] = {
        "image": np.ascontiguousarray(stack.image),
        "reference": np.ascontiguousarray(stack.reference, np.uint8),
    }
    # Not save_file, because its error does not show that the disk is full.
    return save(tensors, metadata={"geometry": json.dumps(asdict(stack.geometry) | starts)})


def write_stack(path: Path, stack: CordStack) -> None:
    """Write a stack atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(stack_content(stack))


def read_stack(path: Path) -> CordStack:
    """Read a stack that :func:`write_stack` wrote.

    Raises:
        CordlesionError: The file is missing or damaged.
    """
    with _opened(path) as stored:
        geometry = _geometry(parse_json(stored.metadata()["geometry"], path, dict))
        image, reference = stored.get_tensor("image"), stored.get_tensor("reference")
        _require_fit(image, reference, geometry)
    return CordStack(image, reference.astype(bool), geometry)


def read_stack_shape(path: Path) -> tuple[int, int, int]:
    """Read the shape of a stack without its voxels.

    Raises:
        CordlesionError: The file is missing or damaged.
    """
    with _opened(path) as stored:
        x, y, z = stored.get_slice("image").get_shape()
        if 0 in (x, y, z):
            raise ValueError("it has no voxels")
    return x, y, z


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="numpy") as stored:
            yield stored
    except CordlesionError:
        raise
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise CordlesionError(
            f"{path}: not a readable cord stack ({error}). Delete it and run `cordlesion preprocess` again."
        ) from error


def _between(value: Any, kind: Any, low: float, high: float) -> Any:  # noqa: ANN401 - a number of JSON
    if not isinstance(value, kind) or not low <= value <= high:
        raise ValueError(f"a value of its geometry is {value!r}")
    return value


def _require_fit(image: Array, reference: Array, geometry: StackGeometry) -> None:
    """Reject arrays with a wrong type or shape, and intensities that are not finite."""
    if image.dtype != np.float32 or reference.dtype != np.uint8:
        raise ValueError(f"it contains {image.dtype} and {reference.dtype}; float32 and uint8 are needed")
    if not image.shape == reference.shape == geometry.shape or 0 in image.shape:
        raise ValueError(f"image {image.shape}, reference {reference.shape} and geometry {geometry.shape} do not fit")
    if not np.isfinite(image).all():
        raise ValueError("it contains intensities that are not finite")


def _geometry(place: dict[str, Any]) -> StackGeometry:
    starts = {axis: np.array(place[axis], np.int64) for axis in ("start_x", "start_y")}
    shapes = {
        "native_shape": tuple(_between(n, int, 1, _MAX_LENGTH) for n in place["native_shape"]),
        "step": tuple(_between(step, int | float, 1 / _MAX_LENGTH, _MAX_LENGTH) for step in place["step"]),
    }
    if {len(values) for values in shapes.values()} != {3} or any(abs(v).max() > _MAX_LENGTH for v in starts.values()):
        raise ValueError("its geometry is invalid")
    _between(place["first_slice"], int, 0, _MAX_LENGTH)
    # Older files contain one number, because every crop was square.
    crop = tuple(np.broadcast_to(place["crop_voxels"], 2).tolist())
    return StackGeometry(**(place | shapes | starts | {"crop_voxels": crop}))
