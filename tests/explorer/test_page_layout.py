"""The page at laptop sizes: numbers do not overlap, and nothing moves while a slider moves."""

from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from opened_page import SIZE, Opened
from PIL import Image
from playwright.sync_api import Page

FALSE = "#lesions tbody button[title]:not([title=''])"


@pytest.fixture(scope="module")
def laptop(page: Opened) -> Iterator[Opened]:
    """The page with the first scan on a small screen."""
    page.faults.clear()
    page.page.set_viewport_size({"width": 1280, "height": 900})
    page.follow("sort=errors")
    yield page
    page.page.set_viewport_size(SIZE)
    assert page.faults == []


def move(opened: Opened, side: str, level: int) -> None:
    opened.after(lambda: opened.page.locator(f'[data-side="{side}"] input[type="range"]').fill(str(level)))


def boxes(page: Page, selector: str) -> list[Any]:
    boxes = "(found) => found.map((one) => one.getBoundingClientRect()).map((b) => [b.x, b.y, b.width, b.height])"
    return page.locator(selector).evaluate_all(boxes)


def test_neighbouring_numbers_have_a_distance(laptop):
    """Measured between texts, not between cells."""
    rows = laptop.page.locator(".metrics tr").evaluate_all(
        """(rows) => rows.map((row) => [...row.cells].filter((cell) => cell.textContent).map((cell) => {
            const text = document.createRange();
            text.selectNodeContents(cell);
            const { left, right } = text.getBoundingClientRect();
            return [left, right, cell.scrollWidth - cell.clientWidth];
        }))"""
    )
    assert len(rows) == 10
    for cells in rows:
        assert all(cut_off <= 0 for _, _, cut_off in cells)
        assert all(right[0] - left[1] >= 8 for left, right in pairwise(cells))


@pytest.mark.parametrize("width", [390, 1000, 1280])
def test_every_choice_of_a_list_is_read_in_full(laptop, width):
    """The width that a box needs for each of its choices, against the one that it has."""
    laptop.page.set_viewport_size({"width": width, "height": 900})
    cut_off = laptop.page.locator("#sort, #filter, .model").evaluate_all(
        """(boxes) => boxes.flatMap((box) => [...box.options].filter((option) => {
            const alone = box.cloneNode(false);
            alone.append(option.cloneNode(true));
            alone.style.justifySelf = alone.style.alignSelf = "start";
            alone.style.width = "max-content";
            box.parentElement.append(alone);
            const needed = alone.offsetWidth;
            alone.remove();
            return needed > box.offsetWidth;
        }).map((option) => option.textContent))"""
    )
    laptop.page.set_viewport_size({"width": 1280, "height": 900})
    assert cut_off == []


def test_nothing_moves_while_a_slider_moves(laptop):
    def seen() -> list[Any]:
        return boxes(laptop.page, '.picture, input[type="range"], .metrics')

    first = seen()
    left, right = (boxes(laptop.page, f'[data-side="{side}"] .picture')[0] for side in "ab")
    assert left[1:] == right[1:]
    for level in (0, 1, 5, 20, 60, 99, 101):
        move(laptop, "a", level)
        assert seen() == first


FONTS = {
    "those of this machine": {},
    "wide": {"letterSpacing": "0.08em"},
    "narrow": {"letterSpacing": "-0.05em"},
    "tall": {"lineHeight": "1.7"},
    "wide and tall": {"letterSpacing": "0.05em", "lineHeight": "1.6"},
}
"""Styles of the page's body that stand for fonts this machine may lack: what differs between fonts is how wide and how
high their lines are."""


def style_body(page: Page, style: dict[str, str]) -> None:
    # Elements that do not inherit a line height or spacing (buttons, lists) get it, too.
    page.evaluate(
        "(style) => document.querySelectorAll('body, body *').forEach((one) => Object.assign(one.style, style))", style
    )


@pytest.mark.parametrize("fonts", FONTS)
def test_all_numbers_are_above_the_footer_on_a_small_screen(laptop, fonts):
    laptop.page.set_viewport_size({"width": 1280, "height": 720})
    style_body(laptop.page, FONTS[fonts])
    footer = boxes(laptop.page, "footer")[0][1]
    assert all(y + height <= footer for _, y, _, height in boxes(laptop.page, ".metrics tr"))
    assert all(height >= 110 for *_, height in boxes(laptop.page, ".picture"))
    style_body(laptop.page, dict.fromkeys(FONTS[fonts], ""))
    laptop.page.set_viewport_size({"width": 1280, "height": 900})


def test_a_false_lesion_keeps_its_name(laptop):
    """The name is the position of the peak in mm; it stays the same while the slider moves."""
    names: dict[str, set[str]] = {}
    for level in (0, 2, 5, 10, 20, 30, 40, 50, 60):
        move(laptop, "a", level)
        for place, name in laptop.page.locator(FALSE).evaluate_all("(all) => all.map((b) => [b.title, b.innerText])"):
            names.setdefault(place, set()).add(name)
    assert len(names) > 2
    assert all(len(given) == 1 for given in names.values())


def test_files_that_are_still_loading_are_not_dropped(laptop):
    answers = laptop.page.evaluate(
        """async () => {
            document.head.append = () => {}; // nothing comes of itself
            const names = Array.from({ length: 100 }, (_, n) => `slow${n}`);
            const first = names.map((name) => cordlesion.load(name));
            const second = cordlesion.load("slow0");
            for (const name of names) cordlesion.receive(name, { name });
            const late = new Promise((resolve) => setTimeout(resolve, 2000, "never"));
            delete document.head.append;
            return [await Promise.race([first[0], late]), await Promise.race([second, late])];
        }"""
    )
    assert answers == [{"name": "slow0"}, {"name": "slow0"}]


@pytest.mark.parametrize("zoomed", [False, True])
def test_the_crosshair_is_one_pixel_wide_in_both_slices(laptop, zoomed):
    canvas = laptop.page.locator('[data-side="a"] canvas[tabindex]')
    laptop.zoom(5 * zoomed)
    picture = np.asarray(Image.open(BytesIO(canvas.screenshot())).convert("RGB")).astype(int)
    laptop.page.keyboard.press("0")
    blue = picture[..., 2] - picture[..., 0] > 100
    for plane in ("sagittal", "axial"):
        start, width = (float(n) for n in canvas.get_attribute(f"data-{plane}").split(","))
        across = blue[:, round(start) : round(start + width)].sum(axis=1)
        assert 1 <= np.median(across[(across > 0) & (across < width / 4)]) <= 2
