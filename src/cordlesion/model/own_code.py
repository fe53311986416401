"""The user's own code that a model needs: run only where its folder is given, and only if it is that of the model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cordlesion.errors import CordlesionError
from cordlesion.io.import_path import module_hash, source_hashes


def known_network(name: str, provenance: Mapping[str, Any], code: Path | None) -> Path:
    """Return the folder of the user's own code, once it is clear that the network was trained with it.

    Args:
        name: Import path of the network.
        provenance: Of the model; ``code`` has the SHA-256 of the sources.
        code: Folder that the user gave.

    Raises:
        CordlesionError: No folder is given, or its code is another one.
    """
    if code is None:
        raise CordlesionError(
            f"its network is {name}, Python code from outside of cordlesion, which would be run. If you trust it, give "
            "the folder of its module: --code FOLDER, or code=... in Python."
        )
    trained = _recorded(name, provenance)
    # The module is compared before it runs; the file of a class that it imports, once it has run.
    known = trained[:1] == [module_hash(name, code)]
    if not known or trained != source_hashes(name, code):
        raise CordlesionError(
            f"its network is {name}, but the code in {code} is not the one that it was trained with, by its SHA-256. "
            "Get that version of the module."
        )
    return code


def _recorded(name: str, provenance: Mapping[str, Any]) -> list[Any]:
    recorded = provenance.get("code")
    hashes = recorded.get(name) if isinstance(recorded, dict) else None
    return hashes if isinstance(hashes, list) else []
