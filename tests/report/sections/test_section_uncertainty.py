"""The report of a study with an ensemble: its numbers by hand, its names, and that it is no seed and no stranger."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from cordlesion.report.gallery import shown_runs
from cordlesion.report.methods import write_methods
from cordlesion.report.page import compute_findings, write_report
from cordlesion.report.sections.ranking.comparisons import compare_pairs, summarize_seeds
from cordlesion.report.sections.uncertainty import shown_ensemble, summarize_uncertainty, uncertainty_table
from cordlesion.study_folder.results import StudyResults, read_results
from cordlesion.study_folder.runs import Run
from support.fake_study import FakeStudy, add_ensemble


@pytest.fixture(scope="module")
def folder(fake_study: FakeStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = Path(shutil.copytree(fake_study.folder, tmp_path_factory.mktemp("ensemble") / "study"))
    add_ensemble(copy)
    return copy


@pytest.fixture(scope="module")
def joined(folder: Path) -> StudyResults:
    return read_results(folder)


def test_gains_are_student_intervals_of_the_subjects_differences_to_a_random_order(joined: StudyResults) -> None:
    summary = summarize_uncertainty(joined).set_index(["loss", "level", "uncertainty"])
    areas = joined.uncertainty
    at = {key: rows.set_index("scan_id")["area"] for key, rows in areas.groupby(["loss", "level", "uncertainty"])}
    mine, random, ideal = (at["both", "voxel", name] for name in ("spread", "random", "ideal"))
    differences = (mine - random).to_numpy()  # a scan per subject
    found = summary.loc["both", "voxel", "spread"]
    low, high = stats.t.interval(0.95, len(differences) - 1, differences.mean(), stats.sem(differences))
    assert found["area"] == pytest.approx(mine.mean())
    assert (found["gain"], found["low"], found["high"]) == pytest.approx((differences.mean(), low, high))
    assert found["reached"] == pytest.approx((mine.mean() - random.mean()) / (ideal.mean() - random.mean()))
    assert found["n_subjects"] == len(differences)
    assert summary.loc["both", "voxel", "ideal"]["reached"] == pytest.approx(1)


def test_the_table_marks_the_largest_area_of_a_measure_and_never_a_baseline(joined: StudyResults) -> None:
    table = uncertainty_table(joined, summarize_uncertainty(joined))
    groups = {group.name: group for group in table.groups}
    assert list(groups) == ["BCE, single networks", "Dice, single networks", "both, mean of 2 networks"]
    names = table.columns[1:]
    for row in groups["both, mean of 2 networks"].rows:
        best = [name for name, cell in zip(names, row, strict=True) if cell.best]
        assert best == (["Spread"] if row[0].main == "Voxels" else ["Disagreement"])


def test_a_study_without_ensembles_has_no_such_section(results: StudyResults) -> None:
    assert summarize_uncertainty(results).empty
    assert uncertainty_table(results, summarize_uncertainty(results)).groups == ()


def test_the_ensemble_is_recommended_with_its_bundle_and_named_by_its_networks(folder: Path) -> None:
    text = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", write_report(folder).read_text(encoding="utf-8")))
    results = read_results(folder)
    assert results.best == Run("both", None)
    assert shown_ensemble(results) == "both"
    assert "both, mean of 2 networks" in text
    assert "-m runs/both/bundle" in text
    assert "Does uncertainty show where the errors are?" in text
    assert "both was not trained here" not in text
    assert (folder / "figures" / "figure7_uncertainty.svg").is_file()


def test_it_is_compared_with_its_losses_and_with_what_was_not_trained_here(joined: StudyResults) -> None:
    pairs = compare_pairs(joined)
    partners = {
        loss
        for _, row in pairs.iterrows()
        for loss in (row["first"], row["second"])
        if "both" in (row["first"], row["second"]) and loss != "both"
    }
    assert partners == {"bce", "dice", "sct"}
    assert set(pairs.loc[pairs["ensembles"] == "both", "n_seeds_second"]) <= {0, 1}
    counted = compute_findings(joined).frames["pairs"]
    assert set(counted.loc[counted["second"] == "both", "n_seeds_second"]) | set(
        counted.loc[counted["first"] == "both", "n_seeds_first"]
    ) == {1}


def test_it_is_no_seed(joined: StudyResults) -> None:
    seeds = summarize_seeds(joined)
    assert "both" not in set(seeds["loss"])
    pd.testing.assert_frame_equal(seeds, summarize_seeds(joined))


def test_pictures_show_a_loss_or_its_ensemble_and_the_methods_name_it(joined: StudyResults) -> None:
    assert Run("both", None) in shown_runs(joined)  # of two losses: it stands for neither alone
    assert len(shown_runs(joined)) == len({run.loss for run in joined.runs})
    text = write_methods(joined).paragraphs["Ensembles"]
    assert "of all trainings with BCE and Dice (both)" in text
