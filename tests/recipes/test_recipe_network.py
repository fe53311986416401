"""CONTRIBUTING's recipe for a network: a module next to the study file, named by its import path."""

import importlib
import json
import shutil
import sys
import warnings
from pathlib import Path

import pytest
import torch

from cordlesion.config import read_study
from cordlesion.errors import CordlesionError
from cordlesion.model.bundle import load_bundle, read_card
from cordlesion.study.run import run_study
from cordlesion.study.train import Trainer
from support.tiny import make_cohort

MODULE = '''\
from torch import nn


class MyNet(nn.Module):
    """Two convolutions without a change of resolution."""

    def __init__(self, width=4):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv3d(1, width, 3, padding=1), nn.BatchNorm3d(width), nn.ReLU())
        self.last = nn.Conv3d(width, {out}, 1)

    def forward(self, patches):
        return self.last(self.layers(patches))
'''
NETWORK = "network: {filters: [4, 8]}"


def with_network(folder: Path, network: str, module: str = MODULE.format(out=1)) -> Path:
    """A tiny study with another network, and its module next to it."""
    study = make_cohort(folder)
    text = study.read_text()
    assert NETWORK in text
    study.write_text(text.replace(NETWORK, f"network: {network}").replace("[bce, tversky]", "[bce]"))
    (folder / "mynets.py").write_text(module)
    return study


