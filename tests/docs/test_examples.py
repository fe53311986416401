"""Every example runs, on little data, and says what it promises."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cordlesion.cord.centerline import Centerline
from support.tiny import make_cohort

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name):
    return runpy.run_path(str(EXAMPLES / name))


@pytest.fixture
def cohort(tmp_path):
    make_cohort(tmp_path)
    return tmp_path / "cohort"


def test_quick_start_finds_without_torch_that_half_is_too_high():
    code = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__'); assert 'torch' not in sys.modules"
    command = [sys.executable, "-c", code, str(EXAMPLES / "01_quick_start.py")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    value, low, high = map(float, re.search(r"threshold (\S+) \(95 % interval (\S+) to (\S+)\)", said).groups())
    assert low <= value <= high < 0.5
    at_half, at_value = (float(f1) for f1 in re.findall(r"other scans at \S+: voxel F1 (\S+),", said))
    assert at_value > at_half


def test_own_loss_takes_part_in_a_study(cohort, tmp_path, capsys, monkeypatch):
    # The tube of the tiny cohort is not enough of a cord to be found.
    straight = Centerline(np.full(2, 12.0), np.full(2, 12.0), np.array([2.0, 37.0]))
    monkeypatch.setattr("cordlesion.centerlines.FINDERS", {"auto": lambda _: straight})
    load("02_own_loss.py")["main"](cohort, tmp_path / "out", epochs=1)
    said = capsys.readouterr().out
    assert {"tversky", "top_k_entropy"} <= set(said.split())


def test_own_loss_prefers_the_reference():
    loss = load("02_own_loss.py")["top_k_entropy"]
    lesion = (torch.rand(2, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    sure = 60 * lesion - 30
    assert loss(sure, lesion) < 1e-6 < loss(torch.zeros_like(sure), lesion) < loss(-sure, lesion)


def test_own_data_is_described_split_and_cut(cohort, tmp_path, capsys):
    load("03_own_data.py")["main"](cohort, tmp_path / "out")
    said = capsys.readouterr().out
    assert "14 scans of 14 subjects" in said
    assert len(list((tmp_path / "out/study/stacks").glob("*.safetensors"))) == 14
