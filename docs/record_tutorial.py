"""Run the tutorials in examples/ and write their pages, with what they print and draw.

python docs/record_tutorial.py [tutorial | own_method]          (both: a minute or two)
"""

import ast
import contextlib
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
TUTORIALS = ("tutorial", "own_method")
"""Scripts in cells; each has a page of its name."""
_CELL = re.compile(r"^# %%( \[markdown\])?\n", re.MULTILINE)


class Cell(NamedTuple):
    """A part of the script: text or code."""

    is_text: bool
    content: str


def read_cells(tutorial: str) -> list[Cell]:
    """Divide a script at its ``# %%`` lines."""
    _, *parts = _CELL.split((EXAMPLES / f"{tutorial}.py").read_text(encoding="utf-8"))
    marks, bodies = parts[::2], [body.strip() for body in parts[1::2]]
    return [
        Cell(True, re.sub(r"^# ?", "", body, flags=re.MULTILINE)) if mark else Cell(False, body)
        for mark, body in zip(marks, bodies, strict=True)
    ]


def run_cell(code: str, name: str, names: dict[str, Any]) -> Any:  # noqa: ANN401 - the value of any expression
    """Run a cell; returns the value of its last line, which a notebook would show, where that is an expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), name, "eval"), names)


def run_cells(tutorial: str, images: Path) -> Iterator[str]:
    """Yield each cell as Markdown, code with what it prints, shows and draws; pictures are written to ``images``."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(read_cells(tutorial)):
        if cell.is_text:
            yield cell.content
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            shown = run_cell(cell.content, f"cell {number}", names)
        yield f"```python\n{cell.content}\n```"
        if isinstance(shown, pd.DataFrame):
            printed.write(shown.to_string(index=False, float_format="{:.3f}".format))
        if printed.getvalue():
            yield f"```text\n{printed.getvalue().rstrip()}\n```"
        for figure in [*map(plt.figure, plt.get_fignums()), *([shown] if isinstance(shown, Figure) else [])]:
            picture = images / f"{tutorial}_{number}.svg"
            figure.savefig(picture, metadata={"Date": None})
            plt.close(figure)
            yield f"![What the code above draws]({images.name}/{picture.name})"


def record(tutorial: str) -> None:
    """Write a page and its pictures."""
    page = (DOCS / f"{tutorial}.md").resolve()
    plt.rcParams |= {"svg.hashsalt": "tutorial", "svg.fonttype": "none"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        images = Path("images")
        images.mkdir()
        heading = f"<!-- Written by docs/{Path(__file__).name} from examples/{tutorial}.py. -->"
        parts = [heading, *run_cells(tutorial, images)]
        for old in (page.parent / "images").glob(f"{tutorial}_*.svg"):
            old.unlink()
        for picture in images.iterdir():
            shutil.copy(picture, page.parent / "images")
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    plt.show = lambda: None  # type: ignore[assignment]
    for name in sys.argv[1:] or TUTORIALS:
        record(name)
