"""A copy of the package that a recipe of CONTRIBUTING.md is tried on, in processes of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cordlesion

SOURCE = Path(cordlesion.__file__).parent


class PackageCopy:
    """The package below ``folder``, to be edited and run; the installed one stays as it is."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "package"
        self.repository = Path(__file__).parents[2]
        self.package = Path(shutil.copytree(SOURCE, self.root / "cordlesion", ignore=shutil.ignore_patterns("*.pyc")))

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
        """Copy the tests, and what they read, so that a recipe can change them too; the repository stays as it is."""
        here = Path(__file__).parents[2]
        for folder in ("tests", "docs", "studies"):
            shutil.copytree(here / folder, self.root / folder, ignore=shutil.ignore_patterns("*.pyc"))
        shutil.copy(here / "pyproject.toml", self.root)
        self.repository = self.root

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
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, cwd=self.repository, env=variables, capture_output=True, text=True, check=False)
