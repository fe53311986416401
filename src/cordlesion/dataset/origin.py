"""Where a dataset comes from, as it says itself."""

import json
from pathlib import Path

_SIMULATOR = "cordlesion simulate"


def is_simulated(dataset: Path) -> bool:
    """Say whether a dataset says of itself that `cordlesion simulate` made it; one that is gone says nothing."""
    try:
        described = json.loads((dataset / "dataset_description.json").read_text(encoding="utf-8"))
        return any(maker.get("Name") == _SIMULATOR for maker in described.get("GeneratedBy", []))
    except (OSError, ValueError, AttributeError, TypeError):
        return False
