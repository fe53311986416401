"""An exported explorer in Chromium: it opens as a file, and asks for nothing outside its folder."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from opened_page import Opened
from playwright.sync_api import Browser

ROWS = "#table tbody tr"


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
    rows = opened.page.locator(ROWS)
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
