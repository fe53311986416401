"""A page of the explorer in Chromium, with its errors and requests."""

import re
from collections.abc import Callable
from typing import Literal, get_args
from urllib.parse import parse_qs, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
SIZE = ViewportSize(width=1440, height=900)
METRICS = ("voxel_sensitivity", "voxel_precision", "voxel_f1", "lesion_sensitivity", "lesion_precision", "lesion_f1")


class Opened:
    """A page, and its errors and requests."""

    def __init__(self, browser: Browser, **options: object) -> None:
        self.page: Page = browser.new_page(viewport=SIZE, **options)
        self.page.set_default_timeout(120_000)  # machines without a graphics card draw slowly
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on(
            "console", lambda message: message.type in ("error", "warning") and self.faults.append(message.text)
        )
        self.page.on("pageerror", lambda error: self.faults.append(error.stack or str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, address: str) -> "Opened":
        self.page.goto(address)
        self.page.locator("body[data-ready]").wait_for()
        return self

    def follow(self, link: str) -> None:
        """Follow a link, given without "#", on the page that is open; it is followed even if it is the current one."""
        now = self.page.evaluate("performance.now()")
        self.after(lambda: self.page.goto(f"{self.page.url.partition('#')[0]}#{link}&now={now}"))

    def after(self, act: Callable[[], object]) -> None:
        """Act, and wait until the page is updated."""
        before = self.page.locator("body").get_attribute("data-ready")
        act()
        self.page.locator(f"body[data-ready]:not([data-ready={before!r}])").wait_for()

    def shown(self, side: str) -> dict[str, float | None]:
        cells = {n: self.page.locator(f'[data-side="{side}"] [data-metric="{n}"]') for n in METRICS}
        values = {name: cell.get_attribute("data-value") for name, cell in cells.items()}
        return {name: None if value == "null" else float(value or "") for name, value in values.items()}

    def text(self, side: str, selector: str) -> str:
        return self.page.locator(f'[data-side="{side}"] {selector}').inner_text()

    def address(self) -> str:
        """The link in the address of the page, after its update."""
        self.page.locator('body[data-link="written"]').wait_for()
        return self.page.url

    def link(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.address()).fragment).items()}

    def zoom(self, steps: int = 1) -> None:
        """Turn the wheel above the left picture, and wait for the link: the page receives the event with a delay."""
        box = self.page.locator('[data-side="a"] canvas[tabindex]').bounding_box()
        assert box
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
        self.page.keyboard.down("Control")
        for _ in range(steps):
            self.page.locator("body").evaluate("(body) => (body.dataset.link = 'unchanged')")
            self.page.mouse.wheel(0, -100)
            self.page.locator('body[data-link="written"]').wait_for()
        self.page.keyboard.up("Control")

    def place(self) -> list[float]:
        return [float(number) for number in re.findall(r"-?[\d.]+", self.text("a", ".place"))]

    def pictures(self) -> list[bytes]:
        return [self.page.locator(f'[data-side="{side}"] .picture').screenshot() for side in "ab"]


def serious_faults(page: Page) -> list[str]:
    """Return what axe-core finds serious or critical on a page."""
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['target']}" for v in found if v["impact"] in ("serious", "critical")]
