"""The report of a study is the same whether its tables are in memory or read run by run."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from cordlesion.report.page import compute_findings, draw_and_save
from cordlesion.report.section import Findings
from cordlesion.report.sections import SECTIONS
from cordlesion.study_folder import run_rows
from cordlesion.study_folder.results import read_results
from support.fake_study import FakeStudy, add_masks


def read_as_a_whole(_: object) -> pd.DataFrame:
    raise AssertionError("a table was read as a whole")


@pytest.fixture(scope="module")
def both(fake_study: FakeStudy, tmp_path_factory: pytest.TempPathFactory) -> tuple[Findings, Findings]:
    """Findings with tables in memory, and with tables of which no one may be read as a whole."""
    copy = Path(shutil.copytree(fake_study.folder, tmp_path_factory.mktemp("large") / "study"))
    add_masks(copy)
    in_memory = compute_findings(read_results(copy))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_rows, "IN_MEMORY_BYTES", 0)
        patch.setattr(run_rows.RowsOnDisk, "whole", read_as_a_whole)
        on_disk = compute_findings(read_results(copy))
    assert isinstance(vars(on_disk.results)["_sweep"], run_rows.RowsOnDisk)
    return in_memory, on_disk


def test_the_numbers_of_every_section_are_the_same(both: tuple[Findings, Findings]) -> None:
    in_memory, on_disk = both
    for name, frame in in_memory.frames.items():
        pd.testing.assert_frame_equal(on_disk.frames[name], frame, check_exact=True)


def test_every_table_is_the_same(both: tuple[Findings, Findings]) -> None:
    for spec in (table for section in SECTIONS for table in section.tables):
        assert spec.build(both[1]) == spec.build(both[0]), spec.name


@pytest.mark.parametrize("name", ["figure2_thresholds_test", "figure5_froc"])
def test_figures_of_the_sweep_are_the_same(both: tuple[Findings, Findings], name: str) -> None:
    (figure,) = [figure for section in SECTIONS for figure in section.figures if figure.name == name]
    expected, drawn = (draw_and_save(findings.results, figure).read_bytes() for findings in both)
    assert drawn == expected
