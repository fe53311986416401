"""axe-core on the explorer and the report: no serious violation, in light and dark mode."""

import shutil
from pathlib import Path
from typing import Literal, get_args

import pytest
from axe_playwright_python.sync_playwright import Axe
from opened_page import Opened
from playwright.sync_api import Browser, Page

from cordlesion.report.page import write_report

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)


def serious_faults(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['target']}" for v in found if v["impact"] in ("serious", "critical")]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_explorer_has_no_serious_violation(opened: Opened, scheme: Scheme) -> None:
    page = opened.page
    page.emulate_media(color_scheme=scheme)
    assert serious_faults(page) == []
    page.keyboard.press("?")
    assert serious_faults(page) == []
    page.get_by_role("button", name="Close").first.click()
    page.get_by_role("button", name="Open in").click()
    assert serious_faults(page) == []
    page.locator("#elsewhere").get_by_role("button", name="Close").click()
    opened.after(lambda: page.keyboard.press("c"))
    page.locator("#table tbody tr").first.wait_for()
    assert serious_faults(page) == []
    page.emulate_media(color_scheme="light")


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
def test_no_page_of_the_explorer_scrolls_sideways(opened: Opened, width: int) -> None:
    page = opened.page
    page.set_viewport_size({"width": width, "height": 844})
    for shown in ("#scans li", "#table tbody tr"):
        page.locator(shown).first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        opened.after(lambda: page.keyboard.press("c"))


@pytest.fixture(scope="module")
def report(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(shutil.copytree(study.parent, tmp_path_factory.mktemp("report") / "copy") / study.name)


def test_the_report_has_no_serious_violation(browser: Browser, report: Path) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert serious_faults(page) == []
    page.close()
