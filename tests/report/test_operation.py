import math

import numpy as np
import pandas as pd
import pytest

from cordlesion.report.operation import mean_interval, operation_curve, summarize_operation
from cordlesion.report.results import StudyResults


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
        assert row.false == 0 or row.false_low <= row.false <= row.false_high


def test_the_curve_meets_the_evaluation_at_both_thresholds(results: StudyResults) -> None:
    table = summarize_operation(results)
    for row in table.itertuples():
        run = next(run for run in results.runs if run.loss == row.loss)
        curve = operation_curve(results, run)
        assert 0 not in curve.index
        assert curve.loc[row.threshold, "found"] == pytest.approx(row.found)
        assert curve.loc[row.threshold, "false"] == pytest.approx(row.false)


def test_the_interval_of_a_mean_resamples_subjects() -> None:
    values, subjects = pd.Series([0, 0, 0, 0, 6, 6, 6, 6]), pd.Series(list("abcdeeee"))
    low, high = mean_interval(values, subjects)
    assert low == 0 < mean_interval(values, pd.Series(list("abcdefgh")))[0]
    rng = np.random.default_rng(1)
    groups = {name: values[subjects == name].tolist() for name in "abcde"}
    choices = [[groups[name] for name in rng.choice(list("abcde"), 5)] for _ in range(4000)]
    drawn = [np.mean(np.concatenate(choice)) for choice in choices]
    np.testing.assert_allclose((low, high), np.quantile(drawn, [0.025, 0.975]), atol=0.4)


@pytest.mark.parametrize(("values", "subjects"), [([1, 2, 3, 4], "abcd"), ([0] * 8, "abcdefgh")])
def test_few_subjects_or_equal_values_have_no_interval(values: list[int], subjects: str) -> None:
    assert all(math.isnan(end) for end in mean_interval(pd.Series(values), pd.Series(list(subjects))))
