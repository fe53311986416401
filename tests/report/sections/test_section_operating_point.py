import pytest

from cordlesion.io.formats import MISSING
from cordlesion.report.sections.answers.operating_point import (
    operating_curve,
    operating_point_table,
    summarize_operating_points,
)
from cordlesion.study_folder.results import StudyResults


def test_lesions_are_counted_over_scans_and_false_ones_per_scan(results: StudyResults) -> None:
    table = summarize_operating_points(results)
    assert len(table) == 2 * len(results.runs)
    for row in table.itertuples():
        found = lesions = false = clean = n = 0
        for scan in results.evaluation.itertuples():
            if (scan.loss, scan.set) == (row.loss, "test") and scan.threshold == row.threshold:
                found += scan.n_detected_lesions
                lesions += scan.n_reference_lesions
                false += scan.n_predicted_lesions - scan.n_true_predicted_lesions
                clean += scan.n_reference_lesions == 0 and scan.n_predicted_lesions == 0
                n += 1
        assert (row.n_found, row.n_lesions, row.n_clean, row.n_scans) == (found, lesions, clean, n)
        assert row.found == pytest.approx(found / lesions)
        assert row.false == pytest.approx(false / n)
        assert row.found_low <= row.found <= row.found_high
        assert row.false_low <= row.false < row.false_high


def test_the_curve_meets_the_evaluation_at_both_thresholds(results: StudyResults) -> None:
    table = summarize_operating_points(results)
    for row in table.itertuples():
        run = next(run for run in results.runs if run.loss == row.loss)
        curve = operating_curve(results, run)
        assert 0 not in curve.index
        assert curve.loc[row.threshold, "found"] == pytest.approx(row.found)
        assert curve.loc[row.threshold, "false"] == pytest.approx(row.false)


def test_every_model_has_a_row_for_each_threshold(results: StudyResults) -> None:
    points = summarize_operating_points(results)
    table = operating_point_table(results, points)
    assert table.columns[table.kind] == "Cut"
    for group, run in zip(table.groups, results.runs, strict=True):
        tuned, usual = group.rows
        assert (tuned[0].main, usual[0].main) == ("tuned", "usual")
        assert (tuned[1].main, usual[1].main) == (f"{results.tuned[run]:.2f}", "0.50")
        rows = points[points["loss"] == run.loss].set_index("tuned")
        for row, is_tuned in ((tuned, True), (usual, False)):
            assert row[2].main == f"{rows.loc[is_tuned, 'found']:.2f}"
            assert row[2].detail == f"({rows.loc[is_tuned, 'n_found']}/{rows.loc[is_tuned, 'n_lesions']})"
            assert row[3].main == f"{rows.loc[is_tuned, 'false']:.2f}"
            assert row[4].main == f"{rows.loc[is_tuned, 'n_clean']}/6"


def test_without_lesion_free_scans_nothing_is_said_of_them(results: StudyResults) -> None:
    table = operating_point_table(results, summarize_operating_points(results).assign(n_free=0))
    assert not [column for column in table.columns if "without lesions" in column]
    assert {len(row) for group in table.groups for row in group.rows} == {4}


def test_masks_are_as_given(results: StudyResults) -> None:
    points = summarize_operating_points(results)
    alone = points[points["tuned"]].assign(threshold=float("nan"))
    for group in operating_point_table(results, alone).groups:
        ((cut, t, *_),) = group.rows
        assert (cut.main, t.main) == ("as given", MISSING)
