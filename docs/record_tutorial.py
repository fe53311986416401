"""Run examples/tutorial.py and write docs/tutorial.md, with what it prints and draws.

python docs/record_tutorial.py          (a minute or two)
"""

import ast
import contextlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

DOCS = Path(__file__).parent
SCRIPT = DOCS.parent / "examples" / "tutorial.py"
_CELL = re.compile(r"^# %%( \[markdown\])?\n", re.MULTILINE)


class Cell(NamedTuple):
    """A part of the script: text or code."""

    is_text: bool
    content: str


def read_cells(script: Path = SCRIPT) -> list[Cell]:
    """Divide the script at its ``# %%`` lines."""
    _, *parts = _CELL.split(script.read_text(encoding="utf-8"))
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


def run_cells(cells: list[Cell], images: Path) -> Iterator[str]:
    """Yield each cell as Markdown, code with what it prints and draws; pictures are written to ``images``."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        if cell.is_text:
            yield cell.content
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            shown = run_cell(cell.content, f"cell {number}", names)
        yield f"```python\n{cell.content}\n```"
        if printed.getvalue():
            yield f"```text\n{printed.getvalue().rstrip()}\n```"
        for figure in [*map(plt.figure, plt.get_fignums()), *([shown] if isinstance(shown, Figure) else [])]:
            picture = images / f"tutorial_{number}.svg"
            figure.savefig(picture, metadata={"Date": None})
            plt.close(figure)
            yield f"![What the code above draws]({images.name}/{picture.name})"


def record(page: Path = DOCS / "tutorial.md") -> None:
    """Write the page and its pictures."""
    page = page.resolve()
    plt.rcParams |= {"svg.hashsalt": "tutorial", "svg.fonttype": "none"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        images = Path("images")
        images.mkdir()
        heading = f"<!-- Written by docs/{Path(__file__).name} from examples/{SCRIPT.name}. -->"
        parts = [heading, *run_cells(read_cells(), images)]
        for old in (page.parent / "images").glob("tutorial_*.svg"):
            old.unlink()
        for picture in images.iterdir():
            shutil.copy(picture, page.parent / "images")
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    plt.show = lambda: None  # type: ignore[assignment]
    record()
