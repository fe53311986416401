"""How sure a marked lesion is: every number of the section once more with pandas and scipy, and its words."""

import itertools
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cordlesion.report.sections.lesion_probabilities import (
    FEWEST,
    chances_remark,
    has_chances,
    lesion_chances_figure,
    lesion_chances_table,
    summarize_lesion_chances,
)
from cordlesion.study_folder.results import StudyResults, read_results
from support.fake_study import FakeStudy, add_lesion_probabilities
from support.plain_report import write_without_pictures


@pytest.fixture(scope="module")
def folder(fake_study: FakeStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = Path(shutil.copytree(fake_study.folder, tmp_path_factory.mktemp("chances") / "study"))
    add_lesion_probabilities(copy)
    return copy


@pytest.fixture(scope="module")
def results(folder: Path) -> StudyResults:
    return read_results(folder)


def rows_of(results: StudyResults, loss: str) -> pd.DataFrame:
    rows = pd.read_csv(results.folder.root / "lesion_probabilities.tsv", sep="\t")
    return rows[(rows["set"] == "test") & (rows["loss"] == loss)].reset_index(drop=True)


def gap(chance: pd.Series, real: pd.Series, n_bins: int) -> float:
    """Expected calibration error over bins of equal number, bin by bin."""
    order = chance.sort_values(kind="stable").index
    sizes = [len(order) // n_bins + (k < len(order) % n_bins) for k in range(n_bins)]
    ends = np.cumsum([0, *sizes])
    total = 0.0
    for start, end in itertools.pairwise(ends):
        inside = order[start:end]
        total += len(inside) * abs(chance[inside].mean() - real[inside].mean())
    return total / len(order)


def test_scores_are_those_of_all_marked_lesions_of_the_test_set(results: StudyResults) -> None:
    summary = summarize_lesion_chances(results).set_index("loss")
    for loss in ("bce", "dice", "tversky"):
        rows, found = rows_of(results, loss), summary.loc[loss]
        n_bins = min(10, len(rows) // 20)
        assert n_bins > 2
        assert (found["n_lesions"], found["n_real"]) == (len(rows), rows["is_real"].sum())
        assert found["n_subjects"] == rows["subject"].nunique()
        squared = (rows["probability"] - rows["is_real"]) ** 2
        assert found["brier"] == pytest.approx(squared.mean())
        assert found["brier_peak"] == pytest.approx(((rows["peak_probability"] - rows["is_real"]) ** 2).mean())
        assert found["brier_share"] == pytest.approx(rows["is_real"].var(ddof=0))
        assert found["ece"] == pytest.approx(gap(rows["probability"], rows["is_real"], n_bins))
        assert found["ece_peak"] == pytest.approx(gap(rows["peak_probability"], rows["is_real"], n_bins))


def test_intervals_are_over_subjects_and_the_error_by_chance_is_that_of_exact_chances(results: StudyResults) -> None:
    summary = summarize_lesion_chances(results).set_index("loss")
    rows = rows_of(results, "bce")
    squared = ((rows["probability"] - rows["is_real"]) ** 2).groupby(rows["subject"]).mean()  # as many of each subject
    half = stats.t.ppf(0.975, len(squared) - 1) * stats.sem(squared)
    found = summary.loc["bce"]
    assert found["low"] < found["brier"] < found["high"]
    assert (found["high"] - found["low"]) / 2 == pytest.approx(half, rel=0.2)
    rng = np.random.default_rng(5)
    drawn = [pd.Series((rng.random(len(rows)) < rows["probability"]).astype(float)) for _ in range(100)]
    expected = np.mean([gap(rows["probability"], one, min(10, len(rows) // 20)) for one in drawn])
    assert found["ece_chance"] == pytest.approx(expected, rel=0.15)
    assert found["ece"] < 2.5 * found["ece_chance"] < found["ece_peak"]  # the chances of this study hold


def test_a_method_without_chances_is_listed_and_the_reason_is_said(results: StudyResults) -> None:
    summary = summarize_lesion_chances(results)
    sct = summary.set_index("loss").loc["sct"]
    assert sct["n_lesions"] > 0
    assert pd.isna(sct["brier"])
    table = lesion_chances_table(results, summary)
    assert [group.name for group in table.groups] == ["BCE", "Dice", "Tversky", "SCT"]
    assert "n/a" in table.groups[-1].rows[0][2].text or "–" in table.groups[-1].rows[0][2].text
    remark = chances_remark(results)
    assert "SCT has no chances: of the threshold set, the masks of its 7 subjects hold 0 real and 42 false" in remark
    assert "10 of each kind, of 5 subjects, are needed" in remark


def test_the_words_count_lesions(results: StudyResults) -> None:
    loss = results.best.loss
    rows = rows_of(results, loss)
    high, low = rows[rows["probability"] >= 0.5], rows[rows["probability"] < 0.1]
    remark = chances_remark(results)
    assert f"of {len(high)} lesions with a chance of 0.5 or more, {high['is_real'].sum()} are real" in remark
    assert f"of {len(low)} lesions with a chance below 0.1, {low['is_real'].sum()} are real" in remark
    assert f"and {100 * rows['is_real'].mean():.0f} % are real" in remark.replace("\N{NO-BREAK SPACE}", " ")


def test_points_lie_where_the_bins_are_and_intervals_hold_them(results: StudyResults) -> None:
    panel = lesion_chances_figure(results).axes[0]
    rows = rows_of(results, "bce").sort_values("probability", kind="stable")
    points = [line for line in panel.lines if line.get_marker() == "o"]
    places = np.array_split(np.arange(len(rows)), min(10, len(rows) // 20))
    parts = [rows.iloc[inside] for inside in places]
    assert len(points) == len(parts)
    bars = [line for line in panel.lines[1:] if line.get_marker() != "o"]
    for point, bar, part in zip(points, bars, parts, strict=True):
        (x,), (y,) = point.get_data()
        assert (x, y) == pytest.approx((part["probability"].mean(), part["is_real"].mean()))
        assert bar.get_xdata() == pytest.approx([x, x])
        assert bar.get_ydata()[0] <= y <= bar.get_ydata()[1]


def test_too_few_lesions_have_no_diagram_and_the_number_that_is_needed_is_said(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "study"))
    table = pd.read_csv(copy / "lesion_probabilities.tsv", sep="\t")
    few = table[(table["set"] == "threshold") | (table["lesion"] <= 2)].astype({"seed": "Int64"})
    few.to_csv(copy / "lesion_probabilities.tsv", sep="\t", index=False, na_rep="n/a")
    results = read_results(copy)
    assert not has_chances(results)
    summary = summarize_lesion_chances(results).set_index("loss")
    assert pd.isna(summary.loc["bce", "ece"])
    assert 0 < summary.loc["bce", "brier"] < 1
    n = len(rows_of(results, "bce"))
    assert n < FEWEST
    assert f"has at most {n} marked lesions with a chance; {FEWEST} are needed" in chances_remark(results)


def test_the_page_has_the_section_where_there_are_lesions(folder: Path) -> None:
    page = write_without_pictures(folder, draws=lambda figure: figure.name == "figure8_lesion_probabilities")
    text = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", page))
    assert "How sure is a marked lesion?" in text
    assert "of ten such lesions three were real" in text
    assert (folder / "figures" / "figure8_lesion_probabilities.svg").is_file()


def test_a_study_of_an_earlier_version_has_no_such_section(fake_study: FakeStudy) -> None:
    results = read_results(fake_study.folder)
    assert lesion_chances_table(results, summarize_lesion_chances(results)).groups == ()
    assert not has_chances(results)
