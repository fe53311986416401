"""The origin of a dataset, from its description."""

from pathlib import Path

from cordlesion.errors import CordlesionError
from cordlesion.io.reading import read_json

_SIMULATOR = "cordlesion simulate"


def is_simulated(dataset: Path) -> bool:
    """Return whether the description of a dataset names `cordlesion simulate`; False if it cannot be read."""
    try:
        described = read_json(dataset / "dataset_description.json", dict)
        return any(maker.get("Name") == _SIMULATOR for maker in described.get("GeneratedBy", []))
    except (CordlesionError, AttributeError, TypeError):
        return False
