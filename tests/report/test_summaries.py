import pandas as pd
import pytest
from scipy import stats

from cordlesion.report.summaries import (
    SCAN_METRICS,
    SUBJECT_METRICS,
    summarize_lesion_free,
    summarize_runs,
)
from cordlesion.study_folder.results import Run, StudyResults, of_run


@pytest.fixture(scope="session")
def summary(results: StudyResults) -> pd.DataFrame:
    return summarize_runs(results)


def scans_of(results: StudyResults, run: Run, set_name: str, threshold: float) -> pd.DataFrame:
    table = results.evaluation
    seed = table["seed"].isna() if run.seed is None else table["seed"] == run.seed
    rows = table[(table["loss"] == run.loss) & seed & (table["set"] == set_name)]
    return rows[rows["threshold"] == threshold].set_index("scan_id").sort_index()


def test_medians_means_and_deviations(results: StudyResults, summary: pd.DataFrame) -> None:
    assert len(summary) == 4 * 2 * 2 * 8
    for run in results.runs:
        for tuned, threshold in ((False, 0.5), (True, results.tuned[run])):
            for set_name in ("threshold", "test"):
                scans = scans_of(results, run, set_name, threshold)
                for metric in SCAN_METRICS:
                    (row,) = of_run(summary, run, set=set_name, tuned=tuned, metric=metric).to_dict("records")
                    values = scans[metric].dropna()
                    assert row["n"] == len(values) == (scans["n_reference_lesions"] > 0).sum()
                    assert row["value"] == pytest.approx(values.median())
                    assert row["mean"] == pytest.approx(values.mean())
                    assert row["std"] == pytest.approx(values.std())
                    assert row["low"] <= row["value"] <= row["high"]


def test_subject_level_shares(results: StudyResults, summary: pd.DataFrame) -> None:
    for run in results.runs:
        scans = scans_of(results, run, "test", 0.5)
        bearing, free = scans[scans["reference_volume_mm3"] > 0], scans[scans["reference_volume_mm3"] == 0]
        expected = ((bearing["n_detected_lesions"] > 0), (free["n_predicted_lesions"] == 0))
        for metric, good in zip(SUBJECT_METRICS, expected, strict=True):
            (row,) = of_run(summary, run, set="test", tuned=False, metric=metric).to_dict("records")
            assert (row["count"], row["n"]) == (good.sum(), len(good))
            assert row["value"] == pytest.approx(good.mean())
            exact = stats.binomtest(int(good.sum()), len(good)).proportion_ci()
            assert (row["low"], row["high"]) == pytest.approx((exact.low, exact.high))


def test_specificity_is_undefined_without_lesion_free_scans(summary: pd.DataFrame) -> None:
    rows = summary[(summary["set"] == "threshold") & (summary["metric"] == "subject_specificity")]
    assert rows["value"].isna().all()
    assert (rows["n"] == 0).all()


def test_p_values_compare_the_tuned_threshold_with_a_half(results: StudyResults, summary: pd.DataFrame) -> None:
    tested = summary[summary["p_value"].notna()]
    assert set(tested["metric"]) == set(SCAN_METRICS)
    assert tested["tuned"].all()
    moved = [run for run in results.runs if results.tuned[run] != 0.5]
    assert len(tested) == len(moved) * 2 * 6
    for run in moved:
        default, tuned = (scans_of(results, run, "test", t) for t in (0.5, results.tuned[run]))
        difference = (tuned["voxel_f1"] - default["voxel_f1"]).dropna()
        expected = stats.wilcoxon(difference[difference != 0], method="exact").pvalue
        (row,) = of_run(summary, run, set="test", tuned=True, metric="voxel_f1").to_dict("records")
        assert row["p_value"] == pytest.approx(expected, abs=1e-6)


def test_holm_correction_is_over_the_whole_table(summary: pd.DataFrame) -> None:
    tested = summary.dropna(subset="p_value").sort_values("p_value")
    m, running = len(tested), 0.0
    for rank, (_, row) in enumerate(tested.iterrows()):
        running = max(running, min(1, (m - rank) * row["p_value"]))
        assert row["p_holm"] == pytest.approx(running)


def test_lesion_free_scans(results: StudyResults) -> None:
    table = summarize_lesion_free(results)
    for run in results.runs:
        scans = scans_of(results, run, "test", 0.5)
        free = scans[scans["n_reference_lesions"] == 0]
        (row,) = of_run(table, run, tuned=False).to_dict("records")
        assert row["n"] == 6
        assert row["n_clean"] == (free["n_predicted_lesions"] == 0).sum()
        assert row["lesions_mean"] == pytest.approx(free["n_predicted_lesions"].mean())
        assert row["volume_max"] == free["predicted_volume_mm3"].max()
