"""Every cell of every table once more, from the study's files, none of our code; one without a derivation fails."""

import shutil
from pathlib import Path

import pytest
from derived import Derived
from derived_statements import statements

from cordlesion.report.page import compute_findings, write_tables
from cordlesion.study_folder.results import read_results
from support.fake_study import FakeStudy, add_masks


@pytest.fixture(scope="module")
def folder(fake_study: FakeStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with every kind of method: trained losses, a comparator with maps, and one that comes as masks."""
    copy = Path(shutil.copytree(fake_study.folder, tmp_path_factory.mktemp("rederived") / "study"))
    add_masks(copy)
    return copy


@pytest.fixture(scope="module")
def written(folder: Path) -> dict[str, list[list[str]]]:
    """The tables as a reader of the files sees them."""
    results = read_results(folder)
    write_tables(compute_findings(results))
    files = [path for path in (folder / "tables").glob("*.tsv") if not path.stem.startswith("summary")]
    return {path.stem: [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()] for path in files}


DERIVATIONS = {
    "cohort": Derived.cohort,
    "operation": Derived.operation,
    "changes": Derived.changes,
    "table1": lambda derived: derived.table(tuned=False),
    "table2": lambda derived: derived.table(tuned=True),
    "thresholds": Derived.thresholds,
    "tuning": Derived.tuning,
    "stability": Derived.stability,
    "calibration": Derived.calibration,
    "ranks": Derived.ranks,
    "pairs": Derived.pairs,
    "seeds": lambda _: [["Loss", "Metric", "Seeds", "Mean", "Standard deviation", "Lowest", "Highest"]],
    "strata": Derived.strata,
    "rules": Derived.rules,
    "lesion_free": Derived.lesion_free,
    "statements": statements,
    "paper_untuned": lambda derived: derived.paper(tuned=False),
    "paper": lambda derived: derived.paper(tuned=True),
    "by_site": lambda derived: derived.by("site", "Site"),
    "by_manufacturer": lambda derived: derived.by("manufacturer", "Manufacturer"),
    "by_scanner": lambda derived: derived.by("scanner", "Scanner"),
    "by_orientation": lambda derived: derived.by("orientation", "Orientation"),
    "by_slice_spacing": lambda derived: derived.by("slice_spacing_mm", "Slice spacing"),
    "own_metrics": lambda _: [
        [
            *("Metric", "Loss", "Scans", "t = 0.5", "Tuned t", "Difference", "95 % interval", "p", "p (Holm)"),
            "Subjects",
        ]
    ],
    "threshold_rules": lambda _: [
        [
            *("Loss", "Rule", "Scans", "L-F1", "Difference", "V-F1", "Difference", "False positives", "Difference"),
            *("P-specificity", "Difference", "p (L-F1)", "p (Holm)", "Subjects"),
        ]
    ],
    "uncertainty": lambda _: [
        [
            *("Loss", "Share", "Scans", "F1", "Random order", "Entropy", "Distance from t", "Spread"),
            *("Mutual information", "Disagreement", "Ideal order"),
        ]
    ],
}


def test_no_table_is_left_out(written: dict[str, list[list[str]]]) -> None:
    assert set(written) == set(DERIVATIONS)


@pytest.mark.parametrize("name", DERIVATIONS)
def test_every_cell(written: dict[str, list[list[str]]], folder: Path, name: str) -> None:
    expected = DERIVATIONS[name](Derived(folder))
    assert len(written[name]) == len(expected)
    for row, wanted in zip(written[name], expected, strict=True):
        assert row == wanted
