"""Large tables are read run by run: the same rows, the same faults, the same report, and little memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.io.table_parts import find_parts
from cordlesion.study_folder import run_rows
from cordlesion.study_folder.results import StudyResults, read_results
from cordlesion.study_folder.run_rows import LARGE_TABLES, RowsOnDisk, read_run_rows
from cordlesion.study_folder.runs import Run


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_rows, "IN_MEMORY_BYTES", 0)


@pytest.mark.usefixtures("on_disk")
def test_every_table_is_the_same_whether_it_is_in_memory_or_not(study_copy: Path, results: StudyResults) -> None:
    again = read_results(study_copy)
    assert all(isinstance(vars(again)[f"_{name}"], RowsOnDisk) for name in LARGE_TABLES)
    assert again.runs == results.runs
    assert again.grid.tolist() == results.grid.tolist()
    for name in LARGE_TABLES:
        assert again.runs_in(name) == results.runs_in(name)
        pd.testing.assert_frame_equal(getattr(again, name), getattr(results, name))
        for run in (*results.runs, Run("none", 1)):
            for where in ({}, {"set": "test"}, {"set": "threshold"}):
                for only in (None, ["scan_id"], ["loss", "n_reference_lesions"]):
                    expected = results.rows(name, run, only, **where).reset_index(drop=True)
                    found = again.rows(name, run, only, **where).reset_index(drop=True)
                    pd.testing.assert_frame_equal(found, expected, check_dtype=len(found) > 0)


@pytest.mark.usefixtures("on_disk")
def test_evaluated_scans_are_the_same(study_copy: Path, results: StudyResults) -> None:
    again = read_results(study_copy)
    for run in results.runs:
        for t in (0.5, results.tuned[run], None):
            expected = results.evaluated(run, "test", t)
            pd.testing.assert_frame_equal(again.evaluated(run, "test", t), expected)


@pytest.mark.usefixtures("on_disk")
def test_a_table_that_changes_while_it_is_read_is_named(study_copy: Path) -> None:
    results = read_results(study_copy)
    with (study_copy / "sweep.tsv").open("a") as stream:
        stream.write("more\n")
    with pytest.raises(CordlesionError, match=r"sweep\.tsv: has changed while it was read"):
        results.rows("sweep", results.best)


@pytest.mark.usefixtures("on_disk")
def test_memory_does_not_grow_with_the_runs(study_copy: Path) -> None:
    path, written = study_copy / "sweep.tsv", read_results(study_copy).written_thresholds
    rows = pd.read_csv(path, sep="\t", keep_default_na=False, dtype=str).query("loss == 'bce'")

    def peak(n_runs: int) -> int:
        pd.concat([rows.assign(seed=str(seed)) for seed in range(n_runs)]).to_csv(path, sep="\t", index=False)
        tracemalloc.start()
        found = read_run_rows(path, written)
        assert sum(len(found.of(run, None, {})) for run in found.runs) == n_runs * len(rows)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(1)  # imports and caches
    few, bytes_of_few = peak(6), path.stat().st_size
    assert peak(24) - few < 0.02 * (path.stat().st_size - bytes_of_few)


def test_blocks_of_rows_and_quoted_cells(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    names = ["plain", 'a "word"', "a\ttab", "a\nline", "plain", 'a "word"', "última"]
    table = pd.DataFrame({"scan_id": list("abcdefg"), "loss": names, "value": np.arange(7) / 3})
    table.to_csv(path, sep="\t", index=False)
    parts = find_parts(path, ["loss"])
    assert [key for (key,) in parts.places] == list(dict.fromkeys(names))
    for name in names:
        found = parts.read([(name,)])
        pd.testing.assert_frame_equal(found, table[table["loss"] == name].reset_index(drop=True))
    pd.testing.assert_frame_equal(parts.read(list(parts.places)), table)
    assert list(parts.read([("plain",)], ["value", "absent"])) == ["value"]


def test_a_table_without_a_last_line_break_and_with_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(b"loss\tvalue\r\na\t1\r\n\r\nb\t2\r\na\t3")
    parts = find_parts(path, ["loss"])
    assert parts.read([("a",)])["value"].tolist() == [1, 3]
    assert parts.read([("b",)])["value"].tolist() == [2]
    path.write_bytes(b"scan_id\tloss\tvalue\na\tb\t1\nc\n")
    with pytest.raises(CordlesionError, match=r"table\.tsv: not a table \(the row at byte 25 has 1 columns"):
        find_parts(path, ["loss"])
    with pytest.raises(CordlesionError, match="lacks the columns seed"):
        find_parts(path, ["seed"])
    path.write_bytes(b"scan_id\tloss\na\t\xff\n")
    with pytest.raises(CordlesionError, match=r"Save it in UTF-8"):
        find_parts(path, ["loss"])
