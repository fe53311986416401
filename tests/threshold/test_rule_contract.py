"""What every threshold rule does, whichever there are."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from cordlesion.config import PostprocessConfig
from cordlesion.io.volume import Volume, read_mask
from cordlesion.maps.cut import cut_files
from cordlesion.maps.evaluate import evaluate_files
from cordlesion.metrics import RULES, binarize
from cordlesion.model.bundle import ModelCard, read_card, save_bundle
from cordlesion.threshold import THRESHOLD_RULES
from cordlesion.threshold.mask_rule import MaskRule
from cordlesion.threshold.postprocess import make_mask
from cordlesion.threshold.rule import ThresholdRule, TuningScan
from cordlesion.threshold.rules import load_rule
from support.images import write_image
from support.models import untrained_bundle

SPACING = (1.0, 0.8, 2.5)
every_rule = pytest.mark.parametrize("name", THRESHOLD_RULES)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.05, 0.95, (9, 10, 11)).astype(np.float32)


def tuning_scans() -> list[TuningScan]:
    """Four maps that are high where lesions are."""
    scans = []
    for n in range(4):
        probability = 0.5 * noise(n)
        lesion = np.zeros(probability.shape, bool)
        lesion[2 : 4 + n, 3:6, 4:8] = True
        p = np.where(lesion, probability + np.float32(0.4), probability)
        scans.append(TuningScan(f"sub-{n}", f"sub-{n}", lesion, p, SPACING))
    return scans


@cache
def fitted(name: str) -> ThresholdRule:
    rule = THRESHOLD_RULES[name]
    table = pd.concat([rule.measure(scan, RULES["study"]) for scan in tuning_scans()], ignore_index=True)
    return rule.fit(table, "median_voxel_f1", RULES["study"])


@every_rule
def test_a_rule_survives_json(name: str) -> None:
    rule = fitted(name)
    assert rule.rule == name
    written = json.loads(json.dumps(rule.model_dump(mode="json")))
    assert written["rule"] == name
    assert load_rule(written) == rule
    json.dumps(rule.decisive)


@every_rule
def test_a_rule_survives_in_a_bundle(name: str, tmp_path: Path) -> None:
    rule = fitted(name)
    bundle = untrained_bundle(threshold=rule)
    save_bundle(tmp_path, bundle)
    card = read_card(tmp_path)
    assert isinstance(card, ModelCard)
    assert card.threshold == rule


@every_rule
def test_commands_for_maps_take_a_rule_by_its_file(name: str, tmp_path: Path) -> None:
    rule, removal, p = fitted(name), PostprocessConfig(minimum_volume_mm3=9), tuning_scans()[0].probability
    (tmp_path / "rule.json").write_text(json.dumps(MaskRule(rule, removal).record()))
    write_image(tmp_path / "maps" / "a.nii.gz", p, np.diag([*SPACING, 1.0]))
    cut_files(tmp_path / "maps", tmp_path / "rule.json", tmp_path / "masks")
    expected, _ = make_mask(Volume(p, np.diag([*SPACING, 1.0])), rule, removal, None)
    np.testing.assert_array_equal(read_mask(tmp_path / "masks" / "a.nii.gz").data, expected)
    at_once = evaluate_files(tmp_path / "masks", probability=tmp_path / "maps", threshold=tmp_path / "rule.json").table
    assert expected.any()
    assert at_once["voxel_f1"].tolist() == [1.0]


@every_rule
def test_a_mask_has_the_shape_of_its_map_and_is_boolean(name: str) -> None:
    probability = noise(7)
    before = probability.copy()
    mask = fitted(name).binarize(probability, SPACING)
    assert mask.shape == probability.shape
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(probability, before)


@every_rule
def test_a_voxel_that_is_lesion_stays_lesion_when_only_its_probability_rises(name: str) -> None:
    rule, probability = fitted(name), noise(8)
    mask = rule.binarize(probability, SPACING)
    assert mask.any()
    place = tuple(np.argwhere(mask)[0])
    probability[place] = 1.0
    assert rule.binarize(probability, SPACING)[place]


@every_rule
def test_no_voxel_below_the_threshold_of_its_scan_is_lesion(name: str) -> None:
    rule, probability = fitted(name), noise(9)
    mask, t = rule.binarize(probability, SPACING), rule.threshold_in(probability, SPACING)
    if mask.any():
        assert binarize(probability[mask], t).all()
        if rule.fixed_threshold is not None:
            assert not binarize(probability[~mask], t).any()


@every_rule
def test_an_empty_map_gives_an_empty_mask(name: str) -> None:
    rule, p = fitted(name), np.zeros((5, 6, 7), np.float32)
    assert not rule.binarize(p, SPACING).any()
    assert not rule.finds_lesions or not make_mask(Volume(p, np.eye(4)), rule, PostprocessConfig(), None)[0].any()


@every_rule
def test_a_rule_has_words_and_a_threshold_for_tables(name: str) -> None:
    rule = fitted(name)
    t = rule.threshold_in(noise(10), SPACING)
    assert 0 <= t <= 1 or np.isnan(t)
    assert rule.summary
    assert rule.describe()
    assert rule.fixed_threshold is None or 0 <= rule.fixed_threshold <= 1


@every_rule
def test_small_components_are_removed_whatever_the_rule(name: str) -> None:
    rule, probability = fitted(name), np.zeros((9, 10, 11), np.float32)
    probability[2:5, 2:5, 2:5] = probability[7, 7, 7] = 0.99
    volume = Volume(probability, np.diag([1.0, 1.0, 1.0, 1.0]))
    kept, _ = make_mask(volume, rule, PostprocessConfig(minimum_volume_mm3=5), None)
    assert not kept[7, 7, 7] or kept.all()


def test_unknown_rules_are_refused() -> None:
    with pytest.raises(ValidationError, match="Input should be"):
        load_rule({"rule": "of the future"})
