"""The declaration of every table: complete, documented, and that of the files."""

import importlib.util
import re
from pathlib import Path

import pandas as pd
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.report.summary_tables import SUMMARIES
from cordlesion.study_folder.results import read_results
from cordlesion.study_folder.stages import STAGES
from cordlesion.study_folder.tables import ALL, OF_SOME, SPECS
from support.declared import declared, header, written_tables

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generate():
    found = importlib.util.spec_from_file_location("generate", REPOSITORY / "docs" / "generate.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(generate):
    return generate.on_page_markdown((REPOSITORY / "docs" / "file_formats.md").read_text(encoding="utf-8"))


def test_every_declared_column_is_documented_in_its_table(generate, page):
    assert "generated:" not in page
    for file, spec in generate.TABLES.items():
        section = re.search(rf"^### [^\n]*`{re.escape(file)}`.*?(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
        assert section, file
        rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (.+) \|$", section[0], re.MULTILINE))
        assert list(rows)[: len(spec.names)] == list(spec.names)
        assert all(column.meaning in rows[column.name] for column in spec.columns)


def test_every_table_of_columns_on_the_page_is_a_declared_one(generate, page):
    text = (REPOSITORY / "docs" / "file_formats.md").read_text(encoding="utf-8")
    assert "| column |" not in text
    named = [file for files in re.findall("generated: columns (.+?) -->", text) for file in files.split(", ")]
    assert sorted(named) == sorted(generate.TABLES)
    assert page.count("| column |") == text.count("generated: columns")


def test_declarations_are_complete(generate):
    for spec in generate.TABLES.values():
        assert len(set(spec.names)) == len(spec.names), spec.file
        assert set(spec.key) <= set(spec.names)
        assert spec.meaning.endswith(".")
        for column in spec.columns:
            assert column.meaning, column.name
            assert not f"{column.meaning}{column.optional}".endswith(".")


def test_the_declared_tables_of_a_study_are_those_that_its_stages_write():
    written = [file for stage in STAGES for file in stage.files if file.endswith(".tsv")]
    assert sorted(written) == sorted(SPECS) == sorted(spec.file for spec in ALL)


def test_a_study_of_an_earlier_version_has_the_declared_columns_and_is_read(fake_study):
    tables = written_tables(fake_study.folder)
    rare = {"comparators.tsv", *(f"{name}.tsv" for name in OF_SOME)}
    assert {path.split("/")[-1] for path in tables} == set(SPECS) - rare
    for path, (columns, spec) in tables.items():
        lacking = set(spec.names) - set(columns)
        assert columns == declared(spec, *lacking), path
    assert {"learned", "maps_cut_at"}.isdisjoint(tables["thresholds.tsv"][0])
    read_results(fake_study.folder)


def test_a_column_that_older_tables_lack_is_checked_where_it_is(study_copy):
    path = study_copy / "thresholds.tsv"
    pd.read_csv(path, sep="\t", keep_default_na=False).assign(learned="perhaps").to_csv(path, sep="\t", index=False)
    with pytest.raises(CordlesionError, match="the column learned holds other words than True and False"):
        read_results(study_copy)


def test_the_unrounded_numbers_of_the_report_have_their_declared_columns(reported):
    written = {path.name: header(path) for path in sorted((reported / "tables").glob("summary*.tsv"))}
    assert written == {spec.file: list(spec.names) for spec in SUMMARIES}
