"""Lesion counts and ratios of the challenge's own tool, and of panoptica, on real and synthetic masks."""

import dataclasses
import json
import math

import nibabel as nib
import numpy as np
import pytest

from cordlesion.metrics import RULES, LesionRule, evaluate

CASES = [f"{n:02}" for n in (1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 19, 20, 21, 22, 24, 26, 27, 29)]


@pytest.fixture(scope="module")
def goldens(shared):
    folder = shared("goldens", "lesions")
    return folder, json.loads((folder / "expected.json").read_text())


def load(folder, case):
    return [np.asarray(nib.load(folder / f"case{case}_{kind}.nii.gz").dataobj) for kind in ("gt", "pred")]


def close(got, expected):
    return math.isnan(got) if expected is None else math.isclose(got, expected, rel_tol=1e-12, abs_tol=1e-12)


def test_every_golden_is_tested(goldens):
    folder, _ = goldens
    assert sorted(path.name[4:6] for path in folder.glob("case*_gt.nii.gz")) == CASES


@pytest.mark.parametrize("case", CASES)
def test_lesion_counts_agree(goldens, case):
    folder, expected = goldens
    masks, golden = load(folder, case), expected["cases"][f"case{case}"]
    for name, values in expected["sets"].items():
        rule = LesionRule(values["alpha"], values["beta"], values["gamma"], values["min_volume_mm3"])
        m = evaluate(*masks, golden["spacing"], rule)
        tool = golden["anima"]["lesion"][name]
        if "reported" in tool:
            assert_empty_reference(m, tool["reported"], rule)
            continue
        counts = (m.n_reference_lesions, m.n_detected_lesions, m.n_predicted_lesions, m.n_true_predicted_lesions)
        assert counts == (tool["n_gt"], tool["n_gt_detected"], tool["n_pred"], tool["n_pred_true"]), name
        if tool["n_gt"]:
            assert close(m.lesion_sensitivity, tool["sensitivity"]), name
            assert close(m.lesion_precision, tool["ppv"]), name
            assert close(m.lesion_f1, tool["f1"]), name
        else:  # where the tool mixes NaN and 0, all three are undefined here
            assert math.isnan(m.lesion_sensitivity + m.lesion_precision)
            assert math.isnan(m.lesion_f1)


def assert_empty_reference(m, reported, rule):
    assert math.isnan(m.voxel_f1)
    assert math.isnan(m.lesion_f1)
    if rule.min_volume_mm3 == 3:  # the tool's minimum volume in this case, whatever was asked for
        assert m.n_predicted_lesions == reported["NbTestedLesions"]


@pytest.mark.parametrize("case", CASES)
def test_voxel_scores_agree(goldens, case):
    folder, expected = goldens
    golden = expected["cases"][f"case{case}"]
    m = evaluate(*load(folder, case), golden["spacing"])
    if golden["anima"]["voxel"] is None:
        assert m.reference_volume_mm3 == 0
        assert m.predicted_volume_mm3 == golden["pred_voxels"]
        return
    tool = golden["anima"]["voxel_full_precision"]
    assert close(m.voxel_f1, tool["dice"])
    assert close(m.voxel_sensitivity, tool["sensitivity"])
    assert close(m.voxel_precision, tool["ppv"] if golden["pred_voxels"] else 0.0)


@pytest.mark.parametrize("connectivity", [6, 26])
@pytest.mark.parametrize("case", CASES)
def test_matches_of_iou_50_agree_with_panoptica(case, connectivity, goldens):
    folder, expected = goldens
    golden = expected["cases"][f"case{case}"]
    tool = golden["panoptica"]["6conn" if connectivity == 6 else "26conn_default"]
    m = evaluate(*load(folder, case), golden["spacing"], dataclasses.replace(RULES["iou50"], connectivity=connectivity))
    assert m.n_detected_lesions == m.n_true_predicted_lesions == tool["tp"]
    assert m.n_predicted_lesions - m.n_true_predicted_lesions == tool["fp"]
    assert m.n_reference_lesions - m.n_detected_lesions == tool["fn"]
    if m.n_reference_lesions:
        assert close(m.lesion_f1, tool["rq"])
