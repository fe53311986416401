"""What every threshold rule does, whichever there are."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from cordlesion.config import PostprocessConfig
from cordlesion.io.volume import Volume, read_mask
from cordlesion.maps.cut import cut_files
from cordlesion.maps.evaluate import evaluate_files
from cordlesion.metrics import sweep
from cordlesion.model.bundle import ModelCard, read_card, save_bundle
from cordlesion.threshold import THRESHOLD_RULES, THRESHOLDS
from cordlesion.threshold.mask_rule import MaskRule
from cordlesion.threshold.postprocess import make_mask
from cordlesion.threshold.rules import ThresholdRule, load_rule
from support.images import write_image
from support.models import untrained_bundle

SPACING = (1.0, 0.8, 2.5)
every_rule = pytest.mark.parametrize("name", THRESHOLD_RULES)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.05, 0.95, (9, 10, 11)).astype(np.float32)


def tuning_sweep() -> pd.DataFrame:
    """The sweep of four maps that are high where lesions are."""
    tables = []
    for n in range(4):
        probability = 0.5 * noise(n)
        lesion = np.zeros(probability.shape, bool)
        lesion[2 : 4 + n, 3:6, 4:8] = True
        measured = sweep(lesion, np.where(lesion, probability + 0.4, probability), SPACING, THRESHOLDS)
        names = {"scan_id": f"sub-{n}", "subject": f"sub-{n}", "threshold": list(THRESHOLDS)}
        tables.append(pd.DataFrame(names | {key: [vars(m)[key] for m in measured] for key in vars(measured[0])}))
    return pd.concat(tables, ignore_index=True)


def fitted(name: str) -> ThresholdRule:
    return THRESHOLD_RULES[name].fit(tuning_sweep(), "median_voxel_f1")


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
    rule, removal = fitted(name), PostprocessConfig(minimum_volume_mm3=9)
    (tmp_path / "rule.json").write_text(json.dumps(MaskRule(rule, removal).record()))
    write_image(tmp_path / "maps" / "a.nii.gz", noise(6), np.diag([*SPACING, 1.0]))
    cut_files(tmp_path / "maps", tmp_path / "rule.json", tmp_path / "masks")
    expected, _ = make_mask(Volume(noise(6), np.diag([*SPACING, 1.0])), rule, removal, None)
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
def test_the_lesion_voxels_are_those_with_the_highest_probabilities(name: str) -> None:
    probability = noise(9)
    mask = fitted(name).binarize(probability, SPACING)
    if mask.any() and not mask.all():
        assert probability[mask].min() >= probability[~mask].max()


@every_rule
def test_a_rule_has_words_and_a_threshold_for_tables(name: str) -> None:
    rule = fitted(name)
    assert 0 <= rule.threshold_in(noise(10), SPACING) <= 1
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
