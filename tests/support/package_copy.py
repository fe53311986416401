"""A copy of the package that a recipe of CONTRIBUTING.md is tried on, in processes of their own."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import cordlesion
from support.forked import run_forked

# What is compiled already stays valid, because copies keep their times; what is being written is not copied.
UNFINISHED = shutil.ignore_patterns("*.pyc.*")
SOURCE = Path(cordlesion.__file__).parent


class PackageCopy:
    """The package below ``folder``, to be edited and run; the installed one stays as it is."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "package"
        self.repository = Path(__file__).parents[2]
        self.package = Path(shutil.copytree(SOURCE, self.root / "cordlesion", ignore=UNFINISHED))

    def write(self, name: str, text: str) -> None:
        """Add a new file to the package."""
        path = self.package / name
        assert not path.exists()
        path.write_text(text)

    def replace(self, name: str, old: str, new: str) -> None:
        """Replace a text that stands once in a file of the package."""
        path = self.package / name
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        path.write_text(text.replace(old, new))

    def copy_tests(self) -> None:
        """Copy the tests, and what they read, so that a recipe can change them too; the repository stays as it is.

        The copies try few random examples: they show that a new row takes part, and the suite itself looks for faults.
        """
        here = Path(__file__).parents[2]
        for folder in ("tests", "docs", "studies"):
            shutil.copytree(here / folder, self.root / folder, ignore=UNFINISHED)
        shutil.copy(here / "pyproject.toml", self.root)
        self.repository = self.root
        for path in (self.root / "tests").rglob("*.py"):
            if (text := path.read_text()) != (few := re.sub(r"max_examples=\d+", "max_examples=10", text)):
                path.write_text(few)
        self.replace_in_tests(
            "conftest.py", '"repeat", derandomize=True', '"repeat", derandomize=True, max_examples=10'
        )

    def replace_in_tests(self, name: str, old: str, new: str) -> None:
        """As :meth:`replace`, in a file of the copied tests."""
        self.replace(f"../tests/{name}", old, new)

    def run(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Run the command line of the copy."""
        return self.python("-m", "cordlesion", *arguments)

    def test(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Run tests of the suite on the copy."""
        return self.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)

    def python(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Run Python with the copy in place of the installed package."""
        variables = os.environ | {"PYTHONPATH": str(self.root), "COLUMNS": "200"}
        return run_forked(*arguments, folder=self.repository, variables=variables)
