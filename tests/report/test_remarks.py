from dataclasses import replace

import pandas as pd
import pytest

from cordlesion.report.numbers import Numbers, compute_numbers
from cordlesion.report.remarks import calibration_remark, rules_remark
from cordlesion.study_folder.results import StudyResults


@pytest.fixture(scope="module")
def numbers(results: StudyResults) -> Numbers:
    return compute_numbers(results)


def test_the_remark_on_thresholds_sorts_losses_by_what_their_p_means(numbers: Numbers) -> None:
    made_up = numbers.calibration.assign(threshold=[0.1, 0.5, 0.9], share=[0.3, 0.48, 0.2], half_f1=[0.3, 0.3, 0.2])
    text = calibration_remark(replace(numbers, calibration=made_up))
    assert "Tversky (p = 0.90, lesion 0.20): there p overstates the chance of lesion, and t is set above it." in text
    assert "BCE (p = 0.10, lesion 0.30): there p understates the chance of lesion, and t is set below it." in text
    assert "Dice (p = 0.50, lesion 0.48): there p is about the chance of lesion." in text
    assert "thresholds go from 0.10 to 0.90" in text
    seeds = pd.concat(
        [made_up.assign(seed=0, share=made_up["share"] - 0.1), made_up.assign(seed=1, share=made_up["share"] + 0.1)]
    )
    assert calibration_remark(replace(numbers, calibration=seeds)) == text
    assert "from 0.20 to 0.48: the losses agree better on the chance of lesion" in text
    assert "cut at half of that F1 (Lipton et al. 2014), here 0.20 to 0.30" in text


def test_where_calibration_explains_nothing_that_is_said(numbers: Numbers) -> None:
    made_up = numbers.calibration.assign(threshold=[0.4, 0.45, 0.5], share=[0.1, 0.4, 0.9])
    assert "calibration does not explain" in calibration_remark(replace(numbers, calibration=made_up))
    none = replace(numbers, calibration=numbers.calibration.iloc[:0])
    assert calibration_remark(none) == ""


def test_the_remark_on_rules_tells_range_and_leaders(results: StudyResults, numbers: Numbers) -> None:
    best = results.best.loss
    other = "bce" if best != "bce" else "dice"
    rows = [("study", 0.5, 0.4), ("anima", 0.6, 0.7), ("iou50", 0.2, 0.2)]
    table = pd.DataFrame(
        [
            {"rule": rule, "loss": loss, "median": m}
            for rule, *ms in rows
            for loss, m in zip((best, other), ms, strict=True)
        ]
    )
    text = rules_remark(results, replace(numbers, rules=table))
    assert "a median L-F1 of 0.20 by the rule iou50 and of 0.60 by the rule anima." in text
    names = {"bce": "BCE", "dice": "Dice", "tversky": "Tversky"}
    assert f"of {names[best]} by study; of {names[other]} by anima; of no loss alone by iou50." in text
    same = table.assign(median=0.3)
    assert rules_remark(results, replace(numbers, rules=same)).endswith(
        "a median L-F1 of 0.30 by every rule. The highest median is that of no loss alone by every rule."
    )