@pytest.fixture(autouse=True)
def forget_module():
    path = sys.path[:]
    yield
    sys.path[:] = path
    sys.modules.pop("mynets", None)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study file of a study with a network of its own, run to the thresholds."""
    study = with_network(tmp_path_factory.mktemp("own"), "{name: mynets:MyNet, parameters: {width: 5}}")
    assert run_study(read_study(study), until="tune") == {}
    return study


@pytest.fixture
def copy(tuned: Path, tmp_path: Path) -> Path:
    shutil.copytree(tuned.parent, tmp_path / "copy")
    return tmp_path / "copy" / "study.yaml"


def bundle_of(study: Path) -> Path:
    return study.parent / "study" / "runs" / "bce_seed-0" / "bundle"


def test_a_study_trains_tunes_and_stores_a_network_by_import_path(tuned: Path) -> None:
    card = read_card(bundle_of(tuned))
    written = json.loads((bundle_of(tuned) / "model.json").read_text())
    assert written["architecture"] == "imported"
    assert written["network"] == {"name": "mynets:MyNet", "parameters": {"width": 5}}
    assert list(card.provenance["code"]) == ["mynets:MyNet"]
    assert card.threshold is not None
    assert "network mynets:MyNet trained with cordlesion" in card.describe()


def test_its_code_is_run_only_where_the_user_names_its_folder(tuned: Path) -> None:
    with pytest.raises(CordlesionError, match="its network is mynets:MyNet, Python code from outside of cordlesion"):
        load_bundle(bundle_of(tuned))
    assert "mynets" not in sys.modules
    network = load_bundle(bundle_of(tuned), code=tuned.parent).network
    assert network(torch.zeros(1, 1, 8, 8, 8)).shape == (1, 1, 8, 8, 8)


def test_a_scan_is_segmented_with_it(tuned: Path, tmp_path: Path, cli) -> None:
    scan = next((tuned.parent / "cohort").rglob("*sub-01_T2w.nii.gz"))
    curve = next((tuned.parent / "cohort").rglob("*sub-01_label-centerline_seg.nii.gz"))
    options = ["-m", bundle_of(tuned), "-o", tmp_path, "--centerline", curve, "--threshold", 0.5, "--no-pictures"]
    assert cli("segment", scan, *options).status == 2
    assert cli("segment", scan, *options, "--code", tuned.parent).status == 0
    assert (tmp_path / "sub-01_label-lesion_mask.nii.gz").is_file()


def test_it_is_exported_or_refused_with_a_sentence(tuned: Path, tmp_path: Path, cli) -> None:
    arguments = ("model", "export", bundle_of(tuned), "--monai-bundle", tmp_path / "monai", "--code", tuned.parent)
    assert cli(*arguments).status == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        network = torch.jit.load(tmp_path / "monai" / "models" / "model.ts")
    assert network(torch.rand(1, 1, 16, 16, 16)).shape == (1, 1, 16, 16, 16)


def test_changed_code_trains_anew_and_the_old_model_needs_the_old_code(copy: Path) -> None:
    before = (bundle_of(copy) / "model.safetensors").read_bytes()
    assert run_study(read_study(copy), until="train") == {}
    assert (bundle_of(copy) / "model.safetensors").read_bytes() == before
    (copy.parent / "mynets.py").write_text(MODULE.format(out=1).replace("ReLU", "ELU"))
    with pytest.raises(CordlesionError, match="is not the one that it was trained with"):
        load_bundle(bundle_of(copy), code=copy.parent)
    run_study(read_study(copy), until="train")
    assert (bundle_of(copy) / "model.safetensors").read_bytes() != before
    (aside,) = bundle_of(copy).parents[1].glob("bce_seed-0.replaced-*")
    assert (aside / "bundle" / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("network", "module", "fault"),
    [
        ("absent_module:MyNet", "", "absent_module:MyNet: cannot be imported"),
        ("mynets:Other", MODULE.format(out=1), "the module mynets has no Other"),
        ("mynets:MyNet", "MyNet = 3", "is no class of torch.nn.Module"),
        ("{name: mynets:MyNet, parameters: {depth: 2}}", MODULE.format(out=1), "cannot be made with the parameters"),
        ("mynets:MyNet", MODULE.format(out=2), r"to a result of shape \(2, 2, 16, 16, 16\)"),
        ("mynets:MyNet", MODULE.format(out=1).replace("self.layers(patches)", "None"), "fails on patches of the shape"),
        ("mynets:MyNet", "from torch.nn import Identity as MyNet", "has no weights to learn"),
    ],
)
def test_what_is_no_network_is_refused_before_anything_is_trained(tmp_path, network, module, fault):
    study = with_network(tmp_path, network, module)
    with pytest.raises(CordlesionError, match=fault) as error:
        run_study(read_study(study), until="train")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "study").exists()


def test_other_code_is_refused_before_it_runs(tuned, tmp_path):
    (tmp_path / "mynets.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{MODULE.format(out=1)}")
    with pytest.raises(CordlesionError, match="not the one that it was trained with"):
        load_bundle(bundle_of(tuned), code=tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("when", ["before it starts", "while it runs"])
def test_no_model_is_written_when_its_code_changes_during_the_run(tmp_path, monkeypatch, when):
    study = with_network(tmp_path, "mynets:MyNet")
    place = importlib.import_module("cordlesion.training.run")
    change, name = (place, "fit") if when == "while it runs" else (Trainer, "__call__")
    original = getattr(change, name)

    def changed(*arguments):
        (tmp_path / "mynets.py").write_text(MODULE.format(out=1).replace("width=4", "width=6"))
        return original(*arguments)

    monkeypatch.setattr(change, name, changed)
    with pytest.raises(CordlesionError, match="mynets:MyNet changed while the study was running"):
        run_study(read_study(study), until="train")
    assert not list((tmp_path / "study" / "runs").rglob("model.json"))
    monkeypatch.undo()
    assert run_study(read_study(study), until="train") == {}
    assert load_bundle(bundle_of(study), code=tmp_path).network.layers[0].out_channels == 6


def test_a_comparator_with_code_of_its_own_is_refused_with_a_way_out(tuned, tmp_path):
    study = make_cohort(tmp_path)
    study.write_text(f"{study.read_text()}\ncomparators:\n  - {{name: own, bundle: {bundle_of(tuned)}}}\n")
    with pytest.raises(CordlesionError, match=r"mynets:MyNet, .* a study does not run .* Give its maps instead"):
        run_study(read_study(study), until="split")
    assert "mynets" not in sys.modules
