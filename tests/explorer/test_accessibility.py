"""axe-core on the explorer: no serious violation, in light and dark mode."""

import pytest
from opened_page import SCHEMES, Opened, Scheme, serious_faults


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
