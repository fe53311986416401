from dataclasses import replace

from cordlesion.report.brief import Brief, write_brief
from cordlesion.report.numbers import compute_numbers
from cordlesion.report.results import StudyResults
from cordlesion.report.summaries import summarize_runs


def brief_of(results: StudyResults) -> Brief:
    return write_brief(results, summarize_runs(results), compute_numbers(results))


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


def test_one_run_has_nothing_to_be_compared_with(results: StudyResults) -> None:
    tables = {name: getattr(results, name) for name in ("thresholds", "evaluation", "sweep")}
    tables |= {name: getattr(results, name) for name in ("rules", "strata", "froc", "calibration", "reliability")}
    alone = {name: table[table["loss"] == "tversky"] for name, table in tables.items()}
    brief = brief_of(replace(results, **alone))
    assert brief.runner_up == ""
    assert [answer.question for answer in brief.answers] == ["Does tuning the threshold help?"]
