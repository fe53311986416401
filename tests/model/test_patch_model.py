import json

import numpy as np
import pytest
import torch

from cordlesion.config import PredictionConfig
from cordlesion.io.fingerprints import file_hash
from cordlesion.model.bundle import Bundle, save_bundle
from cordlesion.model.hardware import Hardware
from cordlesion.model.patch_model import PatchModel, example_patches, patch_shape, use_facts
from cordlesion.model.patch_prediction import mirror_axes, predict_patches
from support.models import THRESHOLD, untrained_bundle

FLOAT32 = Hardware(torch.device("cpu"), half_precision=False)


def with_mirror(mirror):
    bundle = untrained_bundle()
    return Bundle(bundle.card.model_copy(update={"prediction": PredictionConfig(mirror=mirror)}), bundle.network)


@pytest.mark.parametrize("mirror", [False, True])
def test_it_does_to_a_patch_what_prediction_does(mirror):
    bundle = with_mirror(mirror)
    patches = (40 + 17 * torch.randn((3, 1, 16, 16, 16), generator=torch.Generator().manual_seed(1))).numpy()
    standard = [((p - p.mean()) / p.std())[0] for p in patches]
    expected = np.stack(list(predict_patches(bundle.network, standard, torch.clone, FLOAT32, mirror_axes(mirror))))
    found = PatchModel(bundle)(torch.from_numpy(patches)).numpy()[:, 0]
    assert expected.max() - expected.min() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 7.0, 0.1, -3e4])
def test_a_constant_patch_is_one_of_zeros(value):
    model = PatchModel(untrained_bundle())
    patches = torch.full((1, 1, 16, 16, 16), value)
    found = model(patches)
    torch.testing.assert_close(found, torch.sigmoid(model.networks[0](torch.zeros_like(patches))), atol=1e-6, rtol=0)


def test_the_bundles_own_network_stays_as_it_was():
    bundle = untrained_bundle()
    bundle.network.to(memory_format=torch.channels_last_3d)
    PatchModel(bundle)
    weight = bundle.network.down[0][0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert weight.requires_grad


def test_examples_have_the_shape_of_the_models_patches():
    card = untrained_bundle(edge_voxels=24).card
    assert patch_shape(card) == (24, 24, 24)
    assert example_patches(card).shape == (2, 1, 24, 24, 24)


def test_the_facts_say_all_that_use_needs(tmp_path):
    bundle = untrained_bundle()
    save_bundle(tmp_path, bundle)
    facts = use_facts(bundle.card, tmp_path)
    assert json.loads(json.dumps(facts)) == facts
    assert facts["landmarks"] == list(bundle.card.landmarks.values)
    assert facts["percentiles"] == list(bundle.card.landmarks.percentiles)
    assert (facts["threshold"], facts["spacing_mm"], facts["patch_shape"]) == (THRESHOLD.value, 0.5, [16, 16, 16])
    assert facts["weights_sha256"] == file_hash(tmp_path / "model.safetensors")
    assert "Research use only" in facts["intended_use"]
    assert "Apache-2.0" in facts["license"]
    assert use_facts(untrained_bundle(threshold=None).card, tmp_path)["threshold"] is None
