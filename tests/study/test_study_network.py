"""A study whose centerlines come from SCT's network, given as a file."""

import json
from pathlib import Path

import numpy as np
import pytest

from cordlesion.config import read_study
from cordlesion.cord.centerline import centerline_from_cord_mask
from cordlesion.errors import CordlesionError
from cordlesion.io.fingerprints import file_hash
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume, read_scan
from cordlesion.model.bundle import read_card
from cordlesion.preprocess.cord_stack import stack_geometry
from cordlesion.preprocess.stack_file import read_stack
from cordlesion.study.run import run_study
from cordlesion.study_folder.folder import StudyFolder
from support.keras_networks import centerline_layers, random_weights, write_keras
from support.tiny import make_cohort


@pytest.fixture
def study(tmp_path, monkeypatch):
    file = make_cohort(tmp_path)
    layers = centerline_layers()
    (tmp_path / "weights").mkdir()
    write_keras(tmp_path / "weights/t2_ctr.h5", layers, random_weights(layers, seed=1))
    text = file.read_text().replace("centerline: file", "centerline: weights/t2_ctr.h5").replace(", tversky", "")
    file.write_text(text.replace("epochs: 3", "epochs: 1"))

    def heat(network, scan, contrast):
        """What a good network would see in the tube of the tiny cohort."""
        assert (network.multiple, contrast) == (2, "t2")
        x, y, _ = np.meshgrid(*[np.arange(n) for n in scan.data.shape], indexing="ij")
        return Volume(((x - 12) ** 2 + (y - 12) ** 2 <= 25).astype(np.float32), to_las(scan).affine)

    monkeypatch.setattr("cordlesion.sct.centerline_network.sct_centerline_heatmap", heat)
    return file


def stacks(file):
    return {path.name: path.stat().st_mtime_ns for path in (file.parent / "study/stacks").iterdir()}


def test_stacks_are_cut_along_its_curves_and_depend_on_its_content_alone(study):
    network = study.parent / "weights/t2_ctr.h5"
    run_study(read_study(study), until="train")
    image = read_scan(study.parent / "cohort/sub-03/anat/sub-03_T2w.nii.gz")
    mask = study.parent / "cohort/derivatives/labels/sub-03/anat/sub-03_label-cord_seg.nii.gz"
    expected = stack_geometry(image, centerline_from_cord_mask(mask, image), read_study(study).preprocess)
    found = read_stack(study.parent / "study/stacks/sub-03.safetensors").geometry
    np.testing.assert_array_equal([found.start_x, found.start_y], [expected.start_x, expected.start_y])

    folder = StudyFolder(study.parent / "study")
    manifest = json.loads(folder.manifest.read_text())
    assert manifest["scans"]["sub-03"]["sha256"]["centerline_network"] == file_hash(network)
    assert read_card(folder.bundle("bce_seed-0")).preprocess.centerline == Path("t2_ctr.h5")
    assert str(study.parent) not in (folder.bundle("bce_seed-0") / "model.json").read_text()

    before = stacks(study)
    network.rename(study.parent / "t2_ctr.h5")
    study.write_text(study.read_text().replace("weights/t2_ctr.h5", "t2_ctr.h5"))
    run_study(read_study(study), until="preprocess")
    assert stacks(study) == before
    layers = centerline_layers()
    write_keras(study.parent / "t2_ctr.h5", layers, random_weights(layers, seed=2))
    run_study(read_study(study), until="preprocess")
    assert all(made > before[name] for name, made in stacks(study).items())


def test_a_network_that_is_not_there_is_reported_before_anything_is_read(study):
    (study.parent / "weights/t2_ctr.h5").unlink()
    with pytest.raises(CordlesionError, match=r"weights/t2_ctr\.h5: no such file; SCT's centerline network is needed"):
        run_study(read_study(study))
    assert not (study.parent / "study/splits.tsv").exists()


def test_another_file_is_no_source(study):
    study.write_text(study.read_text().replace("t2_ctr.h5", "t2_ctr.onnx"))
    message = r"study\.yaml:\d+:\d+ preprocess\.centerline: one of auto, file, cord_mask, sct or the file of SCT's"
    with pytest.raises(CordlesionError, match=message) as error:
        read_study(study)
    assert str(error.value).count("\n") == 0
