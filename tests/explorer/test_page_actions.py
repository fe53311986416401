"""Clicks, keys and links of the page, where one act meets another."""

from opened_page import Opened
from playwright.sync_api import Locator


def click_slowly(opened: Opened, target: Locator) -> None:
    """Press, let the page do what follows from it, and release."""
    box = target.bounding_box()
    assert box
    opened.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    opened.page.mouse.down()
    opened.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    opened.page.mouse.up()


def test_a_click_on_a_scan_after_a_comment_opens_it(opened):
    """The comment is complete when the mouse button goes down on the list."""
    page = opened.page
    for sort in ("all", "open"):
        opened.after(lambda sort=sort: page.locator("#filter").select_option(sort))
        current = page.locator("#scan").inner_text()
        comment = page.get_by_label("Comment on this scan")
        comment.click()
        page.keyboard.type("blurred")
        row = page.locator("#scans button:not([aria-current])").last
        name = row.locator(".name").inner_text()
        opened.after(lambda row=row: click_slowly(opened, row))
        assert page.locator("#scan").inner_text() == name != current
        assert page.get_by_role("button", name="Export notes (1)").is_visible()
        opened.follow(f"scan={current}&set=test")
        assert comment.input_value() == "blurred"
        mark = page.locator("#scans button[aria-current] .noted")
        assert (mark.inner_text(), mark.get_attribute("title")) == ("✎", "blurred")
        opened.after(lambda comment=comment: comment.fill(""))
        assert mark.inner_text() == ""
