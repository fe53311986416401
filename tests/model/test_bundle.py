import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from cordlesion.config import PostprocessConfig, PredictionConfig
from cordlesion.errors import CordlesionError
from cordlesion.model.bundle import (
    Bundle,
    load_bundle,
    read_card,
    save_bundle,
)
from cordlesion.model.bundle_updates import set_inference, set_threshold
from cordlesion.model.unet3d import UNet3d
from support.images import truncate
from support.models import THRESHOLD, untrained_bundle
from support.sct_models import sct_bundle


@pytest.fixture
def bundle():
    return untrained_bundle()


def without_hash(card):
    return card.model_copy(update={"weights_sha256": None})


def test_a_bundle_survives_writing_bit_by_bit(bundle, tmp_path):
    save_bundle(tmp_path, bundle)
    again = load_bundle(tmp_path)
    assert without_hash(again.card) == bundle.card
    first, second = bundle.network.state_dict(), again.network.state_dict()
    assert first.keys() == second.keys()
    for name in first:
        assert first[name].dtype == second[name].dtype
        assert torch.equal(first[name], second[name]), name
    patch = torch.randn(1, 1, 16, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(again.network(patch), bundle.network.eval()(patch))


def test_a_loaded_network_predicts_and_does_not_learn(bundle, tmp_path):
    save_bundle(tmp_path, bundle)
    network = load_bundle(tmp_path).network
    assert not network.training
    before = network.state_dict()["first.1.running_mean"].clone()
    with torch.inference_mode():
        network(torch.randn(1, 1, 8, 8, 8))
    assert torch.equal(before, network.state_dict()["first.1.running_mean"])


def test_the_same_bundle_gives_the_same_bytes(bundle, tmp_path):
    for name in "ab":
        save_bundle(tmp_path / name, bundle)
    for file in ("model.json", "model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_setting_the_threshold_changes_nothing_else(bundle, tmp_path):
    save_bundle(tmp_path, Bundle(bundle.card.model_copy(update={"threshold": None}), bundle.network))
    weights = (tmp_path / "model.safetensors").read_bytes()
    assert read_card(tmp_path).threshold is None
    set_threshold(tmp_path, THRESHOLD)
    assert without_hash(read_card(tmp_path)) == bundle.card
    assert (tmp_path / "model.safetensors").read_bytes() == weights


def test_a_threshold_tuned_for_another_use_is_dropped(bundle, tmp_path):
    save_bundle(tmp_path, bundle)
    written = (tmp_path / "model.json").stat().st_mtime_ns
    set_inference(tmp_path, PredictionConfig(), PostprocessConfig())
    assert (tmp_path / "model.json").stat().st_mtime_ns == written
    set_inference(tmp_path, PredictionConfig(mirror=True), PostprocessConfig(cord_margin_mm=2))
    card = read_card(tmp_path)
    assert (card.prediction.mirror, card.postprocess.cord_margin_mm, card.threshold) == (True, 2.0, None)
    assert card.provenance == bundle.card.provenance


def test_a_bundle_of_before_these_settings_is_used_as_it_was_then(bundle, tmp_path):
    save_bundle(tmp_path, bundle)
    card = json.loads((tmp_path / "model.json").read_text())
    del card["prediction"], card["postprocess"], card["weights_sha256"]
    (tmp_path / "model.json").write_text(json.dumps(card))
    assert load_bundle(tmp_path).card == bundle.card


def edit(**changes):
    def change(folder):
        card = json.loads((folder / "model.json").read_text())
        for key, value in changes.items():
            *inside, last = key.split("__")
            place = card
            for name in inside:
                place = place[name]
            place[last] = value
        (folder / "model.json").write_text(json.dumps(card))

    return change


def write_card(text):
    return lambda folder: (folder / "model.json").write_text(text)


def other_weights(folder):
    save_bundle(folder / "other", Bundle(read_card(folder), UNet3d((3, 4))))
    (folder / "other" / "model.safetensors").replace(folder / "model.safetensors")


def retrained(folder):
    other = untrained_bundle()
    with torch.no_grad():
        other.network.last.bias += 1
    save_bundle(folder / "other", other)
    (folder / "other" / "model.safetensors").replace(folder / "model.safetensors")


def flip_a_bit(folder):
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)


DAMAGES = {
    "no card": (lambda folder: (folder / "model.json").unlink(), "no bundle; a folder with model.json"),
    "card is no JSON": (write_card("{"), "not a JSON file"),
    "card is a list": (write_card("[]"), "Update cordlesion, or export the bundle again"),
    "format of the future": (edit(format=2, surprise=True), "has format 2 and architecture 'unet3d'; 1 and 'unet3d'"),
    "architecture is no name": (edit(architecture=["unet3d"]), "architecture .'unet3d'."),
    "other architecture": (edit(architecture="transformer"), "architecture 'transformer'"),
    "unknown key": (edit(surprise=1), "surprise: unknown key"),
    "rule of the future": (
        edit(threshold__rule="volume"),
        "threshold.rule: 'global', 'peak', .* is needed, found 'volume'",
    ),
    "threshold out of range": (edit(threshold__value=35), "threshold.value: a number of at most 1 is needed"),
    "landmarks are short": (edit(landmarks__values=[0, 100]), "11 percentiles but 2 values"),
    "landmarks fall": (edit(landmarks__values=list(range(11, 0, -1))), "must increase"),
    "filters are text": (edit(network__filters=["a"]), "network.filters.0"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "the weights cannot be used"),
    "truncated weights": (lambda folder: truncate(folder / "model.safetensors"), "the weights cannot be used"),
    "weights are text": (lambda folder: (folder / "model.safetensors").write_text("x"), "the weights cannot be used"),
    "weights of another network": (other_weights, "the weights cannot be used"),
    "weights of another training": (retrained, "not those that model.json was written with, by their SHA-256"),
    "one flipped bit": (flip_a_bit, "SHA-256"),
    "landmarks are no numbers": (edit(landmarks__values=[float("nan")] * 11), "must be finite numbers"),
    "percentiles beyond all": (edit(landmarks__percentiles=list(range(100, 111))), "between 0 and 100"),
    "filters that no machine holds": (edit(network__filters=[10**9]), "network.filters.0"),
    "more levels than any": (edit(network__filters=[1] * 99), "network.filters"),
    "filters of another network": (edit(network__filters=[2, 5]), "the weights cannot be used"),
}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("preprocess__crop_voxels", 47),
        ("preprocess__crop_voxels", 0),
        ("preprocess__spacing_mm", 0),
        ("preprocess__spacing_mm", -1),
        ("preprocess__deviation", 0),
        ("prediction__overlap_fraction", 0.9999),
        ("network__filters", [[-1, 32]]),
        ("network__filters", [[10**9, 32]]),
    ],
)
def test_a_damaged_bundle_of_sct_gets_a_sentence(tmp_path, place, value):
    save_bundle(tmp_path, sct_bundle("soft"))
    edit(**{place: value})(tmp_path)
    with pytest.raises(CordlesionError, match=place.replace("__", r"\.")):
        load_bundle(tmp_path)


