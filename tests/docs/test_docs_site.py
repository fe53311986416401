"""The documentation site: it builds without a warning, loads nothing from elsewhere, and describes all there is."""

import os
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import cordlesion
from cordlesion.cli.app import app
from cordlesion.config import builtin_study, read_study
from support.tiny import make_cohort

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
ELSEWHERE = re.compile(r"^(?:https?:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def recorder(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    import record_tutorial

    return record_tutorial


class Loaded(HTMLParser):
    """What a browser fetches to show a page, and the places that links can point at."""

    def __init__(self, page):
        super().__init__()
        self.addresses, self.ids = [], set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.ids.add(named.get("id"))
        self.addresses += [named[key] for key in ("src", "srcset", "poster", "data") if named.get(key)]
        if tag == "link" and named.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(named["href"])


def test_pages_load_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    addresses = [address for page in pages for address in Loaded(page).addresses]
    styles = [style.read_text(encoding="utf-8") for style in site.rglob("*.css")]
    addresses += [address for style in styles for address in re.findall(r"url\([\"']?([^)\"']+)", style)]
    assert addresses
    assert [address for address in addresses if ELSEWHERE.match(address)] == []


def test_the_search_works_from_files_without_a_network(site, browser):
    page = browser.new_page()
    fetched = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto((site / "index.html").as_uri() + "?q=plateau")
    page.locator(".md-search-result__link").first.wait_for(state="attached")
    page.close()
    assert [address for address in fetched if not address.startswith(("file:", "data:", "blob:"))] == []


def listed_commands(group, path=()):
    """Yield the names of all commands that `--help` lists."""
    for name in group:
        command = group[name]
        if not name.startswith("-") and command.show:
            yield (*path, name)
            yield from listed_commands(command, (*path, name))


def test_every_listed_command_has_its_section_and_no_hidden_one(site):
    commands = set(listed_commands(app))
    assert {("tune",), ("study", "run"), ("export", "nnunet")} <= commands
    described = {name for name in Loaded(site / "commands.html").ids if name and name.startswith("cordlesion-")}
    assert described == {"-".join(("cordlesion", *command)) for command in commands}


def test_every_setting_is_described(site):
    page = (site / "settings.html").read_text(encoding="utf-8")
    for section, value in read_study(builtin_study("demo")).model_dump(exclude={"reduced"}).items():
        assert f"<code>{section}</code>" in page
        for key in value if isinstance(value, dict) else ():
            assert f"<code>{key}</code>" in page.split(f'id="{section}"')[1].split("<h2")[0], f"{section}.{key}"


def test_every_public_name_is_described_once(site):
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^::: cordlesion\.(\w+)$", text, re.MULTILINE)) == sorted(
        set(cordlesion.__all__) - {"__version__"}
    )
    page = (site / "api.html").read_text(encoding="utf-8")
    # Roles of docstrings mean nothing on the page.
    assert not re.search(r":(?:class|func|data|meth|mod):", page)


def test_the_installation_names_every_extra():
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    page = (DOCS / "install.md").read_text(encoding="utf-8")
    assert [extra for extra in extras if f"`{extra}`" not in page] == []


@pytest.mark.parametrize("tutorial", ["tutorial", "own_method"])
def test_the_page_of_a_tutorial_is_that_of_its_script(recorder, tutorial):
    assert tutorial in recorder.TUTORIALS
    page = (DOCS / f"{tutorial}.md").read_text(encoding="utf-8")
    cells = recorder.read_cells(tutorial)
    shown = [cell.content if cell.is_text else f"```python\n{cell.content}\n```" for cell in cells]
    places = [page.find(part) for part in shown]
    assert len(places) > 12
    assert -1 not in places
    assert places == sorted(places)
    pictures = {f"images/{picture.name}" for picture in (DOCS / "images").glob(f"{tutorial}_*")}
    assert set(re.findall(rf"images/{tutorial}_\d+\.svg", page)) == pictures != set()


def test_the_tutorial_runs(recorder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: None)
    monkeypatch.setattr(cordlesion, "simulate_cohort", lambda folder, **_: make_tutorial_cohort(folder), raising=False)
    (tmp_path / "images").mkdir()
    page = "\n".join(recorder.run_cells("tutorial", tmp_path / "images"))
    assert "14 scans of 14 subjects" in page
    assert re.search(r"t = 0\.\d+, median voxel F1 0\.[5-9]", page)
    assert len(list((tmp_path / "images").iterdir())) == page.count("](images/") == 2


def test_the_tutorial_for_method_developers_runs(recorder, tmp_path):
    page = "\n".join(recorder.run_cells("own_method", tmp_path))
    names = ["t = 0.5", "median F1", "own objective", "own rule"]
    assert re.findall(r"^(\w.*\w) +voxel F1 0\.\d\d, .* lesion-free scans$", page, re.MULTILINE) == names
    assert len(list(tmp_path.iterdir())) == page.count("](") - page.count(".md)") == 2


def make_tutorial_cohort(folder):
    make_cohort(folder.parent)
    (folder.parent / "cohort").rename(folder)


def test_columns_are_printed_as_the_page_says(monkeypatch, capsys):
    monkeypatch.syspath_prepend(DOCS)
    from generate import TABLES, print_columns

    assert "`python docs/generate.py thresholds.tsv metrics.tsv`" in (DOCS / "file_formats.md").read_text()
    print_columns(["thresholds.tsv", "metrics.tsv"])
    shown = capsys.readouterr().out
    assert shown.startswith("### `thresholds.tsv`\n")
    assert "| `plateau_low` | number from 0 to 1 or `n/a` | Plateau: " in shown
    assert "### `metrics.tsv`" in shown
    print_columns([])
    assert capsys.readouterr().out.count("\n### ") == len(TABLES) - 1
    with pytest.raises(SystemExit, match=r"threshold.tsv is no table; some of splits.tsv, "):
        print_columns(["threshold.tsv"])
