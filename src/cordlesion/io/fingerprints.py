"""Fingerprints: hashes of everything that a result depends on, including the version of the method (leaf module)."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from cordlesion.errors import CordlesionError
from cordlesion.io.reading import cannot_read

METHOD_VERSION = 3
"""Increased when a change of the code changes results; results of older code are then computed again."""
ResultKind = Literal[
    "inspection",
    "stack",
    "drawn stack",
    "training",
    "map",
    "ensemble",
    "comparator",
    "sweep",
    "masks",
    "analysis",
    "results",
]
CHANGED_IN: Mapping[ResultKind, int] = MappingProxyType({"stack": 2, "drawn stack": 3, "training": 2, "map": 2})
"""The :data:`METHOD_VERSION` that last changed results of a kind; kinds that are not listed change with every version.

The listed kinds take hours: a change of the metrics must not repeat a training. A stack is a drawn stack if its curve
comes from a file of the scan.
"""


def file_hash(path: Path) -> str:
    """Return the SHA-256 of the bytes of a file.

    Raises:
        CordlesionError: The file is missing, is a link to a missing one, or cannot be read.
    """
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise CordlesionError(
            f"{path}: no such file, or a link to a missing file; its content is needed. Fetch or restore it."
        ) from error
    except OSError as error:
        raise cannot_read(path, error, "its content") from error


def fingerprint(kind: ResultKind, *parts: object) -> str:
    """Return a hash of JSON-like ``parts`` and of the version that last changed this kind of result."""
    return digest(CHANGED_IN.get(kind, METHOD_VERSION), *parts)


def earlier_fingerprints(kind: ResultKind, *parts: object) -> list[str]:
    """Return the fingerprints of earlier versions, for results that may still be valid."""
    return [digest(version, *parts) for version in range(1, CHANGED_IN.get(kind, METHOD_VERSION))]


def digest(*parts: object) -> str:
    """Return a hash of JSON-like ``parts``."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
