"""One fake study for all tests of the report that only read it, and a fresh copy for those that change it."""

import shutil
from pathlib import Path

import pytest
from fake_study import FakeStudy, write_fake_study

from cordlesion.report.html import write_report
from cordlesion.study_folder.results import StudyResults, read_results

N_BEARING = {"train": 8, "validation": 3, "threshold": 7, "test": 9}


@pytest.fixture(scope="session")
def fake_study(tmp_path_factory: pytest.TempPathFactory) -> FakeStudy:
    return write_fake_study(tmp_path_factory.mktemp("fake") / "study", N_BEARING, n_free=6)


@pytest.fixture(scope="session")
def results(fake_study: FakeStudy) -> StudyResults:
    return read_results(fake_study.folder)


@pytest.fixture(scope="session")
def reported(fake_study: FakeStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the fake study with its report."""
    folder = Path(shutil.copytree(fake_study.folder, tmp_path_factory.mktemp("report") / "study"))
    write_report(folder)
    return folder


@pytest.fixture
def study_copy(fake_study: FakeStudy, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fake_study.folder, tmp_path / "study"))
