"""Presets and limits of lesion rules."""

import numpy as np
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.metrics import RULES, LesionRule, evaluate, evaluate_rules, resolve_rule
from cordlesion.metrics.rules import row_name


def blocks(*spans, n=40):
    mask = np.zeros((1, 1, n), dtype=bool)
    for start, stop in spans:
        mask[0, 0, start:stop] = True
    return mask


@pytest.mark.parametrize(
    "values",
    [
        {"min_overlap": -0.1},
        {"min_overlap": 1.0},
        {"max_outside": 1.1},
        {"gamma": 0.0},
        {"gamma": 1.01},
        {"min_volume_mm3": -1.0},
        {"min_volume_mm3": float("inf")},
        {"min_volume_mm3": 1e308},
        {"min_overlap": float("nan")},
        {"connectivity": 8},
        {"min_overlap_voxels": 0},
        {"min_iou": -0.1},
        {"min_iou": 1.1},
    ],
)
def test_rule_refuses_values_out_of_range(values):
    (name,) = values
    with pytest.raises(CordlesionError, match=name):
        LesionRule(**values)


def test_presets():
    assert resolve_rule("study") == LesionRule(0.25, 0.70, 0.65, 3.0, 6)
    assert resolve_rule("anima") == LesionRule(0.10, 0.70, 0.65, 3.0, 6)
    own = LesionRule(connectivity=26)
    assert resolve_rule(own) is own
    with pytest.raises(CordlesionError, match=r"'anime'.*" + ", ".join(RULES)):
        resolve_rule("anime")


@pytest.mark.parametrize("name", ["hussein2023", "isbi2023", "paper", "study"])
def test_the_paper_has_four_names(name):
    assert resolve_rule(name) is RULES["study"]
    assert row_name(name, RULES) == "study"
    assert row_name(name, ("paper", "fine")) == "paper"
    assert row_name(name, ("demo", "isbi2023")) == "isbi2023"
    assert row_name(name, ("fine",)) == name


def test_other_names_stay():
    assert row_name("fine", ("paper", "fine")) == "fine"
    assert row_name("nonsense", RULES) == "nonsense"


LESION = blocks((1, 11))  # 10 voxels
PRESETS = ("study", "anima", "ivadomed", "multi_spine", "any_overlap", "iou50")


@pytest.mark.parametrize(
    ("prediction", "found_by"),
    [
        (LESION, {"study", "anima", "ivadomed", "multi_spine", "any_overlap", "iou50"}),
        (blocks((1, 6)), {"study", "anima", "ivadomed", "multi_spine", "any_overlap", "iou50"}),  # IoU exactly 0.5
        (blocks((1, 5)), {"study", "anima", "ivadomed", "multi_spine", "any_overlap"}),
        (blocks((8, 17)), {"study", "anima", "ivadomed", "any_overlap"}),  # 3 common voxels of 16
        (blocks((9, 13)), {"anima", "any_overlap"}),  # 2 common voxels
        (blocks((10, 14)), {"any_overlap"}),  # 1 common voxel
        (blocks((10, 12)), set()),  # too small for any_overlap, too little for the others
        (blocks((2, 40)), {"ivadomed", "multi_spine", "any_overlap"}),  # 29 / 38 outside
    ],
)
def test_what_the_presets_find(prediction, found_by):
    metrics = evaluate_rules(LESION, prediction, (1, 1, 1), {name: RULES[name] for name in PRESETS})
    assert {name for name, m in metrics.items() if m.n_detected_lesions} == found_by


@pytest.mark.parametrize(
    ("rule", "n"), [("study", 3), ("anima", 3), ("any_overlap", 3), ("ivadomed", 3), ("multi_spine", 2), ("iou50", 2)]
)
def test_what_the_presets_call_a_lesion(rule, n):
    mask = np.zeros((8, 8, 12), dtype=bool)
    mask[0, 0, :4] = mask[1, 1, 4:8] = mask[2, 1, 8:12] = True  # the first two touch by a corner, the others by an edge
    mask[6, 6, 10] = True  # one voxel
    assert evaluate(mask, mask, (1, 1, 1), rule).n_reference_lesions == n
