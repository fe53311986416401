"""Networks in Keras's HDF5 files, read as data: h5py alone, nothing in the file is executed or followed elsewhere.

A layer of code (Lambda) is a text here like any other. Sizes are compared with the file's own before anything is read,
so a file cannot ask for more memory than it takes on disk.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cordlesion.io.arrays import Float32Array
from cordlesion.io.foreign_file import ForeignFileError, foreign_file, limited_memory

if TYPE_CHECKING:
    import h5py

_MOST_LAYERS = 256
_READING_BYTES = 2**29


@dataclass(frozen=True)
class KerasLayer:
    """One layer as the file describes it."""

    name: str
    kind: str
    """Keras's name of the class."""
    settings: Mapping[str, Any]
    inputs: tuple[int, ...]
    """Places of the layers that feed it, all before its own."""


@dataclass(frozen=True, eq=False)
class KerasFile:
    """An open file."""

    layers: tuple[KerasLayer, ...]
    n_bytes: int
    weights: "h5py.Group"

    def read(self, layer: str, name: str, shape: tuple[int, ...]) -> Float32Array:
        """Read one array of weights.

        Args:
            layer: Name of the layer.
            name: Keras's name of the array, e.g. ``kernel``.
            shape: What it must have.

        Raises:
            ForeignFileError: There is no such plain float32 array of this shape in the file itself.
        """
        import h5py

        place: Any = self.weights
        for part in (layer, layer, f"{name}:0"):
            place = _member(place, part)
        if not isinstance(place, h5py.Dataset) or place.dtype != np.dtype("<f4") or place.shape != shape:
            raise ForeignFileError(f"{layer}/{name} is no float32 array of shape {shape}")
        # Chunks may be compressed, storage may lie in other files or not be there at all.
        stored = place.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS and not place.external
        if not stored or place.id.get_storage_size() != 4 * int(np.prod(shape)):
            raise ForeignFileError(f"{layer}/{name} is not stored whole in the file")
        array: Float32Array = place[...]
        if not np.isfinite(array).all():
            raise ForeignFileError(f"{layer}/{name} holds NaN or infinite weights")
        return array


@contextmanager
def open_keras(path: Path) -> Iterator[KerasFile]:
    """Open a network that Keras saved.

    Raises:
        CordlesionError: The file is missing, damaged or no such file, also where that shows later, while it is open.
    """
    with foreign_file(path, "a .h5 file", extra="sct") as n_bytes:
        import h5py

        if not h5py.is_hdf5(path):
            raise ForeignFileError("it is no HDF5 file")
        # A damaged address made the HDF5 library take more than 1.5 GiB before it noticed.
        with limited_memory(_READING_BYTES), h5py.File(path, "r") as file:
            yield KerasFile(_layers(_configuration(file)), n_bytes, _member(file, "model_weights"))


def _member(group: Any, name: str) -> Any:  # noqa: ANN401
    """Return what a group itself holds by a name; a link elsewhere is not followed."""
    import h5py

    if not isinstance(group, h5py.Group) or not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ForeignFileError(f"has no {name} of its own")
    return group[name]


def _configuration(file: "h5py.File") -> Any:  # noqa: ANN401
    import h5py

    if "model_config" not in file.attrs:
        raise ForeignFileError("has no model_config, the description of a whole network")
    stored = file.attrs.get_id("model_config")
    # One text only: an array could repeat the same bytes of the file any number of times.
    if stored.shape != () or h5py.check_string_dtype(stored.dtype) is None:
        raise ForeignFileError("model_config is no text")
    text = file.attrs["model_config"]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ForeignFileError("model_config is no JSON") from None


def _layers(configuration: Any) -> tuple[KerasLayer, ...]:  # noqa: ANN401
    """Take the layers of a network with one input and one output, each layer used once."""
    try:
        described = configuration["config"]["layers"]
        if not 0 < len(described) <= _MOST_LAYERS:
            raise ForeignFileError(f"has {len(described)} layers")
        places: dict[str, int] = {}
        layers = []
        for place, layer in enumerate(described):
            nodes = layer["inbound_nodes"]
            inputs = tuple(places[source[0]] for node in nodes for source in node)
            layers.append(KerasLayer(str(layer["name"]), str(layer["class_name"]), dict(layer["config"]), inputs))
            places[layer["name"]] = place
    except (KeyError, TypeError, IndexError, AttributeError):
        raise ForeignFileError("model_config describes no network of layers, each fed by earlier ones") from None
    return tuple(layers)
