"""Threads of networks that wait for each other soon sleep, unless the user has said how they wait."""

import os
import subprocess
import sys

import pytest

UNSET = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}


def spins(**settings: str) -> str:
    """Return how often a waiting thread turns, as OpenMP itself says when torch loads it."""
    names = {name: value for name, value in os.environ.items() if name not in UNSET}
    done = subprocess.run(
        [sys.executable, "-c", "import cordlesion, torch"],
        env={**names, **settings, "OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = {line.split("=")[1].strip(" '") for line in done.stderr.splitlines() if "GOMP_SPINCOUNT" in line}
    if not found:
        pytest.skip("torch comes with another OpenMP than that of GCC")
    (value,) = found
    return value


def test_a_waiting_thread_soon_sleeps() -> None:
    assert spins() == "1000"


@pytest.mark.parametrize("settings", [{"GOMP_SPINCOUNT": "77"}, {"OMP_WAIT_POLICY": "PASSIVE"}])
def test_what_the_user_has_set_is_kept(settings: dict[str, str]) -> None:
    assert spins(**settings) == settings.get("GOMP_SPINCOUNT", "0")
