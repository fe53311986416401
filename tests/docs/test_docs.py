"""The documentation: every block of the guide runs, what is generated is complete, and the site loads nothing."""

import contextlib
import re
import shutil
from pathlib import Path

import pytest

from cordlesion.config import read_study
from cordlesion.dataset.bids import find_scans
from cordlesion.simulate import simulate_cohort
from cordlesion.study.run import run_study
from cordlesion.training.step_time import StepTime
from support.guide import DOCS, Python, Shell, run_blocks
from support.plain_report import without_pictures
from support.tiny import STUDY, make_cohort

GUIDE = (
    *("install", "first_study", "own_data", "detectability", "reading_the_report"),
    *("explorer", "cluster", "method", "losses", "packaged_model", "plan"),
)
LEAST_STUDY = "name: page\ndataset: cohort\noutput: study\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """What a reader of the guide has: a tiny cohort, a finished study on it, one scan with a real cord."""
    folder = tmp_path_factory.mktemp("guide")
    make_cohort(folder / "demo")
    (folder / "tiny.yaml").write_text(STUDY)
    run_study(read_study(folder / "demo" / "study.yaml"), until="analyze")  # The page on the report writes it.
    simulate_cohort(folder / "one", scans=1, seed=3)
    (scan,), _ = find_scans(folder / "one")
    shutil.move(scan.image, folder / "scan.nii.gz")
    shutil.copytree(folder / "demo" / "cohort", folder / "cohort")
    return folder


def fake_steps(config):
    """Times of a machine on which a study takes days, and a cut one minutes."""
    return StepTime({loss.title: 1.0 for loss in config.losses}, 0.04, "CPU", False)


@pytest.mark.slow
@pytest.mark.parametrize("page", GUIDE)
def test_every_block_of_the_guide_runs(page, finished, tmp_path, monkeypatch, cli):
    monkeypatch.chdir(shutil.copytree(finished, tmp_path / "folder"))
    # The guide's scan looks unlike the tiny cohort, and the guard would refuse it.
    monkeypatch.setattr("cordlesion.model.bundle.read_profile", lambda _folder: None)
    # A step of the paper's network takes seconds; its time is no part of the guide.
    monkeypatch.setattr("cordlesion.study.estimate.measured_steps", fake_steps)
    # The numbers of the plan on its page are those of all draws: tests/planning.
    for name in ("_N_DRAWS", "_N_DRAWS_SLOW"):
        monkeypatch.setattr(f"cordlesion.planning.tuning.{name}", 50)
    run = {"bash": Shell(cli).run, "python": Python().run, "yaml": read_yaml, "text": str}
    # The pictures of a report are drawn once, on the page about it.
    with contextlib.nullcontext() if page == "reading_the_report" else without_pictures():
        run_blocks(page, run)


def test_three_blocks_of_the_guide_do_not_run_as_they_stand():
    pages = [(DOCS / f"{page}.md").read_text(encoding="utf-8") for page in GUIDE]
    reasons = [reason for page in pages for reason in re.findall(r"<!-- test instead \(([^)]*)\)", page)]
    assert reasons == ["pip may need a network", "ten minutes", "it serves until Ctrl+C"]


def read_yaml(code):
    """Check a part of a study.yaml as a part of one."""
    losses = "" if "losses:" in code else "losses: [bce]\n"
    Path("page.yaml").write_text(LEAST_STUDY + losses + code)
    read_study("page.yaml")
