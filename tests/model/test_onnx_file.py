import importlib.util
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from cordlesion.errors import CordlesionError
from cordlesion.model.bundle import ModelCard, load_bundle, save_bundle
from cordlesion.model.onnx_file import export_onnx
from cordlesion.model.patch_model import PatchModel
from support.models import THRESHOLD, untrained_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    save_bundle(folder, untrained_bundle())
    return folder


@pytest.fixture(scope="module")
def file(bundle, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export_onnx(bundle, path)
    return path


@pytest.mark.parametrize("n_patches", [1, 2, 5])
def test_onnxruntime_computes_what_the_network_computes(bundle, file, n_patches):
    patches = 40 + 17 * torch.randn((n_patches, 1, 16, 16, 16), generator=torch.Generator().manual_seed(n_patches))
    patches[0] = 3.0
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (found,) = session.run(["probability"], {"patches": patches.numpy()})
    np.testing.assert_allclose(found, PatchModel(load_bundle(bundle))(patches).numpy(), atol=1e-5)


def test_the_file_is_valid_and_says_how_to_use_it(bundle, file):
    content = onnx.load(file)
    onnx.checker.check_model(content, full_check=True)
    told = {entry.key: entry.value for entry in content.metadata_props}
    assert ModelCard.model_validate_json(told["model_card"]) == load_bundle(bundle).card
    assert json.loads(told["threshold"]) == THRESHOLD.value
    assert json.loads(told["landmarks"]) == list(load_bundle(bundle).card.landmarks.values)
    assert told["intended_use"].startswith("Research use only")
    assert "Apache-2.0" in told["license"]
    assert "left-anterior-superior" in told["input"]


@pytest.mark.parametrize("absent", ["onnx", "onnxscript"])
def test_without_the_extra_there_is_a_sentence(bundle, tmp_path, monkeypatch, absent):
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == absent else found(name))
    with pytest.raises(CordlesionError, match=rf"needs {absent}, which is not installed.*cordlesion\[onnx\]"):
        export_onnx(bundle, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_file(bundle, tmp_path):
    with pytest.raises(CordlesionError, match="the name of a file to write is needed"):
        export_onnx(bundle, tmp_path)


def test_the_command_writes_it(cli, bundle, tmp_path, monkeypatch):
    # The export itself takes seconds and is tested above.
    monkeypatch.setattr("cordlesion.model.onnx_file._graph", lambda *_: onnx.ModelProto())
    ended = cli("model", "export", bundle, "--onnx", tmp_path / "a.onnx")
    assert ended.status == 0
    assert ended.output.startswith(f"{tmp_path / 'a.onnx'}: patches in, lesion probabilities out. ")
    assert {entry.key for entry in onnx.load(tmp_path / "a.onnx").metadata_props} >= {"threshold", "landmarks"}
