"""The origin of a dataset, as its description states it."""

from pathlib import Path

from cordlesion.errors import CordlesionError
from cordlesion.io.reading import read_json

_SIMULATOR = "cordlesion simulate"


def is_simulated(dataset: Path) -> bool:
    """Return whether a dataset states that `cordlesion simulate` made it; False for a dataset that is gone."""
    try:
        described = read_json(dataset / "dataset_description.json", dict)
        return any(maker.get("Name") == _SIMULATOR for maker in described.get("GeneratedBy", []))
    except (CordlesionError, AttributeError, TypeError):
        return False
