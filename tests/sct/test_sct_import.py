import json

import numpy as np
import pytest
import torch

from cordlesion.errors import CordlesionError
from cordlesion.model.bundle import load_bundle, load_own_bundle
from cordlesion.model.bundle_updates import set_threshold
from cordlesion.sct.bundle import SctBundle
from cordlesion.sct.import_network import import_sct, read_centerline_network, read_lesion_network
from support.images import noise
from support.keras_networks import centerline_layers, lesion_layers, random_weights, run_keras, write_keras
from support.models import THRESHOLD


def test_the_published_network_gives_the_published_output(shared):
    network, filters = read_lesion_network(shared("data", "sct", "t2_ax_lesion.h5"))
    patch = torch.from_numpy(np.load(shared("data", "sct", "t2_ax_patch_in.npy")))
    with torch.inference_mode():
        probability = torch.sigmoid(network(patch[None, None]))[0, 0]
    np.testing.assert_allclose(probability, np.load(shared("data", "sct", "t2_ax_patch_out.npy")), atol=2e-5)
    assert filters == ((16, 32), (32, 64))
    assert sum(parameter.numel() for parameter in network.parameters()) == 208_449


@pytest.mark.parametrize("filters", [((2, 3), (4, 5)), ((2, 3), (3, 5), (4, 6))])
def test_a_lesion_network_computes_what_keras_does(tmp_path, filters):
    layers = lesion_layers(filters)
    weights, patch = random_weights(layers, seed=1), noise((8, 12, 4)) / 100
    network, found = read_lesion_network(write_keras(tmp_path / "t2_lesion.h5", layers, weights))
    assert found == filters
    with torch.inference_mode():
        probability = torch.sigmoid(network(torch.from_numpy(patch)[None, None]))[0, 0]
    expected = run_keras(layers, weights, patch)
    assert expected.std() > 0.05
    np.testing.assert_allclose(probability, expected, atol=1e-5)


@pytest.mark.parametrize(("filters", "dilations"), [((2, 3), (1, 2)), ((2, 3, 4), (1, 2, 4))])
def test_a_centerline_network_computes_what_keras_does(tmp_path, filters, dilations):
    layers = centerline_layers(filters, dilations)
    weights, image = random_weights(layers, seed=2), noise((12, 16)) / 100
    network = read_centerline_network(write_keras(tmp_path / "t2_ctr.h5", layers, weights))
    with torch.inference_mode():
        probability = torch.sigmoid(network(torch.from_numpy(image)[None, None]))[0, 0]
    expected = run_keras(layers, weights, image)
    assert expected.std() > 0.05
    np.testing.assert_allclose(probability, expected, atol=1e-5)


def test_the_published_centerline_network_is_read(shared):
    network = read_centerline_network(shared("data", "sct", "t2_ctr.h5"))
    assert sum(parameter.numel() for parameter in network.parameters()) == 117_393
    assert not network.training


@pytest.fixture
def file(tmp_path):
    return write_keras(tmp_path / "t2s_lesion.h5", lesion_layers())


@pytest.mark.parametrize(
    ("variant", "overlap", "cut", "tuned"), [("shipped", 0, 0.1, True), ("soft", 0.75, None, False)]
)
def test_a_bundle_carries_weights_and_constants(tmp_path, file, variant, overlap, cut, tuned):
    import_sct(file, tmp_path / "bundle", variant)
    bundle = load_bundle(tmp_path / "bundle")
    assert isinstance(bundle, SctBundle)
    card = bundle.card
    assert (card.prediction.overlap_fraction, card.prediction.cut, card.threshold is not None) == (overlap, cut, tuned)
    assert (card.preprocess.mean, card.preprocess.deviation) == (1011.31, 678.985)
    assert card.provenance["variant"] == f"sct_{variant}"
    network, filters = read_lesion_network(file)
    assert card.network.filters == filters
    for name, values in network.state_dict().items():
        assert torch.equal(values, bundle.network.state_dict()[name]), name


def test_a_threshold_can_be_tuned_for_it(tmp_path, file):
    import_sct(file, tmp_path / "bundle", "soft")
    set_threshold(tmp_path / "bundle", THRESHOLD)
    assert load_bundle(tmp_path / "bundle").card.threshold == THRESHOLD


def test_it_is_not_taken_for_a_network_of_this_program(tmp_path, file):
    import_sct(file, tmp_path / "bundle")
    with pytest.raises(CordlesionError, match="Spinal Cord Toolbox"):
        load_own_bundle(tmp_path / "bundle")


