from dataclasses import replace

import pandas as pd
import pytest

from cordlesion.report.brief import Brief, write_brief
from cordlesion.report.results import StudyResults
from cordlesion.report.summaries import summarize_runs


def brief_of(results: StudyResults) -> Brief:
    return write_brief(results, summarize_runs(results))


def test_brief_tells_the_winner_and_its_test_results(results: StudyResults) -> None:
    brief = brief_of(results)
    assert brief.best == results.label(results.best)
    assert brief.threshold == f"{results.tuned[results.best]:.2f}"
    assert (brief.n_threshold, brief.n_test, brief.n_free) == (7, 9, 6)
    assert brief.objective == "median voxel F1"
    assert results.label(results.ranked[1]) in brief.runner_up
    scans = results.evaluated(results.best, "test", results.tuned[results.best])
    voxel, lesion, sensitivity, specificity = brief.tiles
    assert voxel.value == f"{scans['voxel_f1'].median():.2f}"
    assert lesion.value == f"{scans['lesion_f1'].median():.2f}"
    bearing = scans[scans["n_reference_lesions"] > 0]
    assert sensitivity.value == f"{(bearing['n_detected_lesions'] > 0).mean():.2f}"
    free = scans[scans["n_reference_lesions"] == 0]
    assert specificity.value == f"{(free['n_predicted_lesions'] == 0).mean():.2f}"


def test_tuning_that_moved_nothing_is_said(results: StudyResults) -> None:
    thresholds = results.thresholds.copy()
    thresholds["threshold"] = 0.5
    brief = brief_of(replace(results, thresholds=thresholds))
    assert brief.change.endswith("so tuning changed nothing.")


def test_tuning_that_moved_the_best_run(results: StudyResults) -> None:
    thresholds = results.thresholds.copy()
    thresholds.loc[thresholds["loss"] == "bce", "score"] = 1.0
    changed = replace(results, thresholds=thresholds)
    run = changed.best
    medians = [changed.evaluated(run, "test", t)["voxel_f1"].median() for t in (0.5, changed.tuned[run])]
    text = brief_of(changed).change
    assert f"from {medians[0]:.2f} at t = 0.5 to {medians[1]:.2f}" in text


def test_one_run_has_nothing_to_be_compared_with(results: StudyResults) -> None:
    tables = {name: getattr(results, name) for name in ("thresholds", "evaluation", "sweep")}
    alone = {name: table[table["loss"] == "tversky"] for name, table in tables.items()}
    brief = brief_of(replace(results, **alone))
    assert brief.runner_up == ""
    assert brief.versus == ""


@pytest.mark.parametrize("better", [True, False])
def test_significant_differences_are_counted(results: StudyResults, better: bool) -> None:
    evaluation = results.evaluation.copy()
    others = (evaluation["loss"] != results.best.loss) & (evaluation["set"] == "test")
    evaluation.loc[others & evaluation["voxel_f1"].notna(), "voxel_f1"] = 0.0 if better else 1.0
    text = brief_of(replace(results, evaluation=evaluation)).versus
    assert (
        "better than 3 of 3 other runs" in text if better else "better than 0 of 3 other runs and worse than 3" in text
    )


def test_the_spread_over_seeds_is_told(results: StudyResults) -> None:
    assert brief_of(results).seeds == ""
    tables = {}
    for name in ("thresholds", "evaluation", "sweep"):
        table = getattr(results, name)
        tables[name] = pd.concat([table, table[table["loss"] == results.best.loss].assign(seed=1)], ignore_index=True)
    again = tables["evaluation"]["seed"].eq(1).fillna(False).astype(bool)
    tables["evaluation"].loc[again, "voxel_f1"] *= 0.5
    changed = replace(results, **tables)
    median = results.evaluated(results.best, "test", results.tuned[results.best])["voxel_f1"].median()
    assert f"goes from {median / 2:.2f} to {median:.2f}" in brief_of(changed).seeds


def test_a_gain_that_did_not_carry_over_is_said_and_none_is_made_up(results: StudyResults) -> None:
    thresholds = results.thresholds.copy()
    thresholds.loc[thresholds["loss"] == "bce", "score"] = 1.0
    evaluation = results.evaluation.copy()
    evaluation.loc[(evaluation["set"] == "test") & evaluation["voxel_f1"].notna(), "voxel_f1"] = 0.001
    text = brief_of(replace(results, thresholds=thresholds, evaluation=evaluation)).change
    assert text.endswith("did not carry over.")
    assert "mattered most" not in text
