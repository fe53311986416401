"""Threshold rules of the user's own code: in a bundle by import path, run only where that is allowed."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from cordlesion.config import PostprocessConfig
from cordlesion.errors import CordlesionError
from cordlesion.io.import_path import import_object
from cordlesion.io.volume import Volume
from cordlesion.model.bundle import load_bundle, read_card, save_bundle
from cordlesion.model.bundle_updates import set_threshold
from cordlesion.threshold import GlobalThreshold
from cordlesion.threshold.own_rule import resolve_rule
from cordlesion.threshold.postprocess import make_mask
from cordlesion.threshold.rules import ForeignRule, choose_rule, load_rule
from support.models import untrained_bundle

MODULE = '''
from typing import Literal, Self

import numpy as np
import pandas as pd

from cordlesion import ThresholdRule


class TopShare(ThresholdRule):
    """The voxels with the highest probabilities, as many as lesions have on average."""

    rule: Literal["own_rules:TopShare"] = "own_rules:TopShare"
    voxels: int

    @classmethod
    def fit(cls, sweep: pd.DataFrame, objective: str) -> Self:
        return cls(voxels=int(sweep.drop_duplicates("scan_id")["reference_volume_mm3"].mean()))

    def threshold_in(self, probability, spacing_mm) -> float:
        return float(np.sort(probability, axis=None)[-self.voxels])

    @property
    def summary(self) -> str:
        return f"the {self.voxels} most probable voxels"

    def describe(self) -> str:
        return "the model's own number of voxels"


class Misnamed(TopShare):
    pass


class Failing(TopShare):
    rule: Literal["own_rules:Failing"] = "own_rules:Failing"

    def threshold_in(self, probability, spacing_mm) -> float:
        return 1 / 0


class OfLists(TopShare):
    rule: Literal["own_rules:OfLists"] = "own_rules:OfLists"

    def binarize(self, probability, spacing_mm):
        return [[True]]


number = 3
'''
SPACING = (1.0, 1.0, 1.0)
KEPT = {"rule": "own_rules:TopShare", "voxels": 7}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "own_rules.py").write_text(MODULE)
    yield tmp_path
    sys.modules.pop("own_rules", None)


@pytest.fixture
def bundle(folder):
    save_bundle(folder / "bundle", untrained_bundle(threshold=GlobalThreshold.given(0.4)))
    set_threshold(folder / "bundle", import_object("own_rules:TopShare", folder)(voxels=7))
    sys.modules.pop("own_rules")
    return folder / "bundle"


def test_a_card_is_read_without_running_its_code(bundle):
    card = read_card(bundle)
    assert isinstance(card.threshold, ForeignRule)
    assert card.threshold.model_dump(mode="json") == KEPT
    assert json.loads((bundle / "model.json").read_text())["threshold"] == KEPT
    assert "own_rules" not in sys.modules
    with pytest.raises(CordlesionError, match="own_rules:TopShare, Python code from outside of cordlesion"):
        choose_rule(load_bundle(bundle).card.threshold, None, None, bundle)
    assert choose_rule(card.threshold, None, 0.3, bundle).fixed_threshold == 0.3
    assert "own_rules" not in sys.modules


def test_with_its_folder_it_makes_masks(bundle, folder):
    rule = choose_rule(load_bundle(bundle, code=folder).card.threshold, None, None, bundle)
    probability = np.random.default_rng(1).permutation(np.linspace(0, 1, 60, dtype=np.float32)).reshape(3, 4, 5)
    mask, threshold = make_mask(Volume(probability, np.eye(4)), rule, PostprocessConfig(), None)
    assert mask.sum() == 7
    assert probability[mask].min() == pytest.approx(threshold)
    assert rule.summary == "the 7 most probable voxels"


def test_other_code_is_refused_before_it_runs(bundle, folder):
    (folder / "own_rules.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n{MODULE}")
    with pytest.raises(CordlesionError, match="is not the one that it was fitted with"):
        load_bundle(bundle, code=folder)
    assert not (folder / "ran").exists()
    assert load_bundle(bundle).card.threshold.rule == "own_rules:TopShare"


def test_a_rule_has_to_name_its_class(bundle, folder):
    before = (bundle / "model.json").read_bytes()
    with pytest.raises(CordlesionError, match="own_rules:Misnamed names itself own_rules:TopShare"):
        set_threshold(bundle, import_object("own_rules:Misnamed", folder)(voxels=3))
    assert (bundle / "model.json").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (KEPT | {"rule": "own_rules:absent"}, "the module own_rules has no absent"),
        (KEPT | {"rule": "own_rules:number"}, r"own_rules:number is no class of cordlesion\.ThresholdRule"),
        (KEPT | {"rule": "own_rules:Failing"}, r"own_rules:Failing fails on a map \(ZeroDivisionError"),
        (KEPT | {"rule": "own_rules:OfLists"}, "makes no boolean mask of the shape of its map"),
        (KEPT | {"share": 0.1}, "own_rules:TopShare has other fields: share"),
        ({"rule": "own_rules:TopShare"}, "own_rules:TopShare has other fields: voxels"),
    ],
)
def test_mistakes_get_a_sentence(folder: Path, content, sentence):
    with pytest.raises(CordlesionError, match=sentence) as error:
        resolve_rule(load_rule(content), folder)
    assert "\n" not in str(error.value)


def test_a_rule_of_the_program_needs_no_code():
    rule = GlobalThreshold.given(0.3)
    assert resolve_rule(rule, None) is rule
