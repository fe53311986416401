"""Ages, sexes, brands and voxels, from what a dataset says."""

from dataclasses import replace
from pathlib import Path

import pytest

from cordlesion.report.demographics import read_demographics
from cordlesion.report.methods import write_methods
from cordlesion.report.sections.cohort import cohort_table
from cordlesion.study_folder.results import StudyResults


@pytest.fixture
def with_people(results: StudyResults, tmp_path: Path) -> StudyResults:
    """The study on a dataset that says who its first three subjects are."""
    subjects = results.splits["subject"].unique()[:3]
    rows = [("participant_id", "age", "sex"), *zip(subjects, ("30", "40", "n/a"), ("F", "female", "M"), strict=True)]
    (tmp_path / "participants.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    other = replace(results)
    vars(other)["config"] = results.config.model_copy(update={"dataset": tmp_path})
    return other


def test_what_is_known_is_in_table_and_text(with_people: StudyResults) -> None:
    known = read_demographics(with_people)
    everybody = with_people.splits["subject"].unique()
    assert known.age(everybody) == "35.0 ± 7.1"
    assert known.n_women(everybody) == (2, 3)
    table = cohort_table(with_people)
    assert table.columns[-4:] == ("Age (years)", "Women", "Brands", "Voxel (mm)")
    ((*_, age, women, brands, voxel),) = table.groups[-1].rows
    assert (age.main, women.main) == ("35.0 ± 7.1", "2 of 3")
    assert set(brands.main.split(", ")) == {"GE", "Philips"}
    assert voxel.main.count("×") == 2
    text = write_methods(with_people).text
    assert "The subjects were 35.0 ± 7.1 years old (mean ± standard deviation)." in text
    assert "Of 3 subjects of known sex 2 were women." in text
    assert "Scanners were of 2 brands (" in text
    assert "Voxels measured " in text


def test_what_nobody_says_is_left_out(results: StudyResults) -> None:
    known = read_demographics(results)
    assert not known.ages
    table = cohort_table(results)
    assert "Age (years)" not in table.columns
    assert "Women" not in table.columns
    assert "years old" not in write_methods(results).text


def test_voxels_are_those_of_the_headers(results: StudyResults) -> None:
    known = read_demographics(results)
    scans = list(results.manifest["scans"])
    assert set(known.voxels_mm) == set(scans)
    moved = replace(results)
    vars(moved)["manifest"] = results.manifest | {"scans": {scan: {"image": "gone.nii.gz"} for scan in scans}}
    assert read_demographics(moved).voxel(scans) == ""