@pytest.mark.parametrize(("damage", "fault"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_bundle_gets_a_sentence(bundle, tmp_path, damage, fault):
    save_bundle(tmp_path, bundle)
    damage(tmp_path)
    with pytest.raises(CordlesionError, match=fault) as error:
        load_bundle(tmp_path)
    assert str(error.value).startswith(str(tmp_path))
    assert "\n" not in str(error.value)


def stored_as(folder, change):
    """Weights changed as ``change`` does, under a card of an earlier version, which does not know them."""
    weights = {name: change(tensor) for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors")
    card = json.loads((folder / "model.json").read_text())
    del card["weights_sha256"]
    (folder / "model.json").write_text(json.dumps(card))


def on_floats(change):
    return lambda tensor: change(tensor) if tensor.is_floating_point() else tensor


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precision_become_float32(bundle, tmp_path, dtype):
    save_bundle(tmp_path, bundle)
    stored_as(tmp_path, on_floats(lambda tensor: tensor.to(dtype)))
    for name, tensor in load_bundle(tmp_path).network.state_dict().items():
        expected = bundle.network.state_dict()[name]
        assert tensor.dtype == expected.dtype
        torch.testing.assert_close(tensor, expected, rtol=0.01, atol=0.01)


UNUSABLE_WEIGHTS = {
    "NaN": (on_floats(lambda t: t * torch.nan), "holds values that are no finite numbers"),
    "infinite as float32": (on_floats(lambda t: t.double() * 1e300), "holds values that are no finite numbers"),
    "whole numbers": (on_floats(lambda t: t.to(torch.int32)), "holds int32, float32 is needed"),
    "larger than any": (lambda t: t.new_zeros(5_000_000), "bytes are more than the"),
}


@pytest.mark.parametrize(("change", "fault"), UNUSABLE_WEIGHTS.values(), ids=UNUSABLE_WEIGHTS)
def test_weights_that_give_no_numbers_are_refused(bundle, tmp_path, change, fault):
    save_bundle(tmp_path, bundle)
    stored_as(tmp_path, change)
    with pytest.raises(CordlesionError, match=fault):
        load_bundle(tmp_path)


def test_a_bundle_without_its_card_is_not_taken_for_whole(bundle, tmp_path, monkeypatch):
    def stop(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("cordlesion.model.bundle.write_json", stop)
    with pytest.raises(KeyboardInterrupt):
        save_bundle(tmp_path, bundle)
    with pytest.raises(CordlesionError, match="no bundle"):
        load_bundle(tmp_path)
