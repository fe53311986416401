"""The report's links lead into the explorer."""

from pathlib import Path
from urllib.parse import parse_qs

from playwright.sync_api import Browser

from cordlesion.explorer.server import ExplorerServer
from cordlesion.report.gallery import explorer_link
from cordlesion.study_folder.results import read_results


def test_the_link_of_a_scan_opens_it_by_the_recommended_model(
    browser: Browser, server: ExplorerServer, study: Path
) -> None:
    results = read_results(study)
    best = results.best
    scan_id = results.evaluated(best, "test", results.tuned[best]).index[-1]
    page = browser.new_page()
    page.goto(server.address + explorer_link(results, scan_id))
    page.locator("body[data-ready]").wait_for(timeout=120_000)
    page.locator('body[data-link="written"]').wait_for(timeout=120_000)
    shown = parse_qs(page.evaluate("location.hash").lstrip("#"))
    assert (shown["scan"], shown["set"], shown["a"]) == ([scan_id], ["test"], [best.name])
    assert float(shown["ta"][0]) == results.tuned[best]
    page.close()
