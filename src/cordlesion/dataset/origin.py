"""Where a dataset comes from, as it says itself."""

from pathlib import Path

from cordlesion.errors import CordlesionError
from cordlesion.io.reading import read_json

_SIMULATOR = "cordlesion simulate"


def is_simulated(dataset: Path) -> bool:
    """Say whether a dataset says of itself that `cordlesion simulate` made it; one that is gone says nothing."""
    try:
        described = read_json(dataset / "dataset_description.json", dict)
        return any(maker.get("Name") == _SIMULATOR for maker in described.get("GeneratedBy", []))
    except (CordlesionError, AttributeError, TypeError):
        return False
