import errno
import json
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from cordlesion.config import PostprocessConfig, PredictionConfig
from cordlesion.errors import CordlesionError
from cordlesion.metrics import binarize
from cordlesion.model.bundle import Bundle, ModelCard, save_bundle
from cordlesion.model.hardware import Hardware
from cordlesion.model.monai_bundle import export_monai
from cordlesion.model.patch_model import PatchModel
from cordlesion.preprocess.cord_stack import StackGeometry
from support.images import write_image
from support.models import THRESHOLD, untrained_bundle
from support.sct_models import sct_bundle

LAS = np.diag([-0.5, 0.5, 0.5, 1.0])
SHAPE = (16, 16, 50)


def with_blending(blending):
    bundle = untrained_bundle()
    return Bundle(bundle.card.model_copy(update={"prediction": PredictionConfig(blending=blending)}), bundle.network)


@pytest.fixture(autouse=True)
def tolerate_monai():
    """MONAI imports what others have deprecated, TorchScript first of all; that is no fault of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(params=["mean", "gaussian"])
def exported(request, tmp_path):
    save_bundle(tmp_path / "ours", with_blending(request.param))
    export_monai(tmp_path / "ours", tmp_path / "theirs")
    return with_blending(request.param), tmp_path / "theirs"


def parsed(folder):
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(folder / "configs" / "inference.json")
    parser.read_meta(folder / "configs" / "metadata.json")
    parser["bundle_root"] = str(folder)
    return parser


def test_monai_loads_the_network_and_runs_a_patch(exported):
    bundle, folder = exported
    network = parsed(folder).get_parsed_content("network_def")
    patches = 40 + 17 * torch.randn((3, 1, 16, 16, 16), generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(network(patches), PatchModel(bundle)(patches), atol=1e-6, rtol=0)


def test_monai_predicts_an_image_as_we_do(exported, monkeypatch):
    """An image that is a cord stack already, run by the configuration alone: maps and masks equal ours."""
    bundle, folder = exported
    image = np.random.default_rng(5).gamma(3.0, 30.0, SHAPE).astype(np.float32)
    write_image(folder / "images" / "a.nii.gz", image, LAS)
    parsed(folder).get_parsed_content("run")
    monkeypatch.setattr(
        "cordlesion.model.bundle.choose_hardware", lambda: Hardware(torch.device("cpu"), half_precision=False)
    )
    still = np.zeros(SHAPE[2], int)
    ours = bundle.predict_stack(image, StackGeometry(SHAPE, (1.0, 1.0, 1.0), SHAPE[:2], 0, still, still))
    theirs = nib.load(folder / "eval" / "a_probseg.nii.gz")
    assert ours.max() - ours.min() > 0.01
    # MONAI's Gaussian does not fall below a thousandth, which shows where three patches meet.
    tolerance = {"mean": 1e-5, "gaussian": 2e-2}[bundle.card.prediction.blending]
    np.testing.assert_allclose(theirs.get_fdata(), ours, atol=tolerance)
    np.testing.assert_allclose(theirs.affine, LAS)
    mask = nib.load(folder / "eval" / "a_mask.nii.gz").get_fdata()
    np.testing.assert_array_equal(mask, binarize(theirs.get_fdata(), THRESHOLD.value))


def test_other_orientations_and_spacings_come_back_to_their_own_grid(exported):
    _, folder = exported
    affine = np.array([[0, 0, 0.7, 3], [-0.7, 0, 0, 5], [0, 1.5, 0, -2], [0, 0, 0, 1.0]])
    write_image(folder / "images" / "b.nii.gz", np.random.default_rng(5).gamma(3.0, 30.0, (12, 20, 12)), affine)
    parsed(folder).get_parsed_content("run")
    result = nib.load(folder / "eval" / "b_probseg.nii.gz")
    assert result.shape == (12, 20, 12)
    np.testing.assert_allclose(result.affine, affine, atol=1e-6)


def test_the_metadata_says_how_to_use_it(exported):
    bundle, folder = exported
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    facts = metadata["cordlesion"]
    assert (facts["threshold"], facts["spacing_mm"]) == (THRESHOLD.value, 0.5)
    assert (facts["landmarks"], facts["percentiles"]) == (
        list(bundle.card.landmarks.values),
        list(bundle.card.landmarks.percentiles),
    )
    assert metadata["intended_use"].startswith("Research use only")
    assert "Apache-2.0" in metadata["license"]
    for side, name in (("inputs", "image"), ("outputs", "pred")):
        assert metadata["network_data_format"][side][name]["spatial_shape"] == [16, 16, 16]
    card = ModelCard.model_validate_json((folder / "docs" / "model.json").read_text())
    assert card.model_copy(update={"weights_sha256": None}) == bundle.card
    for name in ("LICENSE", "docs/README.md"):
        assert "Research use only" in (folder / name).read_text()


@pytest.mark.parametrize(
    ("removal", "told"),
    [
        (PostprocessConfig(), None),
        (PostprocessConfig(minimum_volume_mm3=10), "connected pieces of up to 10 mm3 are taken away"),
        (PostprocessConfig(cord_margin_mm=1.5), "more than 1.5 mm outside of the cord, by its mask are taken away"),
    ],
    ids=["nothing", "volume", "margin"],
)
def test_what_its_masks_still_hold_is_told(tmp_path, removal, told):
    bundle = untrained_bundle()
    save_bundle(tmp_path / "ours", Bundle(bundle.card.model_copy(update={"postprocess": removal}), bundle.network))
    export_monai(tmp_path / "ours", tmp_path / "theirs")
    readme = (tmp_path / "theirs/docs/README.md").read_text()
    assert "taken away" not in readme if told is None else told in readme.replace("\n", " ")
    facts = json.loads((tmp_path / "theirs/configs/metadata.json").read_text())["cordlesion"]
    assert facts["minimum_lesion_volume_mm3"] == removal.minimum_volume_mm3
    assert facts["cord_margin_mm"] == removal.cord_margin_mm


def test_nothing_of_a_card_is_evaluated(tmp_path):
    """MONAI evaluates texts that begin with a dollar sign, and whoever hands on a bundle writes its card."""
    bundle = untrained_bundle()
    evil = {"seed": "$__import__('pathlib').Path('evil').touch()", "loss": "@nowhere"}
    save_bundle(tmp_path / "ours", Bundle(bundle.card.model_copy(update={"provenance": evil}), bundle.network))
    export_monai(tmp_path / "ours", tmp_path / "theirs")
    for name in ("metadata", "inference"):
        assert "__import__" not in (tmp_path / "theirs" / "configs" / f"{name}.json").read_text()


def test_a_blending_that_monai_lacks_is_refused(tmp_path):
    save_bundle(tmp_path / "ours", with_blending("hann"))
    with pytest.raises(CordlesionError, match="Hann window, which MONAI does not have"):
        export_monai(tmp_path / "ours", tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()


def test_a_full_disk_gets_a_sentence_and_the_same_command_goes_on(tmp_path, monkeypatch):
    save_bundle(tmp_path / "ours", untrained_bundle())

    def full(path: Path, _: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(CordlesionError, match=r"model\.ts: cannot be written \(No space left on device\)"):
            export_monai(tmp_path / "ours", tmp_path / "theirs")
    export_monai(tmp_path / "ours", tmp_path / "theirs")
    assert sorted(path.name for path in (tmp_path / "theirs").iterdir()) == ["LICENSE", "configs", "docs", "models"]


def test_a_folder_with_content_is_left_alone(tmp_path):
    save_bundle(tmp_path, untrained_bundle())
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CordlesionError, match="is not empty; a new folder is needed"):
        export_monai(tmp_path, tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_the_command_writes_it_and_asks_for_a_form(cli, tmp_path):
    save_bundle(tmp_path / "ours", untrained_bundle())
    ended = cli("model", "export", tmp_path / "ours", "--monai-bundle", tmp_path / "theirs")
    assert ended.status == 0
    assert ended.output == f"{tmp_path / 'theirs'}: a MONAI bundle. Next: read {tmp_path}/theirs/docs/README.md.\n"
    assert (tmp_path / "theirs" / "models" / "model.ts").is_file()
    ended = cli("model", "export", tmp_path / "ours")
    assert ended.status == 2
    assert "nothing to write; at least one form is needed. Give --onnx or --monai-bundle." in ended.error


def test_a_network_of_sct_is_left_to_its_makers(tmp_path):
    save_bundle(tmp_path / "ours", sct_bundle("soft"))
    with pytest.raises(CordlesionError, match="a network of the Spinal Cord Toolbox"):
        export_monai(tmp_path / "ours", tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()
