"""A slice of the mutated inputs of ``benchmarks/fuzz_inputs.py``: each ends clean or with a sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


@pytest.mark.slow
def test_mutated_inputs_end_clean_or_with_a_sentence(tmp_path):
    program = [sys.executable, "-W", "ignore", str(REPOSITORY / "benchmarks" / "fuzz_inputs.py")]
    options = ["--cases", "80", "--seed", "0", "--jobs", "2", "--keep", str(tmp_path / "kept")]
    done = subprocess.run([*program, *options], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "80 cases, seed 0" in done.stdout, done.stderr
    assert done.returncode == 0, done.stdout
