import re

import pytest

from cordlesion.report.latex import escape, latex
from cordlesion.report.section import Findings
from cordlesion.report.sections import SECTIONS
from cordlesion.report.table import Cell, Group, Table

ASCII = {"±": r"$\pm$", "−": "$-$", "–": "--", "’": "'", "³": r"\textsuperscript{3}", "†": r"\textsuperscript{\dag}"}
TABLES = {table.name: table for section in SECTIONS for table in section.tables}


def body(text: str) -> list[str]:
    inside = re.search(r"\\midrule\n(.*)\\bottomrule", text, re.DOTALL)
    assert inside
    return [line for line in inside[1].splitlines() if line != r"\addlinespace"]


@pytest.mark.parametrize("name", TABLES)
def test_every_row_has_as_many_cells_as_the_table_columns(findings: Findings, name: str) -> None:
    table = TABLES[name].build(findings)
    text = latex(table, name)
    columns = re.search(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", text)
    assert columns
    assert len(columns[1]) == len(table.columns)
    rows = body(text)
    assert len(rows) == sum(len(group.rows) for group in table.groups)
    for row in rows:
        assert row.endswith(r" \\")
        assert len(re.findall(r"(?<!\\)&", row)) == len(table.columns) - 1
    for name_of in ("table*", "adjustbox", "tabular"):
        assert text.count(f"\\begin{{{name_of}}}") == text.count(f"\\end{{{name_of}}}") == 1
    assert text.replace(r"\{", "").replace(r"\}", "").count("{") == text.replace(r"\}", "").count("}")
    assert text.isascii()


def test_a_cell_looks_as_in_the_report() -> None:
    cell = Cell("0.40", "(0.36 ± 0.20)", "[0.1, 0.5]", bold=True, mark="†", best=True)
    table = Table(("Loss", "V-F1"), (Group("BCE", ((cell,), (Cell("–"),))), Group("Dice", ((Cell("−1"),),))))
    assert (
        latex(table, "x")
        .split("\\midrule\n")[1]
        .startswith(
            "BCE & \\underline{\\textbf{0.40}}\\textsuperscript{\\dag} (0.36 $\\pm$ 0.20) [0.1, 0.5] \\\\\n"
            " & -- \\\\\n\\addlinespace\nDice & $-$1 \\\\\n\\bottomrule"
        )
    )


def test_names_cannot_break_the_table() -> None:
    name = r"[50 % & more] $x_1$ \input{a} #~^" + "\n\nb"
    (row,) = body(latex(Table(("Loss",), (Group(name, ((),)),)), "x"))
    assert row == (r"{}[50 \% \& more] \$x\_1\$ \textbackslash{}input\{a\} \#\textasciitilde{}\textasciicircum{} b \\")


def test_the_caption_leaves_the_number_to_latex() -> None:
    numbered = Table(("a",), (), label="Table 7a.", note="By site.", bold="differs", best="highest")
    named = Table(("a",), (), label="Cohort.", note="Who.")
    assert r"\caption{By site. Underlined: highest. Bold: differs.}" in latex(numbered, "x")
    assert r"\caption{Cohort. Who.}" in latex(named, "x")


@pytest.mark.parametrize(("character", "printed"), ASCII.items())
def test_escape(character: str, printed: str) -> None:
    assert escape(f"a{character}b") == f"a{printed}b"
