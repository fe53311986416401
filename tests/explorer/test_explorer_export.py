"""The exported explorer and the report beside it; in Chromium it opens as a file, and asks for nothing outside."""

import contextlib
import hashlib
import shlex
import shutil
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from explorer_study import few_scans
from opened_page import SCHEMES, Opened, serious_faults
from playwright.sync_api import Browser

from cordlesion.cli.app import main
from cordlesion.config import read_study
from cordlesion.explorer.export import export_explorer
from cordlesion.explorer.site import ASSETS, Site
from cordlesion.io.reading import read_json
from cordlesion.io.writing import write_json
from cordlesion.study.run import run_study
from support.plain_report import without_pictures


def test_the_export_has_the_files_of_the_server(exported: Path) -> None:
    folder = exported.parent
    with few_scans():
        site = Site(folder.parent)
        names = [*site.common_files(), *(name for names in site.files_by_scan() for name in names)]
        assert sorted(names) == sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        for name in names:
            assert (folder / name).read_bytes() == site.read(name)


def test_more_than_a_hundred_models_and_ten_thousand_scans_have_different_files(study: Path) -> None:
    site = Site(study)
    catalog = site._catalog
    numbers = {"models": len(catalog.models), "scans": len(catalog.scans)}
    repeated = {"models": -(-101 // numbers["models"]), "scans": -(-10_001 // numbers["scans"])}
    for name, times in repeated.items():
        vars(catalog)[name] = getattr(catalog, name) * times
    files = site.files_by_scan()
    hundredth, last = files[0][3 + 100], files[10_000][0]
    assert (hundredth, last) == ("data/s0000/m100.js", "data/s10000/scan.js")
    same = {"m100": 100 % numbers["models"], "s10000": 10_000 % numbers["scans"]}
    assert _content(site, hundredth) == _content(site, f"data/s0000/m{same['m100']:02d}.js")
    assert _content(site, last) == _content(site, f"data/s{same['s10000']:04d}/scan.js")


def _content(site: Site, name: str) -> bytes:
    """Return the content of a file without its name."""
    content = site.read(name)
    assert content is not None
    return content.replace(name.removeprefix("data/").removesuffix(".js").encode(), b"name")


def test_an_export_removes_outdated_files(exported: Path) -> None:
    old = exported.parent / "data" / "s0999" / "scan.js"
    old.parent.mkdir()
    old.write_text("old")
    # As listed by an export with more scans.
    marker = exported.parents[1] / ".done" / "explorer.json"
    listed = [*read_json(marker)["list"], old.relative_to(exported.parents[1]).as_posix()]
    write_json(marker, {"fingerprint": "", "list": listed})
    with few_scans():
        assert export_explorer(exported.parent.parent) == exported
    assert not old.exists()
    assert not list(exported.parent.rglob(".part-*"))


def test_it_is_removed_with_the_results_that_it_shows(exported: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(exported.parents[2], tmp_path / "copy"))
    file = copy / "study.yaml"
    file.write_text(file.read_text().replace("epochs: 1", "epochs: 2"))
    run_study(read_study(file), until="split")
    assert not (copy / "study" / "explorer" / "index.html").exists()
    assert not list((copy / "study" / "explorer" / "data").rglob("*.js"))


def test_the_vendored_file_equals_the_published_one(site: Site) -> None:
    script = site.read("assets/niivue/niivue-0.69.0.umd.js")
    licence = site.read("assets/niivue/niivue-LICENSE.txt")
    assert script is not None
    assert licence is not None
    assert hashlib.sha256(script).hexdigest() in licence.decode()
    assert "BSD 2-Clause License" in licence.decode()


def test_the_page_loads_every_script_and_nothing_else(site: Site) -> None:
    page = site.read("index.html")
    assert page is not None
    for name in ASSETS:
        assert (name.encode() in page) == name.endswith((".js", ".css"))
    assert b"http:" not in page
    assert b"https:" not in page


@pytest.fixture(scope="module")
def reported(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study without an explorer after `cordlesion report`, and what the command printed."""
    study = (
        shutil.copytree(exported.parents[2], tmp_path_factory.mktemp("reported") / "copy") / exported.parents[1].name
    )
    shutil.rmtree(study / "explorer")
    printed = StringIO()
    with contextlib.redirect_stdout(printed), without_pictures(), pytest.raises(SystemExit):
        main(["report", str(study), "--quiet"])
    return study, printed.getvalue()


def test_the_report_has_no_serious_violation(browser: Browser, reported: tuple[Path, str]) -> None:
    page = browser.new_page()
    page.goto((reported[0] / "report.html").as_uri())
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert serious_faults(page) == []
    page.close()


def test_the_report_links_to_it(cli: Callable[..., Any], reported: tuple[Path, str]) -> None:
    study, printed = reported
    link = 'href="explorer/index.html"'
    assert printed.split() == [f"{study}/report.html"]
    assert link not in (study / "report.html").read_text()
    with few_scans(), without_pictures():
        both = cli("report", study, "--explorer", "--quiet")
    assert (both.status, both.output.split()) == (0, [f"{study}/explorer/index.html", f"{study}/report.html"])
    assert link in (study / "report.html").read_text()


@pytest.fixture(scope="module")
def page(browser: Browser, exported: Path) -> Iterator[Opened]:
    """The page, opened once for all tests."""
    opened = Opened(browser)
    yield opened.open(f"{exported.as_uri()}#page=cohort")
    opened.page.close()


@pytest.fixture
def opened(page: Opened, exported: Path) -> Iterator[Opened]:
    """The page of all scans; after the test there must be no error and no request outside the folder."""
    page.follow("page=cohort&sort=name")
    yield page
    assert page.faults == []
    assert [url for url in page.requests if not url.startswith((exported.parent.as_uri(), "data:"))] == []


def move(opened: Opened, level: int) -> None:
    opened.after(lambda: opened.page.locator('[data-side="a"] input[type="range"]').fill(str(level)))


def test_it_opens_as_a_file(opened):
    opened.follow("sort=errors")
    link = opened.link()
    move(opened, 60)
    opened.after(opened.page.get_by_role("button", name="Cord stack").click)
    opened.after(opened.page.get_by_role("button", name="Full scan").click)
    assert float(opened.link()["ta"]) != float(link["ta"])
    opened.after(lambda: opened.page.keyboard.press("n"))
    link = opened.link()
    opened.page.reload()
    opened.page.locator("body[data-ready]").wait_for()
    assert opened.link() == link


def test_it_has_the_cohort_and_names_files_from_the_study(opened, exported):
    rows = opened.page.locator("#table tbody tr")
    assert rows.count() == 2
    before = rows.all_inner_texts()
    move(opened, 5)
    assert rows.all_inner_texts() != before
    opened.after(rows.nth(0).locator("button").click)
    opened.page.get_by_role("button", name="Open in").click()
    assert "folder of the study" in opened.page.locator("#elsewhere .note").inner_text()
    words = shlex.split(opened.page.locator("#elsewhere code").nth(1).inner_text())
    opened.page.locator("#elsewhere").get_by_role("button", name="Close").click()
    files = [word for word in words if word.endswith(".nii.gz")]
    assert len(files) == 4
    for file in files:
        assert not Path(file).is_absolute()
        assert (exported.parents[1] / file).is_file()
