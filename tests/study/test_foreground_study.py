"""A whole study on the foreground: no cord, no centerline."""

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cordlesion.config import read_study
from cordlesion.io.tables import read_table
from cordlesion.model.bundle import read_card
from cordlesion.preprocess.stack_file import read_stack
from cordlesion.report.page import write_report
from cordlesion.scan.segment import segment
from cordlesion.study.run import run_study
from cordlesion.study_folder.folder import StudyFolder
from support.images import write_image

STUDY = """\
name: tiny
dataset: cohort
output: study
patterns: {image: ["*_FLAIR.nii.gz"]}
split: {proportions: {train: 4, validation: 2, threshold: 2, test: 3}}
preprocess: {region: foreground, spacing_mm: 1.5, crop_voxels: 9}
patches: {size_voxels: 8, overlap_fraction: 0.25}
network: {filters: [4, 8], prior: 0.05}
training: {epochs: 16, batch_size: 8, learning_rate: 0.02}
losses: [tversky]
"""


def write_head(cohort: Path, subject: str, seed: int) -> None:
    """A bright ball in dark air with brighter lesions, off the middle of 32 x 30 x 20 voxels of 1 x 1 x 1.5 mm."""
    rng = np.random.default_rng(seed)
    shape = (32, 30, 20)
    x, y, z = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    ball = (x - 18) ** 2 + (y - 14) ** 2 + (1.5 * (z - 10)) ** 2 <= 11**2
    lesion = np.zeros(shape, bool)
    for _ in range(2):
        cx, cy, cz = rng.integers(14, 21), rng.integers(10, 17), rng.integers(7, 12)
        lesion[cx : cx + 5, cy : cy + 5, cz : cz + 4] = True
    image = 100.0 * ball + 80 * lesion + rng.normal(0, 5, shape)
    for name, data in (("FLAIR", image.astype(np.float32)), ("FLAIR_label-lesion_seg", lesion.astype(np.uint8))):
        write_image(cohort / subject / "anat" / f"{subject}_{name}.nii.gz", data, np.diag([-1.0, 1.0, 1.5, 1.0]))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreground")
    for number in range(1, 12):
        write_head(folder / "cohort", f"sub-{number:02d}", seed=number)
    file = folder / "study.yaml"
    file.write_text(STUDY)
    assert run_study(read_study(file), until="analyze") == {}
    return file


def test_lesions_are_learned(finished):
    folder = StudyFolder(finished.parent / "study")
    evaluation = read_table(folder.evaluation)
    assert evaluation.loc[evaluation["set"] == "test", "voxel_f1"].max() > 0.5


def test_the_report_is_written(finished):
    page = write_report(finished.parent / "study").read_text()
    assert "sub-" in page
    assert "cord" not in re.search(r'<p class="eyebrow">.*?</p>', page).group()


def test_stacks_are_blocks_around_the_ball(finished):
    for path in (finished.parent / "study/stacks").iterdir():
        geometry = read_stack(path).geometry
        assert geometry.is_block
        assert geometry.background is not None
        assert 15 < geometry.background < 80
        extent_mm = np.array(geometry.shape) * 1.5
        assert (np.abs(extent_mm - (28, 30, 30)) <= 3).all()  # 22 mm and margins of 5 mm, where the image has room


def test_the_bundle_segments_without_centerline_what_the_study_predicted(finished):
    folder = StudyFolder(finished.parent / "study")
    assert read_card(folder.bundle("tversky_seed-0")).preprocess.region == "foreground"
    path = next(folder.derivatives.rglob("*_probseg.nii.gz"))
    subject = path.name.split("_")[0]
    found = segment(finished.parent / f"cohort/{subject}/anat/{subject}_FLAIR.nii.gz", folder.bundle("tversky_seed-0"))
    np.testing.assert_array_equal(found.probability, nib.load(path).get_fdata(dtype=np.float32))


def test_settings_of_the_cord_redo_nothing_and_the_voxel_size_does(finished):
    folder = finished.parent / "study"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    finished.write_text(STUDY.replace("crop_voxels: 9", "crop_voxels: 11, centerline: cord_mask"))
    run_study(read_study(finished), until="evaluate")
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    finished.write_text(STUDY.replace("spacing_mm: 1.5", "spacing_mm: 2"))
    run_study(read_study(finished), until="train")
    assert not [path for path, time in before.items() if path.stat().st_mtime_ns == time]
    assert json.loads((folder / "runs/tversky_seed-0/bundle/model.json").read_text())["preprocess"]["spacing_mm"] == 2
