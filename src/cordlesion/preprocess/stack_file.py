"""A scan's stack with its reference: made once, read by training and prediction."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cordlesion.config import DRAWN, PreprocessConfig
from cordlesion.cord.centerline import Centerline, Finder, centerline_from_cord_mask, coverage_remark, read_centerline
from cordlesion.dataset.scan import Scan, read_reference
from cordlesion.errors import CordlesionError
from cordlesion.io.progress import say
from cordlesion.io.reading import parse_json
from cordlesion.io.volume import Volume, read_scan
from cordlesion.io.writing import atomic_path
from cordlesion.preprocess.cord_stack import StackGeometry, sample_reference, sample_stack
from cordlesion.preprocess.region import place_stack

_LARGEST = 1_000_000
"""No scan has so many voxels along an axis."""


@dataclass(frozen=True, eq=False)
class CordStack:
    """The 48 x 48 x N volume around the centerline, or the block around the foreground, in the scan's intensities."""

    image: npt.NDArray[np.float32]
    reference: npt.NDArray[np.bool_]
    """All False where the scan has no reference."""
    geometry: StackGeometry


_READERS = {"file": read_centerline, "cord_mask": centerline_from_cord_mask}
_WANTED = {"file": "*_label-centerline_seg.nii.gz", "cord_mask": "*_label-cord_seg.nii.gz"}


def scan_centerline(scan: Scan, image: Volume, config: PreprocessConfig, find: Finder | None) -> Centerline | None:
    """Find a scan's centerline where the configuration says; None where the region needs none.

    Args:
        scan: Whose cord it is.
        image: The scan's image.
        config: Region and source.
        find: Looks for the cord, where the source is no file of the scan.

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
            f"{scan.image}: no centerline {source.replace('_', ' ')} found; {_WANTED[source]} is needed beside the "
            "scan or in derivatives. Add it, or set `preprocess.centerline` or `patterns` in the study."
            f"{scan.why_none(DRAWN[source])}"
        )
    curve = _READERS[source](file, image)
    if remark := coverage_remark(curve, image):
        say(remark)
    return curve


def make_stack(scan: Scan, config: PreprocessConfig, find: Finder | None) -> CordStack:
    """Cut the stack of a scan and of its reference.

    Args:
        scan: Image, reference and where its cord is.
        config: How to cut.
        find: Looks for the cord, where the source of the centerline is no file of the scan.

    Raises:
        CordlesionError: A file is missing or damaged, the grids differ, or the image has no foreground.
    """
    image = read_scan(scan.image)
    geometry = place_stack(image, scan_centerline(scan, image, config, find), config)
    stack = sample_stack(image, geometry)
    if scan.reference is None:
        return CordStack(stack, np.zeros(stack.shape, bool), geometry)
    return CordStack(stack, sample_reference(read_reference(scan, image), geometry), geometry)


def stack_content(stack: CordStack) -> bytes:
    """Return a stack as the content of its file: equal stacks have equal content."""
    starts = {"start_x": stack.geometry.start_x.tolist(), "start_y": stack.geometry.start_y.tolist()}
    tensors: dict[str, npt.NDArray[np.generic]] = {
        "image": np.ascontiguousarray(stack.image),
        "reference": np.ascontiguousarray(stack.reference, np.uint8),
    }
    # Not save_file, which hides a full disk behind an error of its own.
    return save(tensors, metadata={"geometry": json.dumps(asdict(stack.geometry) | starts)})


def write_stack(path: Path, stack: CordStack) -> None:
    """Write a stack atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(stack_content(stack))


def read_stack(path: Path) -> CordStack:
    """Read what :func:`write_stack` wrote.

    Raises:
        CordlesionError: The file is missing or damaged.
    """
    with _opened(path) as stored:
        geometry = _geometry(parse_json(stored.metadata()["geometry"], path, dict))
        image, reference = stored.get_tensor("image"), stored.get_tensor("reference")
        _require_fit(image, reference, geometry)
    return CordStack(image, reference.astype(bool), geometry)


def read_stack_shape(path: Path) -> tuple[int, int, int]:
    """Read a stack's shape and none of its voxels.

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
            f"{path}: no readable cord stack ({error}). Delete it and run `cordlesion preprocess` again."
        ) from error


def _between(value: Any, kind: Any, low: float, high: float) -> Any:  # noqa: ANN401 - a number of JSON
    if not isinstance(value, kind) or not low <= value <= high:
        raise ValueError(f"a place in the scan is {value!r}")
    return value


def _require_fit(image: npt.NDArray[Any], reference: npt.NDArray[Any], geometry: StackGeometry) -> None:
    """Refuse voxels that are not those of the place, or no intensities and no mask."""
    if image.dtype != np.float32 or reference.dtype != np.uint8:
        raise ValueError(f"it holds {image.dtype} and {reference.dtype}, float32 and uint8 are needed")
    if not image.shape == reference.shape == geometry.shape or 0 in image.shape:
        raise ValueError(f"image {image.shape}, reference {reference.shape} and place {geometry.shape} do not fit")
    if not np.isfinite(image).all():
        raise ValueError("it holds intensities that are no finite numbers")


def _geometry(place: dict[str, Any]) -> StackGeometry:
    starts = {axis: np.array(place[axis], np.int64) for axis in ("start_x", "start_y")}
    shapes = {
        "native_shape": tuple(_between(n, int, 1, _LARGEST) for n in place["native_shape"]),
        "step": tuple(_between(step, int | float, 1 / _LARGEST, _LARGEST) for step in place["step"]),
    }
    if {len(values) for values in shapes.values()} != {3} or any(abs(v).max() > _LARGEST for v in starts.values()):
        raise ValueError("its place in the scan is none")
    _between(place["first_slice"], int, 0, _LARGEST)
    # One number in files that were written when every crop was square.
    crop = tuple(np.broadcast_to(place["crop_voxels"], 2).tolist())
    return StackGeometry(**(place | shapes | starts | {"crop_voxels": crop}))
