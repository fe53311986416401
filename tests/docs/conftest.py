"""Pages and examples register losses and objectives of their own; these go with the test."""

import pytest

from cordlesion.losses import LOSSES
from cordlesion.threshold.objective import OBJECTIVES


@pytest.fixture(autouse=True)
def registered():
    """Leave the registered losses and objectives as they were, whatever test of another file follows."""
    kept = [(registry, dict(registry)) for registry in (LOSSES, OBJECTIVES)]
    yield
    for registry, before in kept:
        registry.clear()
        registry.update(before)
