"""The documentation: every block of the guide runs, what is generated is complete, and the site loads nothing."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from cordlesion.config import read_study
from cordlesion.dataset.bids import find_scans
from cordlesion.io.volume import read_mask, write_volume
from cordlesion.losses import LOSSES
from cordlesion.simulate import simulate_cohort
from cordlesion.study.run import run_study
from support.tiny import STUDY, make_cohort

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
GUIDE = (
    *("install", "first_study", "own_data", "own_loss", "threshold_for_maps", "detectability", "reading_the_report"),
    *("explorer", "cluster", "method", "losses", "packaged_model", "plan"),
)
BLOCK = re.compile(
    r"^<!-- test(?P<instead> instead)?(?: \([^)]*\))?: (?P<command>.*?) -->$"
    r"|^```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
BASH = ["bash", "-euo", "pipefail", "-c"]
LEAST_STUDY = "name: page\ndataset: cohort\noutput: study\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """What a reader of the guide has: a tiny cohort, a finished study on it, one scan with a real cord, maps."""
    folder = tmp_path_factory.mktemp("guide")
    make_cohort(folder / "demo")
    (folder / "tiny.yaml").write_text(STUDY)
    run_study(read_study(folder / "demo" / "study.yaml"), until="analyze")  # The page on the report writes it.
    simulate_cohort(folder / "one", scans=1, seed=3)
    (scan,), _ = find_scans(folder / "one")
    shutil.move(scan.image, folder / "scan.nii.gz")
    shutil.copytree(folder / "demo" / "cohort", folder / "cohort")
    make_maps(folder)
    return folder


def make_maps(folder):
    """Maps of a timid tool for both sets, and softmax exports of the same."""
    scans, _ = find_scans(folder / "cohort")
    for number, scan in enumerate(scans):
        part = folder / ("threshold_set" if number % 2 else "test_set")
        reference = read_mask(scan.reference)
        p = np.float32(0.6) * ndimage.gaussian_filter(reference.data.astype(np.float32), 1)
        for kind in ("labels", "maps", "scans"):
            (part / kind).mkdir(parents=True, exist_ok=True)
        shutil.copy(scan.reference, part / "labels")
        shutil.copy(scan.image, part / "scans")
        write_volume(part / "maps" / f"{scan.scan_id}_probseg.nii.gz", p, reference)
    for kind in ("images", "nnunet"):
        (folder / kind).mkdir()
    shutil.copy(scan.image, folder / "images" / "case_0000.nii.gz")
    np.savez(folder / "nnunet" / "case.npz", probabilities=np.stack([1 - p, p]).transpose(0, 3, 2, 1))


@pytest.mark.slow
@pytest.mark.parametrize("page", GUIDE)
def test_every_block_of_the_guide_runs(page, finished, tmp_path, monkeypatch, cli):
    monkeypatch.chdir(shutil.copytree(finished, tmp_path / "folder"))
    # The guide's scan looks unlike the tiny cohort, and the guard would refuse it.
    monkeypatch.setattr("cordlesion.model.bundle.read_profile", lambda _folder: None)
    monkeypatch.delitem(LOSSES, "top_k_entropy", raising=False)  # so that the row of the example goes afterwards
    run = {"bash": Shell(cli).run, "python": Python().run, "yaml": read_yaml, "text": str}
    instead = None
    for block in BLOCK.finditer((DOCS / f"{page}.md").read_text(encoding="utf-8")):
        if block["instead"]:
            instead = block["command"]
        elif block["command"]:
            run["bash"](block["command"])
        else:
            run[block["language"]](instead or block["code"])
            instead = None


def test_three_blocks_of_the_guide_do_not_run_as_they_stand():
    pages = [(DOCS / f"{page}.md").read_text(encoding="utf-8") for page in GUIDE]
    reasons = [reason for page in pages for reason in re.findall(r"<!-- test instead \(([^)]*)\)", page)]
    assert reasons == ["pip may need a network", "ten minutes", "it serves until Ctrl+C"]


class Shell:
    """Bash, but for our own command, which is run in this process: it has imported torch already."""

    def __init__(self, cli):
        self.cli = cli

    def run(self, code):
        for line in code.replace("\\\n", " ").splitlines():
            command, operator, rest = re.fullmatch(r"(.*?)(?:\s([|>])\s(.*))?", line).groups()
            if not command.startswith("cordlesion "):
                subprocess.run([*BASH, line], env=os.environ | {"REPOSITORY": str(REPOSITORY)}, check=True)
                continue
            ended = self.cli(*shlex.split(command, comments=True)[1:])
            assert ended.status == 0, f"{line}\n{ended.output}\n{ended.error}"
            if operator:
                subprocess.run([*BASH, f"cat {operator} {rest}"], input=ended.output, text=True, check=True)


class Python:
    """One interpreter for the blocks of a page."""

    def __init__(self):
        self.names = {}

    def run(self, code):
        exec(compile(code, "block", "exec"), self.names)


def read_yaml(code):
    """Check a part of a study.yaml as a part of one."""
    losses = "" if "losses:" in code else "losses: [bce]\n"
    Path("page.yaml").write_text(LEAST_STUDY + losses + code)
    read_study("page.yaml")
