from dataclasses import replace

import pandas as pd
import pytest

from cordlesion.report.sections.answers.questions import ranking_answer
from cordlesion.report.sections.ranking.comparisons import compare_pairs, summarize_seeds
from cordlesion.report.sections.ranking.ranks import summarize_ranks
from cordlesion.report.sections.ranking.tables import pairs_table
from cordlesion.study_folder.primary import Primary
from cordlesion.study_folder.results import StudyResults


def declaring(results: StudyResults, *, in_time: bool) -> StudyResults:
    declared = replace(results)
    # The property is read once and then kept.
    declared.__dict__["primary"] = Primary("lesion_f1", "bce", "dice", in_time)
    return declared


def roles(pairs: pd.DataFrame) -> list[tuple[str, str, str]]:
    primary = pairs[pairs["role"] == "primary"]
    return list(zip(primary["metric"], primary["first"], primary["second"], strict=True))


def test_comparisons_with_the_recommended_loss_are_primary_in_voxel_f1(results: StudyResults) -> None:
    pairs = compare_pairs(results)
    best = results.best.loss
    assert {metric for metric, *_ in roles(pairs)} == {"voxel_f1"}
    assert all(best in (first, second) for _, first, second in roles(pairs))
    assert len(roles(pairs)) == 3
    assert set(pairs["recommended"]) == {best}


@pytest.mark.parametrize("in_time", [True, False])
def test_a_declared_comparison_is_primary_if_it_was_declared_in_time(results: StudyResults, in_time: bool) -> None:
    declared = declaring(results, in_time=in_time)
    pairs = compare_pairs(declared)
    assert (roles(pairs) == [("lesion_f1", "bce", "dice")]) == in_time
    note = pairs_table(declared, pairs).lead
    assert ("Primary: Dice against BCE in L-F1, as declared" in note) == in_time
    assert ("declared after the test set was opened" in note) == (not in_time)
    text = ranking_answer(pairs, summarize_seeds(results), summarize_ranks(results), several=False)
    assert ("L-F1, of the declared comparison: 1 " in text or "L-F1, of the declared comparison: D" in text) == in_time
