"""Losses of the user by import path: found next to the study, tried out, and part of the fingerprint."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cordlesion.config import LossConfig, read_study, study_yaml
from cordlesion.errors import CordlesionError
from cordlesion.losses import make_loss

SOURCE = """
from torch.nn.functional import binary_cross_entropy_with_logits as entropy
from cordlesion.losses.precision import in_float32

@in_float32
def mine(logits, lesion, *, weight: float = 1.0, squared: bool = False, mode: str = "sum", extra=None):
    value = weight * entropy(logits, lesion)
    return value**2 if squared else value

def undecorated(logits, lesion):
    return entropy(logits, lesion)

def of_wrong_sign(logits, lesion):
    return -entropy(logits, lesion)

def failing(logits, lesion):
    raise KeyError("weights")

class Module:
    pass

number = 3
"""
STUDY = """\
name: x
dataset: data
output: out
losses:
  - own_losses:mine
  - {name: "own_losses:mine", label: twice, parameters: {weight: 2}}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a study and its loss; nothing of it is left in Python afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    write(tmp_path / "study")
    yield tmp_path / "study"
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


def write(folder: Path) -> Path:
    folder.mkdir()
    (folder / "own_losses.py").write_text(SOURCE)
    (folder / "study.yaml").write_text(STUDY)
    return folder


@pytest.mark.parametrize(("name", "title"), [("a.b:my_loss", "my_loss"), ("monai:DiceLoss", "monai_DiceLoss")])
def test_a_function_is_listed_by_its_name(name, title):
    assert LossConfig(name=name).title == title
    assert LossConfig(name=name, label="other").title == "other"
    assert LossConfig(name=name).is_imported == (title == "my_loss")


def test_a_loss_is_found_next_to_the_study(folder):
    study = read_study(folder / "study.yaml")
    assert [run.name for run in study.runs] == ["mine_seed-0", "twice_seed-0"]
    logits, lesion = torch.randn(2, 1, 4, 4, 4), torch.zeros(2, 1, 4, 4, 4)
    values = [make_loss(loss.name, loss.parameters, study.code)(logits, lesion) for loss in study.losses]
    assert values[0] == torch.nn.functional.binary_cross_entropy_with_logits(logits, lesion)
    assert values[1] == 2 * values[0]


@pytest.mark.parametrize("name", ["mine", "undecorated"])
def test_it_is_computed_in_float32(folder, name):
    loss = make_loss(f"own_losses:{name}", {}, folder)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(torch.ones(1, 1, 4, 4, 4, dtype=torch.bfloat16), torch.ones(1, 1, 4, 4, 4)).dtype == torch.float32


def test_the_written_study_finds_it_again(folder, tmp_path):
    study, copy = read_study(folder / "study.yaml"), tmp_path / "copy.yaml"
    copy.write_text(study_yaml(study))
    assert read_study(copy).code == study.code
    assert read_study(copy).decisive == study.decisive


def test_a_changed_function_is_another_loss_and_a_moved_file_is_not(folder, tmp_path):
    def learned_from(place: Path) -> object:
        study = read_study(place / "study.yaml")
        return study.decisive, study.runs[0].learned_from

    before = learned_from(folder)
    assert learned_from(write(tmp_path / "moved")) == before
    path = folder / "own_losses.py"
    path.write_text(path.read_text().replace("value**2", "value**3"))
    assert all(one != other for one, other in zip(before, learned_from(folder), strict=True))


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("own_nothing:mine", {}, r"own_nothing:mine: cannot be imported .* A module own_nothing in .* is needed"),
        ("own_losses:nothing", {}, "the module own_losses has no nothing"),
        ("own_losses:number", {}, r"is no Python function; a function \(logits, lesion, \*, parameters\) is needed"),
        ("own_losses:Module", {}, "does not work on logits and masks of patches"),
        ("own_losses:failing", {}, "does not work on logits and masks of patches: 'weights'"),
        ("own_losses:of_wrong_sign", {}, "does not raise the logits of missed lesion voxels"),
        ("own_losses:mine", {"alpha": 1}, "no parameter alpha; it has weight, squared, mode, extra"),
        ("own_losses:mine", {"weight": "1"}, "weight: '1'; a number is needed"),
        ("own_losses:mine", {"squared": 1}, "squared: 1; true or false is needed"),
        ("own_broken:mine", {}, r"cannot be imported \(ZeroDivisionError"),
        ("own.losses", {}, "There is no loss 'own.losses'.*<module>:<function> for one of your own"),
    ],
)
def test_mistakes_get_a_sentence(folder, name, parameters, sentence):
    (folder / "own_broken.py").write_text("1 / 0\n")
    with pytest.raises(CordlesionError, match=sentence):
        make_loss(name, parameters, folder)


def test_the_table_of_losses_needs_no_torch():
    code = (
        "import sys, cordlesion.pictures.style as style; from cordlesion.losses import LOSSES; "
        "print(style.loss_name('tversky'), LOSSES['tversky'].color, 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "Tversky #D55E00 False\n"