def test_the_contrast_is_told_by_the_name_or_the_user(tmp_path, file):
    renamed = file.rename(tmp_path / "weights.h5")
    with pytest.raises(CordlesionError, match=r"weights\.h5: .*one of t2, t2_ax, t2s is needed"):
        import_sct(renamed, tmp_path / "bundle")
    import_sct(renamed, tmp_path / "bundle", contrast="t2")
    assert load_bundle(tmp_path / "bundle").card.preprocess.mean == 871.309


def test_a_model_is_not_overwritten(tmp_path, file):
    import_sct(file, tmp_path / "bundle")
    before = (tmp_path / "bundle" / "model.json").read_bytes()
    with pytest.raises(CordlesionError, match="holds a model already"):
        import_sct(file, tmp_path / "bundle", "soft")
    assert (tmp_path / "bundle" / "model.json").read_bytes() == before


def test_the_same_import_again_finds_it_done(tmp_path, file):
    said = import_sct(file, tmp_path / "bundle", "soft")
    set_threshold(tmp_path / "bundle", THRESHOLD)
    before = (tmp_path / "bundle" / "model.json").read_bytes()
    assert import_sct(file, tmp_path / "bundle", "soft") == said
    assert (tmp_path / "bundle" / "model.json").read_bytes() == before


def test_the_suffix_may_be_in_capitals(tmp_path, file):
    import_sct(file.rename(tmp_path / "t2s_lesion.H5"), tmp_path / "bundle")
    assert load_bundle(tmp_path / "bundle").card.preprocess.mean == 1011.31
    with pytest.raises(CordlesionError, match=r"t2_lesion\.ONNX: .*is no ONNX model"):
        import_sct(write(tmp_path / "t2_lesion.ONNX"), tmp_path / "other")


def write(path, content=b"no network"):
    path.write_bytes(content)
    return path


WRONG = {
    "missing": ("absent_lesion.h5", None, r"absent_lesion\.h5: no such file. Check the name; t2_lesion\.h5 of SCT"),
    "a folder": ("models", "folder", r"models: is a folder; one file of SCT is needed"),
    "the centerline network": (
        "t2_ctr.h5",
        "file",
        r"SCT's centerline network.*--source FILE.*--centerline-source FILE",
    ),
    "nnU-Net": ("checkpoint_final.pth", "file", r"no network of SCT ends in '\.pth'.*comparator of a study"),
    "Keras 3": ("t2_lesion.keras", "file", r"ends in '\.keras'; its lesion networks are \.h5 \(Keras 2\) or \.onnx"),
    "no suffix": ("t2_lesion", "file", r"t2_lesion: no network of SCT ends in ''"),
    "no HDF5": ("t2_lesion.h5", "file", r"t2_lesion\.h5: cannot be used as a network of SCT \(it is no HDF5 file\)"),
}


@pytest.mark.parametrize(("name", "kind", "told"), WRONG.values(), ids=WRONG)
def test_what_is_no_lesion_network_is_told_by_name_before_the_contrast_is_asked_for(tmp_path, name, kind, told):
    path = tmp_path / name
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        write(path)
    with pytest.raises(CordlesionError, match=told) as error:
        import_sct(path, tmp_path / "bundle")
    assert "--contrast" not in str(error.value)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(("variant", "following"), [("shipped", "segment SCAN -m {folder}"), ("soft", "comparator")])
def test_the_command_says_what_it_wrote_and_what_is_next(tmp_path, file, cli, variant, following):
    folder = tmp_path / "bundle"
    ended = cli("model", "import-sct", file, "-o", folder, "--variant", variant)
    (line,) = ended.output.splitlines()
    assert line.startswith(f"{folder}: SCT's t2s_lesion.h5 ({variant}). Next: ")
    assert following.format(folder=folder) in line


def test_the_command(tmp_path, file, cli):
    assert cli("model", "import-sct", file, "-o", tmp_path / "bundle", "--variant", "soft").status == 0
    info = cli("model", "info", tmp_path / "bundle")
    assert json.loads(info.output)["architecture"] == "sct_unet3d"
    refused = cli("model", "import-sct", tmp_path / "t2_lesion.h5", "-o", tmp_path / "other")
    assert refused.status == 2
    assert "t2_lesion.h5: no such file" in refused.error
    assert not (tmp_path / "other").exists()
