"""axe-core on the explorer and the report: no serious violation, in light and dark mode."""

import shutil
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from cordlesion.explorer.server import ExplorerServer
from cordlesion.report.page import write_report


def serious_faults(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['target']}" for v in found if v["impact"] in ("serious", "critical")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_explorer_has_no_serious_violation(browser: Browser, server: ExplorerServer, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme, viewport={"width": 1440, "height": 900})
    page.set_default_timeout(120_000)
    page.goto(server.address)
    page.locator("body[data-ready]").wait_for()
    assert serious_faults(page) == []
    page.keyboard.press("?")
    assert serious_faults(page) == []
    page.get_by_role("button", name="Close").first.click()
    page.get_by_role("button", name="Open in").click()
    assert serious_faults(page) == []
    page.locator("#elsewhere").get_by_role("button", name="Close").click()
    page.keyboard.press("c")
    page.locator("#table tbody tr").first.wait_for()
    assert serious_faults(page) == []
    page.close()


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
def test_no_page_of_the_explorer_scrolls_sideways(browser: Browser, server: ExplorerServer, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.set_default_timeout(120_000)
    page.goto(server.address)
    page.locator("body[data-ready]").wait_for()
    for shown in ("#scans li", "#table tbody tr"):
        page.locator(shown).first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.keyboard.press("c")
    page.close()


@pytest.fixture(scope="module")
def report(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(shutil.copytree(study.parent, tmp_path_factory.mktemp("report") / "copy") / study.name)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_has_no_serious_violation(browser: Browser, report: Path, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto(report.as_uri())
    assert serious_faults(page) == []
    page.close()
