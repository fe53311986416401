"""The map of the architecture and the decisions name what is there."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS, SOURCE = ROOT / "docs", ROOT / "src" / "cordlesion"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.glob("*.md")),
    *sorted((DOCS / "decisions").glob("*.md")),
]
_FILE = re.compile(r"`([\w/.]+\.(?:py|js|j2|bib|md)|(?:\w+/)+)`(?: \(((?:`[^`]+`(?:, )?)+)\))?")


@pytest.fixture(scope="module")
def drawing():
    spec = importlib.util.spec_from_file_location("draw_layers", DOCS / "draw_layers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def subjects() -> set[str]:
    """Return the folders and modules of the package."""
    folders = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    return folders | {path.stem for path in SOURCE.glob("*.py") if not path.stem.startswith("__")}


def test_the_map_lists_every_folder_and_module_of_the_package_once():
    listed = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", (DOCS / "architecture.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(subjects())


def test_every_folder_and_module_of_the_package_has_a_layer(drawing):
    assert sorted(name for layer in drawing.read_layers() for name in layer) == sorted(subjects())


def test_the_picture_shows_the_layers_as_they_are(drawing):
    assert drawing.PICTURE.read_text() == drawing.draw(drawing.read_layers())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_and_names_of_a_page_exist(page):
    for path, names in _FILE.findall(page.read_text()):
        places = [place for place in (SOURCE / path, ROOT / path, SOURCE / "report" / path) if place.exists()]
        if not places and not _is_in_the_source(path):
            continue  # of a study, a dataset or another project
        assert places, f"{page.name} names {path}, which is not there"
        for name in filter(str.isidentifier, re.findall("`([^`]+)`", names)):
            assert re.search(rf"\b{re.escape(name)}\b", places[0].read_text()), f"{page.name}: no {name} in {path}"


def test_every_page_of_decisions_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    missing = [page.name for page in (DOCS / "decisions").glob("*.md") if f"decisions/{page.name}" not in navigation]
    assert not missing


def _is_in_the_source(path: str) -> bool:
    """Whether a path that is named claims to be one of this repository; a guide calls the folder of a study so, too."""
    if path.startswith("study/") and not path.endswith(".py"):
        return False
    return path.split("/")[0].removesuffix(".py") in {*subjects(), "tests", "docs", "benchmarks", "examples", "src"}
