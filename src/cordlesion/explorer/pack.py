"""Packs arrays and tables for the page: scripts with JSON, because a page opened as a file loads nothing else."""

import base64
import gzip
import json
import math
from collections.abc import Iterable
from typing import Any

from cordlesion.io.arrays import AnyArray, Mask
from cordlesion.metrics.voxel import bounding_box


def as_script(name: str, value: object) -> bytes:
    """Return a script that passes a named value to the page.

    The text is ASCII without ``<``, ``>`` and ``&``, so that no text of the data can end a script or an element.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f"cordlesion.receive({json.dumps(name)}, {text});\n".encode("ascii")


def pack_array(array: AnyArray) -> dict[str, Any]:
    """Pack an array of 8-bit or 16-bit numbers, first axis fastest, as in NIfTI files."""
    kind = {1: "uint8", 2: "uint16"}[array.dtype.itemsize]
    stored = array.astype(f"<u{array.dtype.itemsize}", copy=False).tobytes(order="F")
    content = base64.b64encode(gzip.compress(stored, compresslevel=6, mtime=0)).decode("ascii")
    return {"shape": list(array.shape), "type": kind, "gzip": content}


def pack_part(array: AnyArray, inside: Mask) -> dict[str, Any]:
    """Pack the bounding box of ``inside`` and its first voxel; the array must be 0 outside the box."""
    box = bounding_box(inside)
    return {"start": [edge.start for edge in box], **pack_array(array[box])}


def numbers(values: Iterable[float], digits: int | None = None) -> list[float | None]:
    """Return numbers for JSON: NaN becomes None; values are rounded if ``digits`` is given."""
    return [None if math.isnan(v) else float(v) if digits is None else round(float(v), digits) for v in values]
