import pytest

from cordlesion.report.changes import summarize_changes
from cordlesion.report.operation import operation_curve, summarize_operation
from cordlesion.study_folder.results import StudyResults


def test_lesions_are_counted_over_scans_and_false_ones_per_scan(results: StudyResults) -> None:
    table = summarize_operation(results)
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
    table = summarize_operation(results)
    for row in table.itertuples():
        run = next(run for run in results.runs if run.loss == row.loss)
        curve = operation_curve(results, run)
        assert 0 not in curve.index
        assert curve.loc[row.threshold, "found"] == pytest.approx(row.found)
        assert curve.loc[row.threshold, "false"] == pytest.approx(row.false)


def test_changes_are_those_of_the_same_scans(results: StudyResults) -> None:
    table, operation = summarize_changes(results), summarize_operation(results)
    moved = [run for run, t in results.tuned.items() if t != 0.5]
    assert len(table) == 4 * len(moved)
    for (loss, _), rows in table.groupby(["loss", "seed"], dropna=False):
        half, tuned = (operation[(operation["loss"] == loss) & (operation["tuned"] == kind)].iloc[0] for kind in (0, 1))
        changes = rows.set_index("measure")
        for name in ("found", "false"):
            assert changes["difference"][name] == pytest.approx(tuned[name] - half[name])
        free = (tuned["n_clean"] - half["n_clean"]) / tuned["n_free"]
        assert changes["difference"]["subject_specificity"] == pytest.approx(free)
        assert (changes["low"] <= changes["difference"]).all()
        assert (changes["difference"] <= changes["high"]).all()
        assert changes["n_scans"]["false"] == tuned["n_scans"]
