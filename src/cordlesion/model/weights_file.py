"""The file with the weights of a network, checked before anything is taken from it."""

import hashlib
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from cordlesion.errors import CordlesionError
from cordlesion.io.reading import cannot_read

_LARGEST = 2
"""Weights of 64 bits take twice the space of ours."""
_HEADER_BYTES = 16 * 2**20


def read_weights(path: Path, network: nn.Module, sha256: str | None) -> dict[str, Tensor]:
    """Read the weights that a network needs, in its own types, once it is clear that they are its own.

    Args:
        path: The file, ``model.safetensors``.
        network: Of the same architecture; its weights stay as they are.
        sha256: Of the file, as in its card; None in bundles of earlier versions.

    Raises:
        CordlesionError: The file cannot be read, is too large, is another one, has other names or shapes, or holds what
            are no finite numbers.
    """
    wanted = network.state_dict()
    try:
        size, most = path.stat().st_size, _LARGEST * sum(t.nbytes for t in wanted.values()) + _HEADER_BYTES
        if size > most:
            raise _unusable(path, f"{size} bytes are more than the {most} that this network can take")
        content = path.read_bytes()
        found = load(content)
    except PermissionError as error:
        raise cannot_read(path, error, "the file with the weights") from error
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise _unusable(path, str(error).splitlines()[0]) from error
    if sha256 not in (None, hashlib.sha256(content).hexdigest()):
        raise _unusable(path, "they are not those that model.json was written with, by their SHA-256")
    if other := sorted(wanted.keys() ^ found.keys()):
        raise _unusable(path, f"only one of card and weights has {other[0]}")
    return {name: _as_wanted(path, name, found[name], wanted[name]) for name in wanted}


def _as_wanted(path: Path, name: str, found: Tensor, wanted: Tensor) -> Tensor:
    if found.shape != wanted.shape:
        raise _unusable(path, f"{name} has the shape {tuple(found.shape)}, the card asks for {tuple(wanted.shape)}")
    if found.is_floating_point() != wanted.is_floating_point() or found.is_complex():
        raise _unusable(path, f"{name} holds {_type(found)}, {_type(wanted)} is needed")
    converted = found.to(wanted.dtype)
    if not bool(converted.isfinite().all()):
        raise _unusable(path, f"{name} holds values that are no finite numbers")
    return converted


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _unusable(weights: Path, reason: str) -> CordlesionError:
    return CordlesionError(f"{weights}: the weights cannot be used ({reason}). Copy or train the bundle again.")
