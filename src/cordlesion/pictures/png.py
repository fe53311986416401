"""Grey pictures as PNG, the same bytes for the same picture."""

import base64
import io

import numpy as np
from PIL import Image

from cordlesion.io.arrays import Float32Array, UInt8Array


def grey_levels(image: Float32Array) -> UInt8Array:
    """Map an image to 0 .. 255, between its 1st and 99.5th percentile."""
    low, high = np.percentile(image, (1, 99.5))
    scaled = (image - low) / max(high - low, 1e-6)
    grey: UInt8Array = np.rint(255 * scaled.clip(0, 1)).astype(np.uint8)
    return grey


def encode_png(grey: UInt8Array) -> bytes:
    """Encode a grey image of shape (rows, columns)."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grey)).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def data_uri(png: bytes) -> str:
    """Return a PNG file as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
