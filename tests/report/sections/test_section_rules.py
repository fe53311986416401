import pandas as pd

from cordlesion.report.sections.rules import rules_remark
from cordlesion.study_folder.results import StudyResults


def test_the_remark_on_rules_tells_range_and_leaders(results: StudyResults) -> None:
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
    text = rules_remark(results, table)
    assert "a median L-F1 of 0.20 by the rule iou50 and of 0.60 by the rule anima." in text
    names = {"bce": "BCE", "dice": "Dice", "tversky": "Tversky"}
    assert f"of {names[best]} by study; of {names[other]} by anima; of no loss alone by iou50." in text
    same = table.assign(median=0.3)
    assert rules_remark(results, same).endswith(
        "a median L-F1 of 0.30 by every rule. The highest median is that of no loss alone by every rule."
    )
