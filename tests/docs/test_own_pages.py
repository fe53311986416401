"""The pages for method developers, followed word by word: files are written, studies tried, commands and Python run."""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from scipy import ndimage

from cordlesion.config import read_study
from cordlesion.dataset.bids import find_scans
from cordlesion.io.volume import read_mask, write_volume
from cordlesion.model.bundle import save_bundle
from support.guide import DOCS, Python, Shell, run_blocks
from support.models import untrained_bundle
from support.tiny import STUDY, make_cohort

PAGES = ("own_loss", "own_network", "own_objective", "own_metric", "own_rule")
LEAST_STUDY = "name: page\ndataset: cohort\noutput: study\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the reader has: a cohort, maps of some tool for two sets, a model, a scan and its centerline."""
    folder = tmp_path_factory.mktemp("own_pages")
    make_cohort(folder)
    scans, _ = find_scans(folder / "cohort")
    for number, scan in enumerate(scans):
        part, reference = folder / ("threshold_set" if number % 2 else "test_set"), read_mask(scan.reference)
        p = np.float32(0.6) * ndimage.gaussian_filter(reference.data.astype(np.float32), 1)
        for kind in ("labels", "maps"):
            (part / kind).mkdir(parents=True, exist_ok=True)
        shutil.copy(scan.reference, part / "labels")
        write_volume(part / "maps" / f"{scan.scan_id}_probseg.nii.gz", p, reference)
    shutil.copy(scan.image, folder / "scan.nii.gz")
    shutil.copy(scan.centerline, folder / "centerline.nii.gz")
    save_bundle(folder / "bundle", untrained_bundle())
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_the_page_can_be_followed(page, folder, tmp_path, monkeypatch, cli):
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "folder"))
    monkeypatch.syspath_prepend(Path.cwd())  # as Python started here
    before = set(sys.modules)
    run = {"bash": Shell(cli).run, "python": Python().run, "yaml": read_part, "file": write_file}
    run_blocks(page, run)
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]


def test_every_page_writes_a_module_and_excerpts_are_of_a_script_that_runs():
    for page in PAGES:
        text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
        assert re.search(r'title="my_\w+\.py"', text)
        for excerpt in re.findall(r"^``` \{ \.\w+ \.excerpt \}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            assert "--8<--" in excerpt or excerpt.startswith("cordlesion segment scan.nii.gz -m bundle -o out --code")


def write_file(name, content):
    """Write a file of the reader; sections of a study replace those of a tiny one."""
    if name == "study.yaml":
        yaml = YAML()
        yaml.dump(yaml.load(STUDY) | yaml.load(content), Path(name))
    else:
        Path(name).write_text(content)


def read_part(code):
    """Check a part of a study.yaml as a part of one."""
    Path("page.yaml").write_text(LEAST_STUDY + code)
    read_study("page.yaml")
