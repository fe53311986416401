"""Reads data files in Python as the page does."""

import base64
import gzip
import json
import re
from typing import Any

import numpy as np


def parse(script: bytes) -> tuple[str, Any]:
    """Return the name and the value in a data file."""
    match = re.fullmatch(r'cordlesion\.receive\(("[\w/]+"), (.*)\);\n', script.decode("ascii"), re.DOTALL)
    assert match
    return json.loads(match[1]), json.loads(match[2])


def unpack(packed: dict[str, Any]) -> np.ndarray:
    values = np.frombuffer(gzip.decompress(base64.b64decode(packed["gzip"])), packed["type"])
    return values.reshape(packed["shape"], order="F")


def unpack_into(packed: dict[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    whole = np.zeros(shape, packed["type"])
    whole[tuple(slice(a, a + n) for a, n in zip(packed["start"], packed["shape"], strict=True))] = unpack(packed)
    return whole
