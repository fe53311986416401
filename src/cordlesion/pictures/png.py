"""Grey pictures as PNG, small and always the same bytes (leaf of the gallery, standard library and NumPy)."""

import base64
import struct
import zlib

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY_8_BIT = bytes((8, 0, 0, 0, 0))
_UP = 2
"""The PNG filter that stores the difference to the row above: scans are smooth."""


def grey_levels(image: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Map an image to 0 .. 255, between its 1st and 99.5th percentile."""
    low, high = np.percentile(image, (1, 99.5))
    scaled = (image - low) / max(high - low, 1e-6)
    grey: npt.NDArray[np.uint8] = np.rint(255 * scaled.clip(0, 1)).astype(np.uint8)
    return grey


def encode_png(grey: npt.NDArray[np.uint8]) -> bytes:
    """Encode a grey image of shape (rows, columns)."""
    height, width = grey.shape
    above = np.vstack([np.zeros((1, width), np.uint8), grey[:-1]])
    rows = np.hstack([np.full((height, 1), _UP, np.uint8), grey - above])
    header = struct.pack(">II", width, height) + _GREY_8_BIT
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, data) for name, data in chunks)


def data_uri(png: bytes) -> str:
    """Return a PNG file as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
