"""Tables of a study that are those of its methods."""

import pandas as pd
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.io.columns import Column, TableSpec
from cordlesion.io.tables import read_table, write_table
from cordlesion.study.collected import collect_table
from cordlesion.study_folder.folder import StudyFolder

SPEC = TableSpec(
    "x.tsv", "Values.", (Column("name", "Name", "text"), Column("value", "Value", "number")), key=("name",)
)


class Named:
    def __init__(self, name):
        self.name = name


def written(folder, **values):
    methods = [Named(name) for name in values]
    for name, of_method in values.items():
        rows = pd.DataFrame({"name": [name] * len(of_method), "value": of_method}, columns=list(SPEC.names))
        folder.run(name).mkdir(parents=True, exist_ok=True)
        write_table(folder.run(name) / SPEC.file, rows, SPEC)
    return methods


def test_rows_of_methods_are_below_each_other_and_empty_tables_decide_no_columns(tmp_path):
    folder = StudyFolder(tmp_path)
    methods = written(folder, a=[], b=[0.1, 0.3], c=[2.0])
    above = pd.DataFrame({"name": ["all"], "value": [7.0]})
    collect_table(folder, SPEC, methods, [above])
    table = read_table(tmp_path / "x.tsv", SPEC)
    assert list(zip(table["name"], table["value"], strict=True)) == [("all", 7.0), ("b", 0.1), ("b", 0.3), ("c", 2.0)]


def test_no_rows_leave_no_table(tmp_path):
    folder = StudyFolder(tmp_path)
    collect_table(folder, SPEC, written(folder, a=[0.5]))
    for methods in (written(folder, a=[]), []):
        (tmp_path / "x.tsv").write_text("earlier")
        collect_table(folder, SPEC, methods)
        assert not (tmp_path / "x.tsv").exists()


def test_a_method_without_its_table_is_an_error_and_the_earlier_one_stays(tmp_path):
    folder = StudyFolder(tmp_path)
    methods = written(folder, a=[0.5])
    collect_table(folder, SPEC, methods)
    before = (tmp_path / "x.tsv").read_bytes()
    with pytest.raises(CordlesionError, match=r"b.*x\.tsv"):
        collect_table(folder, SPEC, [*methods, Named("b")])
    assert (tmp_path / "x.tsv").read_bytes() == before
