"""Fixtures shared by all tests."""

import os
from collections.abc import Callable
from pathlib import Path

# Before torch is imported, here and in subprocesses: networks of a few filters only lose by threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared() -> Callable[..., Path]:
    """Return ``shared(*parts)``: a path in the folder of real data and goldens, or a skip where there is none."""
    folder = Path(os.environ.get("CORDLESION_SHARED", REPOSITORY.parent / "shared"))

    def find(*parts: str) -> Path:
        path = folder.joinpath(*parts)
        if not path.exists():
            pytest.skip(f"{path} is absent: real data and goldens are not part of the repository (set CORDLESION_SHARED)")
        return path

    return find
