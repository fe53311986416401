import csv
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cordlesion.report.page import write_tables
from cordlesion.report.section import Findings
from cordlesion.report.sections import SECTIONS
from cordlesion.report.table import EMPTY_REFERENCE, Table
from cordlesion.study_folder.results import read_results


def read_rows(path: Path, delimiter: str) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.reader(stream, delimiter=delimiter))


def test_files(study_copy: Path, findings: Findings) -> None:
    tables = write_tables(replace(findings, results=read_results(study_copy)))
    assert list(tables) == [table.name for section in SECTIONS for table in section.tables]
    for name, table in tables.items():
        rows = read_rows(study_copy / "tables" / f"{name}.tsv", "\t")
        assert rows == read_rows(study_copy / "tables" / f"{name}.csv", ",")
        assert tuple(rows[0]) == table.columns
        assert len(rows) == 1 + sum(len(group.rows) for group in table.groups)
        assert all(len(row) == len(table.columns) for row in rows)
        tex = (study_copy / "tables" / f"{name}.tex").read_text()
        assert rf"\label{{tab:{name}}}" in tex
        assert tex.isascii()
    written = pd.read_csv(study_copy / "tables" / "summary.tsv", sep="\t", na_values="n/a")
    assert written["value"].to_numpy() == pytest.approx(findings.frames["runs"]["value"].to_numpy(), nan_ok=True)


def test_every_table_of_scores_tells_what_an_empty_reference_means(study_copy: Path, findings: Findings) -> None:
    tables = write_tables(replace(findings, results=read_results(study_copy)))
    captions = (study_copy / "tables" / "captions.md").read_text()
    for name, table in tables.items():
        assert f"## {name}\n\n{table.label} {table.lead} {table.note}".rstrip() in captions
        others = ("cohort", "own_metrics", "repeatability", "lesion_probabilities")
        assert (EMPTY_REFERENCE in table.caption(bold="Asterisk")) == (name not in others)
        assert EMPTY_REFERENCE not in table.caption(bold="Asterisk", whole=False)


def test_an_asterisk_is_explained_where_there_is_one(study_copy: Path, findings: Findings) -> None:
    for table in write_tables(replace(findings, results=read_results(study_copy))).values():
        assert has_bold(table) <= ("Asterisk: " in table.caption(bold="Asterisk"))


def has_bold(table: Table) -> bool:
    return any(c.bold for group in table.groups for row in group.rows for c in row)
