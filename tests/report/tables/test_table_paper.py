import re
from dataclasses import replace

import pandas as pd
import pytest

from cordlesion.config import builtin_study, read_study
from cordlesion.report.results import StudyResults
from cordlesion.report.summaries import SCAN_METRICS, summarize_runs
from cordlesion.report.tables.paper import PRINTED, paper_table, printed_table
from cordlesion.report.tables.scores import scores_table

LOSSES = ["bce", "combo", "dice", "focal_tversky", "generalized_dice", "log_cosh_dice", "sct", "tversky"]


def test_the_transcription_is_that_of_the_paper(shared) -> None:
    """Every number of the paper's text, in its order, against every number of our file."""
    text = shared("study", "paper_isbi2023.txt").read_text(encoding="utf-8")
    lines = text[text.index("**Table 2**") :].splitlines()
    rows = [line for line in lines if line.count("\t") == 9 and not re.search("Optimal|L-F1", line)]
    printed = [re.findall(r"\d+(?:\.\d+)?", row) for row in rows]
    assert len(printed) == 16
    ours = [re.findall(r"\d+(?:\.\d+)?", line) for line in PRINTED.read_text(encoding="utf-8").splitlines()[2:]]
    assert ours == printed


def test_losses_and_sets_are_complete() -> None:
    table = printed_table()
    assert list(table["loss"]) == [loss for loss in LOSSES for _ in range(2)]
    assert list(table["set"]) == ["threshold", "test"] * 8
    assert table.notna().all().all()
    numbers = table.drop(columns=["loss", "set"])
    assert ((numbers >= 0) & (numbers <= 1)).all().all()
    assert (table.groupby("loss")[["threshold", "subject_specificity"]].nunique() == 1).all().all()


def test_the_studys_losses_are_those_of_the_paper() -> None:
    study = read_study(builtin_study("isbi2023"))
    assert sorted({run.loss.name for run in study.runs}) == sorted(set(LOSSES) - {"sct"})


@pytest.mark.parametrize("level", ["lesion", "voxel"])
def test_mean_f1_is_at_most_the_mean_of_sensitivity_and_precision(level: str) -> None:
    """As the harmonic mean of every scan is: a slip of the pen would show."""
    table = printed_table()
    sensitivity, precision, f1 = (table[f"{level}_{name}_mean"] for name in ("sensitivity", "precision", "f1"))
    assert (f1 <= (sensitivity + precision) / 2 + 0.01).all()


def test_rows_of_both_studies_stand_together(results: StudyResults) -> None:
    summary = summarize_runs(results)
    table = paper_table(results, summary)
    assert [group.name for group in table.groups] == ["BCE", "Dice", "SCT", "Tversky"]
    assert table.note.endswith("In the paper only: Combo, Focal Tversky, Generalized Dice, Log-Cosh Dice.")
    assert "The data are not the same" in table.note
    mine = {group.name: group.rows for group in scores_table(results, summary, tuned=True).groups}
    for group in table.groups:
        assert [(row[0].main, row[1].main) for row in group.rows] == [
            *(("threshold", "paper"), ("threshold", "this study")),
            *(("test", "paper"), ("test", "this study")),
        ]
        for row, expected in zip(group.rows[1::2], mine[group.name], strict=True):
            assert [(c.main, c.detail) for c in row[2:]] == [(c.main, c.detail) for c in expected[1:]]
            assert not any(c.bold or c.best or c.mark for c in row)


def test_printed_rows(results: StudyResults) -> None:
    table = paper_table(results, summarize_runs(results))
    threshold, _, test, _ = ([c.text for c in row] for row in table.groups[0].rows)
    assert threshold[2:5] == ["0.15", "14", "0.37 (0.41 ± 0.37)"]
    assert threshold[-2:] == ["0.71", "–"]
    assert test[3:5] == ["26 + 46 without", "0.27 (0.33 ± 0.36)"]
    assert test[-3:] == ["0.33 (0.29 ± 0.24)", "0.58", "0.24"]


def test_each_seed_has_its_row_and_other_losses_have_none(results: StudyResults) -> None:
    tables = {}
    for name in ("thresholds", "evaluation", "sweep"):
        table = getattr(results, name)
        dice = table[table["loss"] == "dice"]
        tables[name] = pd.concat([dice, dice.assign(seed=1), table[table["loss"] == "bce"].assign(loss="mine")])
    changed = replace(results, **tables)
    (group,) = paper_table(changed, summarize_runs(changed)).groups
    assert [row[1].main for row in group.rows] == ["paper", "this study, seed 0", "this study, seed 1"] * 2


def test_parts_of_a_cell() -> None:
    row = printed_table().query("loss == 'tversky' and set == 'threshold'").iloc[0]
    assert [row[f"lesion_f1_{part}"] for part in ("median", "mean", "std")] == [0.52, 0.46, 0.24]
    assert row["subject_sensitivity"] == 0.86
    assert len([name for name in row.index if name.startswith(SCAN_METRICS)]) == 18
