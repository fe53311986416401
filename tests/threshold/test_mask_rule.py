"""The file of a rule: whatever it holds, it is a rule or gets a sentence; what is written is what is read."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordlesion.config import PostprocessConfig
from cordlesion.errors import CordlesionError
from cordlesion.threshold import GlobalThreshold
from cordlesion.threshold.mask_rule import (
    MaskRule,
    is_other_rule,
    read_mask_rule,
    read_tuning_scans,
    rule_beside,
    shared_scans,
    write_rule_beside,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = ("threshold", "threshold_rule", "postprocess", "scans", "objective", "interval")
RECORDS = st.dictionaries(st.sampled_from(KEYS), VALUES)


@given(RECORDS)
def test_any_file_is_a_rule_or_gets_a_sentence(tmp_path_factory, record):
    path = tmp_path_factory.mktemp("rule") / "thresholds.json"
    path.write_text(json.dumps(record))
    sentence = ""
    try:
        rule = read_mask_rule(path)
    except CordlesionError as error:
        sentence = str(error)
    assert sentence.startswith(f"{path}: ") if sentence else rule.rule.finds_lesions


@given(st.floats(0.001, 1), st.floats(0, 1e9), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_a_rule_survives_its_file(tmp_path_factory, value, volume, scans):
    folder = tmp_path_factory.mktemp("masks")
    rule = GlobalThreshold(value=value, objective="median_voxel_f1", interval=(0.1, 0.9))
    written = MaskRule(rule, PostprocessConfig(minimum_volume_mm3=volume), scans)
    write_rule_beside(folder, written)
    path = rule_beside(folder)
    assert path == rule_beside(folder / "mask.nii.gz") == folder / "threshold_rule.json"
    read = read_mask_rule(path)
    assert (read.rule, read.removal, read.scans) == (written.rule, written.removal, scans)
    assert read_tuning_scans(path) == scans
    assert not is_other_rule(path, written)
    others = replace(written, scans=scans | {"another": "P9"}), replace(written, rule=GlobalThreshold.given(value / 2))
    assert all(is_other_rule(path, other) for other in others)


@pytest.mark.parametrize(
    ("tuned", "measured", "shared"),
    [
        ({"a": "P1"}, {"a": "P1", "b": "P2"}, ["a"]),
        ({"a": "P1"}, {"b": "P1", "c": "sub-P1", "d": "P11"}, ["b", "c"]),
        ({"a": "sub-1"}, {"a": "another"}, ["a"]),
        ({}, {"a": "P1"}, []),
    ],
)
def test_scans_of_tuned_subjects_are_found(tuned, measured, shared):
    assert shared_scans(tuned, measured) == shared


def test_a_rule_with_a_cord_margin_needs_a_study(tmp_path):
    rule = MaskRule(GlobalThreshold.given(0.3), PostprocessConfig(cord_margin_mm=2))
    write_rule_beside(tmp_path, rule)
    assert read_tuning_scans(rule_beside(tmp_path)) == {}
    with pytest.raises(CordlesionError, match="restricts lesions to the cord, and this command has no cord masks"):
        read_mask_rule(rule_beside(tmp_path))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"postprocess": None}, "postprocess: is missing"),
        ({"postprocess": {}}, "minimum_volume_mm3: is missing"),
        ({"threshold": 0.5}, "threshold: is 0.5, but `threshold_rule.value` is 0.3"),
        ({"threshold_rule": {**GlobalThreshold.given(0.3).model_dump(mode="json"), "value": True}}, "value: a number"),
    ],
)
def test_a_file_that_was_changed_in_part_is_refused(tmp_path, change, fault):
    rule = MaskRule(GlobalThreshold.given(0.3), PostprocessConfig(minimum_volume_mm3=10))
    path = tmp_path / "thresholds.json"
    path.write_text(json.dumps({"threshold": 0.3, **rule.record()}))
    assert read_mask_rule(path).removal.minimum_volume_mm3 == 10
    path.write_text(json.dumps({"threshold": 0.3, **rule.record(), **change}))
    with pytest.raises(CordlesionError, match=fault):
        read_mask_rule(path)
