"""A table as LaTeX, to be included in a paper."""

import re

from cordlesion.report.table import Cell, Group, Table

PACKAGES = ("booktabs", "adjustbox")
"""What the preamble must load."""

_ESCAPES = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "±": r"$\pm$",
    "−": "$-$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "×": r"$\times$",
    "–": "--",
    "’": "'",
    "“": "``",
    "”": "''",
    "²": r"\textsuperscript{2}",
    "³": r"\textsuperscript{3}",
    "†": r"\textsuperscript{\dag}",
    "Σ": r"$\Sigma$",
    "β": r"$\beta$",
    "|": r"\textbar{}",
}


def latex(table: Table, name: str) -> str:
    """Return a table as a floating ``table*`` with booktabs rules, scaled down where it is wider than the page.

    Bold stays bold, the best values are underlined. Other characters than those of the report are left as they are, so
    names with letters beyond UTF-8 LaTeX's own need XeLaTeX or LuaLaTeX.

    Args:
        table: The table.
        name: Ends the label, ``tab:name``.
    """
    columns = "l" * table.n_words + "r" * (len(table.columns) - table.n_words)
    # LaTeX numbers tables itself.
    caption = re.sub(r"^Table \w+\. ", "", table.caption(bold="Bold", best="Underlined"))
    bodies = "\\addlinespace\n".join(_body(group) for group in table.groups)
    packages = ", ".join(PACKAGES)
    return (
        f"% {table.label} Written by cordlesion, again with every report. Packages: {packages}.\n"
        "\\begin{table*}\n\\centering\n"
        f"\\caption{{{escape(caption)}}}\n\\label{{tab:{name}}}\n"
        f"\\begin{{adjustbox}}{{max width=\\textwidth}}\n\\begin{{tabular}}{{@{{}}{columns}@{{}}}}\n\\toprule\n"
        f"{_row([escape(column) for column in table.columns])}\\midrule\n{bodies}"
        "\\bottomrule\n\\end{tabular}\n\\end{adjustbox}\n\\end{table*}\n"
    )


def escape(text: str) -> str:
    """Return text such that LaTeX prints it as it is."""
    return "".join(_ESCAPES.get(character, character) for character in " ".join(text.split()))


def _body(group: Group) -> str:
    """Write the group's name in its first row only."""
    names = [escape(group.name), *[""] * (len(group.rows) - 1)]
    return "".join(_row([name, *map(_cell, row)]) for name, row in zip(names, group.rows, strict=True))


def _row(cells: list[str]) -> str:
    # What follows the end of a row or a rule must not look like its optional argument.
    cells[0] = "{}" + cells[0] if cells[0].startswith(("[", "*")) else cells[0]
    return " & ".join(cells) + " \\\\\n"


def _cell(cell: Cell) -> str:
    main = escape(cell.main)
    main = f"\\textbf{{{main}}}" if cell.bold else main
    main = f"\\underline{{{main}}}" if cell.best else main
    return " ".join(part for part in (main + escape(cell.mark), escape(cell.detail), escape(cell.interval)) if part)
