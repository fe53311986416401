import math

import pytest

from cordlesion.io.formats import format_interval, format_number, format_p
from cordlesion.report.table import Cell, Group, Table

TABLE = Table(
    ("Loss", "x, y"),
    (Group("a\tb\nc", ((Cell("1", "(2)", "[0, 1]", bold=True, mark="†"),),)),),
    label="Table 9.",
    note="What it is.",
    bold="differs",
    best="highest",
)


def test_tsv_keeps_its_columns_whatever_the_names() -> None:
    assert TABLE.tsv() == "Loss\tx, y\na b c\t1*† (2) [0, 1]\n"


def test_csv_opens_in_a_spreadsheet() -> None:
    assert TABLE.csv() == '\ufeffLoss,"x, y"\na b c,"1*† (2) [0, 1]"\n'


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1+cmd", "-2+3", "@SUM(1)", "-2 +cmd", "\t=1", "-cmd"])
def test_a_spreadsheet_computes_nothing_that_a_dataset_says(name: str) -> None:
    first, second = Table(("a",), (Group(name, ((),)),)).csv().splitlines()
    assert first == "\ufeffa"
    assert second.strip('"').startswith(("'=", "'+", "'-", "'@"))


@pytest.mark.parametrize("cell", ["+0.12", "-0.5", "+0.12* [−0.10, +0.20]", "−0.26", "p = 0.2"])
def test_numbers_are_numbers_for_a_spreadsheet(cell: str) -> None:
    assert Table(("a",), (Group(cell, ((),)),)).csv().splitlines()[1].strip('"') == cell


def test_captions_name_the_marks_of_their_medium() -> None:
    assert TABLE.caption(bold="Asterisk") == "Table 9. What it is. Asterisk: differs."
    assert TABLE.caption(bold="Bold", best="Shaded") == "Table 9. What it is. Shaded: highest. Bold: differs."
    assert Table(("a",), (), note="Nothing is marked.").caption(bold="Bold", best="Shaded") == "Nothing is marked."


@pytest.mark.parametrize(("p", "text"), [(0.0004, "< 0.001"), (0.001, "0.001"), (1.0, "1.000"), (math.nan, "–")])
def test_format_p(p: float, text: str) -> None:
    assert format_p(p) == text


def test_numbers_have_a_real_minus_sign() -> None:
    assert format_number(-0.256, signed=True) == "−0.26"
    assert format_interval(-0.1, 0.2, signed=True) == "[−0.10, +0.20]"
    assert format_interval(math.nan, 0.2) == "[–, 0.20]"


@pytest.mark.parametrize(
    ("columns", "n_words", "kind"),
    [
        (("Loss", "Set", "V-F1"), 2, 1),
        (("Metric", "Loss", "p"), 2, 0),
        (("Set", "Scans"), 1, ""),
        (("Loss", "Fold", "t"), 2, ""),
    ],
)
def test_rows_are_of_one_kind_by_the_column_that_says_so(columns: tuple[str, ...], n_words: int, kind: object) -> None:
    assert Table(columns, (), n_words=n_words).kind == kind
