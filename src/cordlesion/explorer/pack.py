"""How arrays and tables travel to the page: as scripts that hold JSON; a page opened as a file loads nothing else."""

import base64
import gzip
import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from cordlesion.metrics.voxel import Mask, bounding_box


def as_script(name: str, value: object) -> bytes:
    """Return a script that hands a value to the page under a name.

    The text is ASCII without ``<``, ``>`` and ``&``, so that no name from the data can end a script or an element.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f"cordlesion.receive({json.dumps(name)}, {text});\n".encode("ascii")


def pack_array(array: npt.NDArray[np.generic]) -> dict[str, Any]:
    """Pack an array of bytes or 16-bit numbers, the first axis running fastest, as in NIfTI files."""
    kind = {1: "uint8", 2: "uint16"}[array.dtype.itemsize]
    stored = array.astype(f"<u{array.dtype.itemsize}", copy=False).tobytes(order="F")
    content = base64.b64encode(gzip.compress(stored, compresslevel=6, mtime=0)).decode("ascii")
    return {"shape": list(array.shape), "type": kind, "gzip": content}


def pack_part(array: npt.NDArray[np.generic], inside: Mask) -> dict[str, Any]:
    """Pack the smallest box of an array that holds every voxel of ``inside``, and where it begins; 0 beyond."""
    box = bounding_box(inside)
    return {"start": [edge.start for edge in box], **pack_array(array[box])}


def numbers(values: Iterable[float], digits: int | None = None) -> list[float | None]:
    """Return numbers as JSON knows them: undefined ones become null; every digit is kept where none are named."""
    return [None if math.isnan(v) else float(v) if digits is None else round(float(v), digits) for v in values]
