"""Every cell of every table once more, from the study's files, none of our code; one without a derivation fails."""

import shutil
from pathlib import Path

import pytest
from derived import Derived
from fake_study import FakeStudy

from cordlesion.report.numbers import compute_numbers
from cordlesion.report.results import read_results
from cordlesion.report.summaries import summarize_runs
from cordlesion.report.tables import write_tables


@pytest.fixture(scope="module")
def written(fake_study: FakeStudy, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[str]]]:
    """The tables as a reader of the files sees them."""
    folder = Path(shutil.copytree(fake_study.folder, tmp_path_factory.mktemp("rederived") / "study"))
    results = read_results(folder)
    write_tables(results, summarize_runs(results), compute_numbers(results))
    files = [path for path in (folder / "tables").glob("*.tsv") if not path.stem.startswith("summary")]
    return {path.stem: [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()] for path in files}


DERIVATIONS = {
    "cohort": Derived.cohort,
    "table1": lambda derived: derived.table(tuned=False),
    "table2": lambda derived: derived.table(tuned=True),
    "thresholds": Derived.thresholds,
    "tuning": Derived.tuning,
    "stability": Derived.stability,
    "calibration": Derived.calibration,
    "pairs": Derived.pairs,
    "seeds": lambda _: [["Loss", "Metric", "Seeds", "Mean", "Standard deviation", "Lowest", "Highest"]],
    "strata": Derived.strata,
    "rules": Derived.rules,
    "lesion_free": Derived.lesion_free,
    "paper": Derived.paper,
    "by_site": lambda derived: derived.by("site", "Site"),
    "by_manufacturer": lambda derived: derived.by("manufacturer", "Manufacturer"),
    "by_scanner": lambda derived: derived.by("scanner", "Scanner"),
    "by_orientation": lambda derived: derived.by("orientation", "Orientation"),
    "by_slice_spacing": lambda derived: derived.by("slice_spacing_mm", "Slice spacing"),
}


def test_no_table_is_left_out(written: dict[str, list[list[str]]]) -> None:
    assert set(written) == set(DERIVATIONS)


@pytest.mark.parametrize("name", DERIVATIONS)
def test_every_cell(written: dict[str, list[list[str]]], fake_study: FakeStudy, name: str) -> None:
    expected = DERIVATIONS[name](Derived(fake_study.folder))
    assert len(written[name]) == len(expected)
    for row, wanted in zip(written[name], expected, strict=True):
        assert row == wanted
